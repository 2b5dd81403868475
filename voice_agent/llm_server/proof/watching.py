"""A server seen from outside while it works: is it busy, and what has it drafted?

Which of the many ways a server offers is found out by asking once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from voice_agent.llm.server_figures import (
    Drafts,
    prometheus_drafts,
    read_perf_metrics,
    read_prometheus,
    running_in_prometheus,
    running_in_slots,
)
from voice_agent.llm_server.proof.client import Answer, Endpoint, ServerFault

__all__ = ["Watch"]

_POLL_S = 0.002


class Watch:
    """What can be seen of one server.

    Args:
        endpoint: The server.
        running: Returns how many requests it works on; None where nothing tells.
        metrics: Address of its Prometheus metrics; empty where there are none.
        records: It has TensorRT-LLM's ``/perf_metrics``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        running: Callable[[], Awaitable[int | None]] | None,
        metrics: str,
        records: bool,
    ) -> None:
        self._endpoint = endpoint
        self._running = running
        self._metrics = metrics
        self._records = records

    @classmethod
    async def of(cls, endpoint: Endpoint) -> Watch:
        """Find out what the server offers."""
        metrics = ""
        gauge = False
        for path in ("/metrics", "/prometheus/metrics"):
            samples = await _samples(endpoint, endpoint.root + path)
            if samples:
                metrics = endpoint.root + path
                gauge = running_in_prometheus(samples) is not None
                break
        records = isinstance(await _json(endpoint, f"{endpoint.root}/perf_metrics"), list)
        watch = cls(endpoint, None, metrics, records)
        if await watch._busy_slots() is not None:
            watch._running = watch._busy_slots
        elif gauge:
            watch._running = watch._gauge
        return watch

    @property
    def sees_work(self) -> bool:
        """Whether ``idle`` can tell."""
        return self._running is not None

    async def idle(self, within_s: float) -> float | None:
        """Wait until nothing is worked on; return after how many ms, or None if it did not come.

        The polling itself is in it: a few ms on one machine.
        """
        assert self._running is not None
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            if await self._running() == 0:
                return (time.monotonic() - began) * 1000.0
            await asyncio.sleep(_POLL_S)
        return None

    async def drafts(self, asking: Callable[[], Awaitable[list[Answer]]]) -> Drafts | None:
        """Return what was drafted for the answers ``asking`` makes; None where nothing tells."""
        before = await self._drafts_so_far()
        if self._records:
            await _json(self._endpoint, f"{self._endpoint.root}/perf_metrics")  # drains it
        answers = await asking()
        told = [drafts for answer in answers if (drafts := _told_with(answer)) is not None]
        if told:
            return sum(told, Drafts(0, 0, 0))
        if self._records:
            body = await _json(self._endpoint, f"{self._endpoint.root}/perf_metrics")
            records = read_perf_metrics(body)
            drafted = sum(each.drafted for each in records)
            accepted = sum(each.accepted for each in records)
            tokens = sum(answer.tokens or 0 for answer in answers)
            return Drafts.of_requests(drafted, accepted, tokens, _ends(answers))
        after = await self._drafts_so_far()
        return None if before is None or after is None else after.since(before)

    async def _drafts_so_far(self) -> Drafts | None:
        if not self._metrics:
            return None
        return prometheus_drafts(await _samples(self._endpoint, self._metrics) or {})

    async def _busy_slots(self) -> int | None:
        return running_in_slots(await _json(self._endpoint, f"{self._endpoint.root}/slots"))

    async def _gauge(self) -> int | None:
        return running_in_prometheus(await _samples(self._endpoint, self._metrics) or {})


def _told_with(answer: Answer) -> Drafts | None:
    """Return the drafts that came with the answer itself."""
    # TensorRT-LLM, in versions that send it with the choice: how many steps kept 0, 1, ... drafts.
    histogram = answer.speculative.get("acceptance_histogram")
    if histogram:
        steps = sum(histogram)
        accepted = sum(kept * times for kept, times in enumerate(histogram))
        return Drafts(steps * (len(histogram) - 1), accepted, steps)
    if "predicted_n" in answer.timings:
        drafted = int(answer.timings.get("draft_n", 0))
        accepted = int(answer.timings.get("draft_n_accepted", 0))
        return Drafts.of_requests(drafted, accepted, answer.tokens or 0, _ends([answer]))
    return None


def _ends(answers: Sequence[Answer]) -> list[bool]:
    return [answer.finish == "stop" for answer in answers]


async def _samples(endpoint: Endpoint, url: str) -> dict[str, float] | None:
    try:
        return read_prometheus(await endpoint.get_text(url))
    except (ServerFault, ValueError):
        return None


async def _json(endpoint: Endpoint, url: str) -> object:
    try:
        return await endpoint.get(url)
    except ServerFault:
        return None
