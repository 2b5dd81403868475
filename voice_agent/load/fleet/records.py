"""What is known of a call and of one moment of the server: plain data that crosses processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

ErrorKind = Literal["busy", "unreachable", "lost", "no answer", "bug"]


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One thing a caller said, and what came of it; ms. What does not apply is None."""

    text: str
    at_s: float
    """Wall clock, seconds since 1970, of the end of the caller's voice."""
    over: str = ""
    v2v_ms: float | None = None
    cut_in_ms: float | None = None
    """How long before the caller's end the agent began to speak."""
    missed: bool = False
    """No answer came; a barge-in was not yielded to."""
    answers: int = 0
    """Answers the agent gave to it; more than one is one too many."""
    ducked_ms: float | None = None
    silent_ms: float | None = None
    kept: bool | None = None
    """A backchannel let the answer go on."""
    as_expected: bool | None = None
    heard: str = ""
    """What the server took the caller to have said."""
    trace: str = ""
    """The turn's id in the server's traces."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call."""

    caller: int
    sessions: int
    """Calls at once that the run asked for when it began."""
    began_s: float
    """Wall clock, seconds since 1970."""
    seconds: float = 0.0
    connect_ms: float | None = None
    """From dialling to the agent being ready."""
    first_sound_ms: float | None = None
    """From dialling to the agent's first sound."""
    turns: tuple[TurnRecord, ...] = ()
    gaps: int = 0
    """Times the agent's voice broke off for more than 20 ms in its middle: with WebRTC nothing
    arrived, on a telephone its player ran dry."""
    stalls: int = 0
    """Of those, the ones of more than 60 ms."""
    longest_stall_ms: float = 0.0
    lost_packets: int = 0
    conversation: str = ""
    """What the server calls it."""
    success: bool | None = None
    """The caller got what it called for; None: the scenario does not say, or it hung up."""
    error: ErrorKind | None = None
    what: str = ""
    """The error's words."""
    lag_p99_ms: float = 0.0
    lag_max_ms: float = 0.0
    """How late the caller's own packets left."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ServerSample:
    """What the server said of itself at one moment."""

    at_s: float
    """Wall clock, seconds since 1970."""
    sessions: int
    cpu_s: float
    """CPU time used since its start, its main process only, seconds."""
    rss_mb: float
    lag_p99_ms: float
    lag_max_ms: float
    threads: int | None = None
    open_files: int | None = None
    tasks: int | None = None
    """Of its event loop."""
    processes: int | None = None
    """That it has started and that live."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


CALL: TypeAdapter[CallRecord] = TypeAdapter(CallRecord)
"""Reads a call back from JSON."""
SAMPLE: TypeAdapter[ServerSample] = TypeAdapter(ServerSample)
