"""A caller's half of a conversation, whatever the line: speak, listen, measure.

The two ends of every latency, on one monotonic clock:

- *stop*: when the packet left whose last sample was the last of the caller's voice;
- *sound*: when the packet arrived that held the agent's first sample above -45 dBFS.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from voice_agent.load import wire
from voice_agent.load.errors import Lost, NoAnswer
from voice_agent.load.heard import Heard
from voice_agent.load.mouth import Lag, Stream, Utterance
from voice_agent.load.wav import Samples, Speech

FLOOR_DBFS = -66.0
QUIET_S = 0.3
"""An answer the server says has ended is over after this much silence."""
LONG_QUIET_S = 2.0
"""An answer is over after this much silence, whatever the server says."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something the caller said, and when it left."""

    utterance: Utterance
    asked_s: float
    """When the caller began to send it."""
    start_s: float
    """When the packet with its first voice left."""
    stop_s: float
    """When the packet with its last voice left."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the caller and the agent's answer."""

    user: str
    """What the server took the caller to have said."""
    agent: str
    """What the agent is said to have been heard saying."""
    v2v_ms: float | None
    """From the caller's last voice to the agent's first sound after it; None when the agent spoke
    before the end and went on through it."""
    cut_in_ms: float | None
    """How long before the caller's end the agent began to speak; None as it should be."""
    said: Said
    sound_s: float
    """Arrival of the answer's first sound."""
    end_s: float
    """Arrival of the answer's last sound."""
    audio: Samples
    """The answer, 48 kHz mono, from ``said.asked_s`` on: on the caller's line of time."""


class Speaking(ABC):
    """One call, from ``async with`` to its end.

    Args:
        url: The agent's address, for example ``http://127.0.0.1:7860``.
        stream: What the caller says.
        timeout_s: How long connecting and every wait may take unless told otherwise.
    """

    def __init__(self, url: str, stream: Stream, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.heard = Heard()
        self.log = wire.Log()
        self._stream = stream
        self._timeout_s = timeout_s
        self._pulse = asyncio.Event()
        self._lost: str | None = None

    async def __aenter__(self) -> Self:
        """Call, and wait until the agent says it is ready."""
        try:
            await self._dial()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        await self._close()

    @abstractmethod
    async def _dial(self) -> None:
        """Connect, and wait until the agent is ready."""

    @abstractmethod
    async def _close(self) -> None:
        """Hang up, whatever has been connected; idempotent."""

    @property
    @abstractmethod
    def _sent_s(self) -> Sequence[float]:
        """When each 20 ms packet of the stream left, by packet number; monotonic seconds."""

    @abstractmethod
    def lag(self) -> Lag:
        """Return how late the caller's own packets left so far."""

    def gaps(self, longer_s: float) -> list[float]:
        """Return how long the agent's voice broke off in its middle, seconds, each time it was
        longer than ``longer_s``."""
        return self.heard.stalls(longer_s)

    @abstractmethod
    def send(self, text: str) -> None:
        """Send a message of :mod:`voice_agent.load.wire`."""

    def _told(self, text: str | bytes) -> None:
        """Take a message of the agent's."""
        received = self.log.add(time.monotonic(), text)
        if received is not None and received.kind == "goodbye":
            reason = received.data.get("text") or received.data.get("reason") or "no reason given"
            self._lost = f"the server hung up: {reason}"
        if received is not None and received.kind == "error" and received.data.get("fatal"):
            self._lost = f"the agent failed: {received.data.get('error')}"
        self._pulse.set()

    @staticmethod
    def now() -> float:
        """Return the clock that everything here is stamped with, monotonic seconds."""
        return time.monotonic()

    async def play(self, speech: Speech) -> Said:
        """Speak, over whatever the agent does; return when all of it has left."""
        asked_s = time.monotonic()
        utterance = self._stream.put(speech)
        sent = self._sent_s
        late_s = speech.duration_s + self._timeout_s
        await self.until(lambda: len(sent) > utterance.end, "take the caller's audio", late_s)
        return Said(utterance, asked_s, sent[utterance.first], sent[utterance.last])

    async def say(self, speech: Speech, *, timeout_s: float | None = None) -> Turn:
        """Speak while the agent is silent, and hear its answer out.

        Raises:
            NoAnswer: No sound came within ``timeout_s`` of the caller's last voice, or the answer
                does not end within a minute.
            Lost: The call broke.
        """
        return await self.answer(await self.play(speech), timeout_s=timeout_s)

    async def answer(self, said: Said, *, timeout_s: float | None = None) -> Turn:
        """Hear out the answer to what was said; the agent was silent when the caller began."""
        first_s = await self.sound(said.asked_s, "answer", timeout_s=timeout_s)
        sound_s: float | None = first_s
        if first_s >= said.stop_s:
            end_s = await self.end_of_answer(first_s)
        elif self.heard.is_silent_at(said.stop_s):  # it gave way
            sound_s = await self.sound(said.stop_s, "answer", timeout_s=timeout_s)
            end_s = await self.end_of_answer(sound_s)
        else:  # it talked on; what it says next may still be an answer to the whole
            end_s = await self.quiet(said.stop_s)
            sound_s = self.heard.onset_after(said.stop_s)
        return Turn(
            user=self.log.user_words(said.asked_s),
            agent=self.log.agent_words(said.asked_s),
            v2v_ms=None if sound_s is None else (sound_s - said.stop_s) * 1000,
            cut_in_ms=(said.stop_s - first_s) * 1000 if first_s < said.stop_s else None,
            said=said,
            sound_s=first_s if sound_s is None else sound_s,
            end_s=end_s,
            audio=self.heard.audio_between(said.asked_s, end_s + QUIET_S),
        )

    async def sound(self, since_s: float, doing: str, *, timeout_s: float | None = None) -> float:
        """Wait for the agent's first sound after ``since_s``; return when it arrived."""
        await self.until(lambda: self.heard.last_sound_s >= since_s, doing, timeout_s)
        sound_s = self.heard.sound_after(since_s)
        assert sound_s is not None
        return sound_s

    async def end_of_answer(self, since_s: float, *, timeout_s: float = 60.0) -> float:
        """Wait until the agent, which spoke at ``since_s``, is done; return when it was."""

        def over() -> bool:
            quiet_s = time.monotonic() - max(self.heard.last_sound_s, since_s)
            return quiet_s > LONG_QUIET_S or (quiet_s > QUIET_S and self.log.answer_ended(since_s))

        await self.until(over, "finish its answer", timeout_s)
        return max(self.heard.last_sound_s, since_s)

    async def quiet(self, since_s: float, *, timeout_s: float = 60.0) -> float:
        """Wait for two seconds of silence after ``since_s``; return when they began."""

        def over() -> bool:
            return time.monotonic() - max(self.heard.last_sound_s, since_s) > LONG_QUIET_S

        await self.until(over, "fall silent", timeout_s)
        return max(self.heard.last_sound_s, since_s)

    async def greeting(self, *, within_s: float = 3.0) -> str | None:
        """Hear the agent's greeting out; return its words, or None when there is none."""
        since_s = self.heard.started_s or time.monotonic()
        try:
            await self.sound(since_s, "greet", timeout_s=within_s)
        except NoAnswer:
            return None
        await self.end_of_answer(self.heard.sound_after(since_s) or since_s)
        return self.log.agent_words(0.0)

    async def wait(self, until_s: float) -> None:
        """Let the call go on until a moment of the monotonic clock."""
        await self.until(
            lambda: time.monotonic() >= until_s, "stay", until_s - time.monotonic() + 5.0
        )

    async def until(
        self, true: Callable[[], bool], doing: str, timeout_s: float | None = None
    ) -> None:
        """Wait for something to become true; asked at every packet and message, 20 ms at most.

        Raises:
            NoAnswer: The agent did not do ``doing`` in time.
            Lost: The call is over.
        """
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while not true():
                    if self._lost is not None:
                        raise Lost(f"{self.url}: {self._lost}")
                    self._pulse.clear()
                    await self._pulse.wait()
        except TimeoutError:
            raise NoAnswer(
                f"{self.url}: the agent did not {doing} within {timeout_s:g} s"
            ) from None
