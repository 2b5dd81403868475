"""What language model servers tell of their work, each in its own words, as plain figures. Pure.

Sources: llama.cpp's ``timings`` and ``/slots``; TensorRT-LLM's ``/perf_metrics`` (its
``serve/openai_server.py``: one record for each *finished* request, drained on read; times are
seconds of the server's monotonic clock) and Prometheus; vLLM's and SGLang's Prometheus metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

__all__ = [
    "Drafts",
    "RequestRecord",
    "match_record",
    "prometheus_drafts",
    "read_perf_metrics",
    "read_prometheus",
    "running_in_prometheus",
    "running_in_slots",
]

_RUNNING = (
    "vllm:num_requests_running",
    "sglang:num_running_reqs",
    "llamacpp:requests_processing",
    "trtllm_num_requests_running",
)
_DRAFTED = ("vllm:spec_decode_num_draft_tokens", "trtllm_spec_decode_num_draft_tokens")
_ACCEPTED = ("vllm:spec_decode_num_accepted_tokens", "trtllm_spec_decode_num_accepted_tokens")
_STEPS = ("vllm:spec_decode_num_drafts",)


@dataclass(frozen=True, slots=True)
class Drafts:
    """Speculative decoding over one request or many."""

    drafted: int
    """Tokens offered."""
    accepted: int
    steps: int
    """Runs of the whole model that checked drafts; 0 where nobody tells."""
    unsure: int = 0
    """How many more there may have been."""

    @property
    def acceptance(self) -> float | None:
        """Share of the offered tokens that were kept; None where none were offered."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def length(self) -> float | None:
        """Tokens offered for each step: the draft length really in force.

        A whole number where one is possible, as servers draft the same number every time.
        """
        most = self.steps + self.unsure
        if not self.drafted or not most:
            return None
        low, high = self.drafted / most, self.drafted / max(self.steps, 1)
        whole = [n for n in (round((low + high) / 2.0), int(high)) if low <= n <= high]
        return float(whole[0]) if whole else (low + high) / 2.0

    @property
    def tokens_per_step(self) -> float | None:
        """Tokens written for each step, the one the model adds itself included."""
        length = self.length
        return None if length is None else 1.0 + self.accepted * length / self.drafted

    def __add__(self, other: Drafts) -> Drafts:
        return Drafts(
            self.drafted + other.drafted,
            self.accepted + other.accepted,
            self.steps + other.steps,
            self.unsure + other.unsure,
        )

    def since(self, before: Drafts) -> Drafts:
        """Return what has come since a counter was read ``before``."""
        return Drafts(
            self.drafted - before.drafted,
            self.accepted - before.accepted,
            self.steps - before.steps,
        )

    @classmethod
    def of_requests(cls, drafted: int, accepted: int, tokens: int, ends: Sequence[bool]) -> Drafts:
        """Return them of answers of ``tokens`` in all, for servers that count no steps.

        A step writes the drafts it accepts and one token more; the prompt's run writes the first.
        Where the end of an answer was itself a draft, that one token more was never written.

        Args:
            drafted: Tokens offered.
            accepted: Of those, the ones kept.
            tokens: Written.
            ends: For each answer, whether it came to an end of its own.
        """
        if not drafted:
            return cls(0, 0, 0)
        return cls(drafted, accepted, max(0, tokens - len(ends) - accepted), sum(ends))


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request as TensorRT-LLM's ``/perf_metrics`` tells it."""

    arrived_s: float
    """Of the server's monotonic clock."""
    queue_ms: float
    prefill_ms: float
    decode_ms: float
    reused_blocks: int
    missed_blocks: int
    drafted: int
    accepted: int


def read_perf_metrics(body: Any) -> list[RequestRecord]:
    """Return the records of a ``/perf_metrics`` answer; what cannot be read is left out."""
    return [
        record
        for each in (body if isinstance(body, list) else [])
        if (record := _record(each)) is not None
    ]


def _record(each: Any) -> RequestRecord | None:
    metrics = each.get("perf_metrics") if isinstance(each, Mapping) else None
    if not isinstance(metrics, Mapping):
        return None
    timing = metrics.get("timing_metrics") or {}
    names = ("arrival_time", "first_scheduled_time", "first_token_time", "last_token_time")
    try:
        arrived, scheduled, first, last = (float(timing[name]) for name in names)
    except (KeyError, TypeError, ValueError):
        return None
    blocks = metrics.get("kv_cache_metrics") or {}
    drafts = metrics.get("speculative_decoding") or {}
    at_server = timing.get("server_arrival_time")
    return RequestRecord(
        arrived_s=float(arrived if at_server is None else at_server),
        queue_ms=(scheduled - arrived) * 1000.0,
        prefill_ms=(first - scheduled) * 1000.0,
        decode_ms=(last - first) * 1000.0,
        reused_blocks=int(blocks.get("num_reused_blocks", 0)),
        missed_blocks=int(blocks.get("num_missed_blocks", 0)),
        drafted=int(drafts.get("total_draft_tokens", 0)),
        accepted=int(drafts.get("total_accepted_draft_tokens", 0)),
    )


def match_record(
    records: Sequence[RequestRecord], sent_s: float, first_token_s: float
) -> RequestRecord | None:
    """Return the record of the request that was sent at one moment and answered from another on.

    The records carry no id that the client has seen, so the one that arrived in between and next
    to the sending is meant.

    Args:
        records: Those that nobody has claimed yet.
        sent_s: When it was sent, by the server's clock.
        first_token_s: When its first token came, by the server's clock.
    """
    possible = [each for each in records if sent_s - 0.05 <= each.arrived_s <= first_token_s]
    return min(possible, key=lambda each: abs(each.arrived_s - sent_s), default=None)


def read_prometheus(text: str) -> dict[str, float]:
    """Return Prometheus samples by name, summed over their labels; ``_total`` is left off.

    Raises:
        ValueError: The text is no exposition.
    """
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_total")
            sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def running_in_prometheus(samples: Mapping[str, float]) -> int | None:
    """Return how many requests are worked on now; None where no known gauge is among them."""
    return next((int(samples[name]) for name in _RUNNING if name in samples), None)


def prometheus_drafts(samples: Mapping[str, float]) -> Drafts | None:
    """Return all drafts so far; None where no known counter is among the samples."""
    drafted, accepted = _first(samples, _DRAFTED), _first(samples, _ACCEPTED)
    if drafted is None or accepted is None:
        return None
    return Drafts(int(drafted), int(accepted), int(_first(samples, _STEPS) or 0))


def running_in_slots(body: Any) -> int | None:
    """Return how many of llama.cpp's slots are busy; None where the body is something else."""
    if not isinstance(body, list) or not all(isinstance(slot, Mapping) for slot in body):
        return None
    busy = [slot.get("is_processing") for slot in body]
    return None if not busy or None in busy else sum(map(bool, busy))


def _first(samples: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((samples[name] for name in names if name in samples), None)
