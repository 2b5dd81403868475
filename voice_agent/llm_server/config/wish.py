"""What a server is planned from, and the plan. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from voice_agent.llm_server.config.checkpoints import Checkpoint, Precision
from voice_agent.llm_server.config.choices import Choice, Table, as_yaml

__all__ = [
    "Gpu",
    "Memory",
    "Plan",
    "PlanError",
    "Runtime",
    "Version",
    "Wish",
    "memory",
    "precision",
]

Runtime = Literal["trtllm", "vllm", "sglang"]
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.?(?:rc|dev|a|b)(\d+))?")
_FINAL = 10**6


class PlanError(ValueError):
    """This cannot be run so; the message says why and what could be."""


class Version(NamedTuple):
    """A runtime's version; ordered, and a release candidate comes before its release."""

    major: int
    minor: int
    patch: int
    candidate: int
    """Of a release candidate; a million for the release itself."""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``1.3.0rc24`` and the like.

        Raises:
            PlanError: It is no version.
        """
        match = _VERSION.match(text.strip())
        if match is None:
            raise PlanError(f"{text!r} is no version; like 1.3.0rc24 or 0.27.1")
        major, minor, patch, candidate = match.groups()
        return cls(int(major), int(minor), int(patch or 0), int(candidate or _FINAL))

    def __str__(self) -> str:
        candidate = "" if self.candidate == _FINAL else f"rc{self.candidate}"
        return f"{self.major}.{self.minor}.{self.patch}{candidate}"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as far as it decides anything."""

    name: str
    memory_gib: float
    capability: tuple[int, int]
    """CUDA compute capability: (9, 0) Hopper, (8, 9) Ada, (10, x) and (12, 0) Blackwell, (12, 1)
    DGX Spark."""

    @property
    def native_fp4(self) -> bool:
        """Whether its tensor cores multiply NVFP4 (Blackwell); others unpack it first."""
        return self.capability >= (10, 0)

    @property
    def spark(self) -> bool:
        """Whether it is the GB10 of a DGX Spark."""
        return self.capability == (12, 1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run, and for whom."""

    checkpoint: Checkpoint
    runtime: Runtime
    version: Version
    gpu: Gpu
    calls: int = 8
    """Conversations at once."""
    context: int = 32768
    """Tokens of one conversation, answer included."""
    draft: int | None = None
    """Tokens drafted a step; None is what was validated, 0 none."""
    schedule: Mapping[int, int] = field(default_factory=dict)
    """Draft lengths by load, measured: from so many answers at once on, so many tokens."""
    reuse: bool | None = None
    """Reuse of prompts across turns; None where the runtime's version is known to do it right."""
    reserve_gib: float = 12.0
    """Of the GPU's memory, what is left for speech recognition and the voice."""
    precision: Precision | None = None
    """None takes the smallest that the GPU computes well."""
    host: str = "127.0.0.1"
    port: int = 8000
    model: str = ""
    """A folder with the weights, in place of the published repository."""

    @property
    def at_once(self) -> int:
        """Answers written at once: each call may have one guessed ahead beside the one it hears,
        and a guess replaces the one before it."""
        return self.calls

    @property
    def drafts(self) -> int:
        """Tokens drafted a step, 0 where the model cannot."""
        if not self.checkpoint.mtp:
            return 0
        return 3 if self.draft is None else self.draft


@dataclass(frozen=True, slots=True)
class Memory:
    """How the GPU's memory is shared out, GiB."""

    weights: float
    conversations: float
    """All of them at their full length."""
    free_after_weights: float
    """What is left of the GPU when the weights are in."""
    reserve: float

    @property
    def share_of_free(self) -> float:
        """The share of what is free after the weights that conversations may take, at most."""
        usable = (self.free_after_weights - self.reserve) / self.free_after_weights
        return max(0.05, min(0.5, int(usable * 20) / 20))

    @property
    def share_of_all(self) -> float:
        """The share of the whole GPU that weights, work space and conversations may take."""
        total = self.weights + self.free_after_weights
        wanted = (self.weights + 4.0 + 2.0 * self.conversations) / total
        most = 1.0 - self.reserve / total
        return min(most, max(0.1, -(-int(wanted * 100) // 5) * 5 / 100))


@dataclass(frozen=True, slots=True)
class Plan:
    """How the server is run."""

    runtime: Runtime
    title: str
    """What it is for, in a sentence."""
    command: Sequence[str]
    """Its first word is the program."""
    reasons: Mapping[str, str]
    """Why each flag of the command is there."""
    model: str
    """The name it is served by."""
    url: str
    """Where it is spoken to, up to and including ``/v1``."""
    draft: int
    """Tokens drafted a step, as configured."""
    reuse: bool
    """Prompts are reused across turns, as configured."""
    file: str = ""
    """Name of the configuration file; empty where the command says everything."""
    table: Table = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def yaml(self) -> str:
        """Return the configuration file's text; empty where there is none."""
        return as_yaml(self.table, self.title) if self.file else ""

    def shell(self) -> str:
        """Return the command for a person to read or run, each flag with its reason."""
        lines = [f"# {self.title}"] if not self.file else []
        lines += [f"export {key}={shlex.quote(value)}" for key, value in self.environment.items()]
        words = list(self.command)
        rows = [" ".join(shlex.quote(word) for word in words[: _before_flags(words)])]
        reasons = []
        for flag, *values in _flags(words):
            rows.append("  " + " ".join([flag, *(shlex.quote(value) for value in values)]))
            if flag in self.reasons:
                reasons.append(f"# {flag}: {self.reasons[flag]}")
        return "\n".join([*lines, *reasons, " \\\n".join(rows)]) + "\n"


def _before_flags(words: Sequence[str]) -> int:
    return next((n for n, word in enumerate(words) if word.startswith("--")), len(words))


def _flags(words: Sequence[str]) -> list[list[str]]:
    made: list[list[str]] = []
    for word in words[_before_flags(words) :]:
        if word.startswith("--"):
            made.append([word])
        else:
            made[-1].append(word)
    return made


def precision(wish: Wish) -> Precision:
    """Return the form of the weights to be loaded.

    Raises:
        PlanError: None that is published fits this GPU.
    """
    published = wish.checkpoint.repositories
    if wish.precision is not None:
        if wish.precision not in published:
            there = ", ".join(published)
            raise PlanError(f"{wish.checkpoint.name} is published as {there}; not {wish.precision}")
        order: Sequence[Precision] = (wish.precision,)
    else:
        order = [form for form in _order(wish) if form in published]
    fits = [form for form in order if _fits(wish, form)]
    if not fits:
        needs = min(wish.checkpoint.weights_gib[form] for form in order or published)
        raise PlanError(
            f"{wish.checkpoint.name} does not fit {wish.gpu.name} ({wish.gpu.memory_gib:.0f} GiB): "
            f"its weights take {needs:.0f} GiB, {wish.reserve_gib:.0f} are kept for the voice "
            "(--reserve), and conversations need room; try --model nemotron-3-nano-4b"
        )
    return fits[0]


def _order(wish: Wish) -> Sequence[Precision]:
    """The forms this GPU computes, fastest for few callers first: the smaller, the faster."""
    capability = wish.gpu.capability
    if capability < (8, 9):
        return (Precision.BF16,)  # neither FP8 nor the kernels that unpack FP4 are validated there
    if not wish.gpu.native_fp4 and not wish.checkpoint.mtp:
        # On Hopper and Ada, NVFP4 by way of Marlin is validated for 3.5 Lightning only.
        return (Precision.FP8, Precision.BF16)
    return (Precision.NVFP4, Precision.FP8, Precision.BF16)


def _fits(wish: Wish, form: Precision) -> bool:
    room = memory(wish, form)
    return room.free_after_weights > room.reserve + room.conversations


def memory(wish: Wish, form: Precision) -> Memory:
    """Return how the GPU's memory is shared out when the weights have this form."""
    kv_bytes = 1.0 if wish.checkpoint.kv_dtype[form] == "fp8" else 2.0
    snapshots = 1 + wish.drafts + 4
    one = wish.checkpoint.state_gib(wish.context, kv_bytes, 2.0, snapshots)
    weights = wish.checkpoint.weights_gib[form]
    free = max(0.1, wish.gpu.memory_gib - weights)
    return Memory(weights, one * wish.at_once, free, wish.reserve_gib)


def kv_choice(wish: Wish, form: Precision) -> Choice:
    """Return the dtype of attention keys and values."""
    return Choice(
        wish.checkpoint.kv_dtype[form],
        f"what the {form.upper()} checkpoint was validated with; this family loses accuracy with "
        "any other",
    )
