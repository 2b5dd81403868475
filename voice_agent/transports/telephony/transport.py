"""A telephone line as a conversation sees it: one media socket, whichever carrier's.

One task reads the socket, one paces the agent's voice; the socket itself writes. Keys pressed are
collected and said as the user's words. Whatever a stranger sends that is not the protocol is
counted, named without being quoted, and too much of it ends the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from loguru import logger

from voice_agent.deadline import Deadline
from voice_agent.media import AudioSource, HeardAudio, now_ms
from voice_agent.transports.telephony.audio import Inbound
from voice_agent.transports.telephony.dtmf import tones
from voice_agent.transports.telephony.keys import Keypad
from voice_agent.transports.telephony.playback import Playback
from voice_agent.transports.telephony.wire import (
    RTVI_LABEL,
    BadMessage,
    Drained,
    Ended,
    Event,
    Key,
    Marked,
    Media,
    Reply,
    Rtvi,
    Started,
    Wire,
)
from voice_agent.transports.websocket import POLICY, Socket

UNHEARD_MAX = 250
"""Packets that nobody has taken (5 s of 20 ms) after which the oldest are dropped."""
MESSAGES_MAX = 200
"""Client messages waiting to be read; more are dropped."""
BAD_MAX = 50
"""Messages that are not the protocol before the line is closed."""
GOODBYE_S = 2.0
"""How long the other side may take to answer our goodbye."""
SILENCE_MS = 20.0
"""Silence put in at a time while no packets come."""
_STALLED = (Media(b""), 0.0)
"""Stands among the packets where none came for too long."""


class TelephoneLine:
    """The transport of one call; ``run`` it for as long as the socket is open.

    Args:
        name: The carrier's, as traces name it.
        wire: The call's protocol, which has seen ``started``.
        socket: The open media socket.
        started: What the carrier said of the call.
    """

    def __init__(self, name: str, wire: Wire, socket: Socket, started: Started) -> None:
        self.name = name
        self.ids: Mapping[str, str] = {"call_id": started.call_id, **started.ids}
        self.audio_out_hz = started.format.hz
        self._wire = wire
        self._socket = socket
        self._format = started.format
        self._inbound = Inbound(started.format)
        self._packets: asyncio.Queue[tuple[Media, float] | None] = asyncio.Queue()
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MESSAGES_MAX)
        self._keypad = Keypad()
        self._keys_due: asyncio.TimerHandle | None = None
        self._playback: Playback | None = None
        self._playing: asyncio.Task[None] | None = None
        self._farewell: str | bytes | None = None
        """What is said at the end in place of the protocol's goodbye."""
        self._speaks_rtvi = False
        self._gone = False
        """The conversation hears no more of the caller."""
        self._closed = False
        self._over = asyncio.Event()
        """The other side has said its last, or is not there any more."""
        self.bad_messages = 0
        self.unheard = 0
        """Packets dropped because nobody took them."""
        self._messages.put_nowait(
            {"label": RTVI_LABEL, "type": "client-ready", "id": "telephone", "data": {}}
        )

    async def run(self) -> None:
        """Read the socket until either side has hung up."""
        try:
            async for message in self._socket.messages():
                self._receive(message)
                if self._over.is_set():
                    break
        finally:
            self._over.set()
            self._leave()

    # ----- audio in -----

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield the caller's audio, silence where packets stop; ends when the caller has gone."""
        stalled = Deadline(lambda: self._packets.put_nowait(_STALLED))
        try:
            while (item := await self._packets.get()) is not None:
                if item is _STALLED:
                    stalled.put_off(SILENCE_MS / 1000.0)
                    for audio in self._inbound.stalled(SILENCE_MS, now_ms()):
                        yield audio
                    continue
                heard = self._inbound.media(*item)
                stalled.put_off(self._inbound.patience_ms / 1000.0)
                for audio in heard:
                    yield audio
        finally:
            stalled.cancel()

    # ----- audio out -----

    def play(self, source: AudioSource) -> None:
        """Send what ``source`` has to say, until closed."""
        self._playback = Playback(self._wire, self._format, source, self._socket.send)
        self._playing = asyncio.create_task(self._playback.run(), name=f"playback {self.name}")

    def press(self, keys: str) -> bool:
        """Send keys into the call; return False where the protocol has no way to."""
        message = self._wire.keys(keys)
        if message is not None:
            self._socket.send(message)
        return message is not None

    async def sound(self, keys: str) -> None:
        """Send keys as sound, when the agent is not speaking; return when they are sent."""
        if self._playback is not None:
            await self._playback.sound(await tones(keys, self._format.hz))

    def hand_over(self, to: str) -> bool:
        """Let our part end with a transfer to ``to``; return False where the protocol has none."""
        self._farewell = self._wire.transfer(to)
        return self._farewell is not None

    # ----- messages -----

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield that somebody listens, the keys pressed, and what an RTVI client says."""
        while (message := await self._messages.get()) is not None:
            yield message

    def send(self, message: dict[str, Any]) -> None:
        """Send an RTVI message to those who speak RTVI; a telephone does not."""
        if self._speaks_rtvi:
            self._socket.send(json.dumps(message))

    # ----- the end -----

    async def close(self) -> None:
        """Hang up; idempotent."""
        if self._closed:
            return
        self._closed = True
        polite = None if self._gone else self._farewell or self._wire.goodbye()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing})
        if polite is not None:
            self._socket.send(polite)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._over.wait()
        self._leave()
        self._socket.close()

    def figures(self) -> dict[str, float]:
        """Return what a trace should know of the line: counts, ms, dBFS."""
        out = self._playback.figures() if self._playback is not None else {}
        return {
            **self._inbound.figures(),
            **out,
            "bad_messages": self.bad_messages,
            "in_unheard": self.unheard,
        }

    def _leave(self) -> None:
        if self._gone:
            return
        self._gone = True
        if self._keys_due is not None:
            self._keys_due.cancel()
        self._packets.put_nowait(None)
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait(None)

    # ----- what the socket says -----

    def _receive(self, message: str | bytes) -> None:
        try:
            for event in self._wire.receive(message):
                self._take(event)
        except BadMessage as error:
            self.bad_messages += 1
            if self.bad_messages == 1:
                logger.warning(f"{self.name}: {error}")
            if self.bad_messages > BAD_MAX:
                logger.warning(f"{self.name}: the line does not speak its protocol; closed")
                self._socket.close(POLICY, "not the protocol")

    def _take(self, event: Event) -> None:
        match event:
            case Media():
                if self._packets.qsize() >= UNHEARD_MAX:
                    self._packets.get_nowait()
                    self.unheard += 1
                self._packets.put_nowait((event, now_ms()))
            case Marked(name):
                if self._playback is not None:
                    self._playback.marked(name)
            case Drained():
                if self._playback is not None:
                    self._playback.drained()
            case Key(key):
                self._enter(self._keypad.press(key, now_ms()))
            case Reply(answer):
                self._socket.send(answer)
            case Rtvi(rtvi):
                self._speaks_rtvi = True
                self._say(dict(rtvi))
            case Ended():
                self._over.set()
                self._leave()
            case Started():
                raise BadMessage("the call starts a second time")

    def _enter(self, entry: str | None) -> None:
        """Say an entry that is complete; while one is not, the agent waits."""
        if self._keys_due is not None:
            self._keys_due.cancel()
            self._keys_due = None
        if entry is not None:
            data = {"content": entry}
            self._say({"label": RTVI_LABEL, "type": "send-text", "id": "keys", "data": data})
            if self._playback is not None:
                self._playback.resume()
            return
        if self._playback is not None:
            self._playback.pause()
        due = self._keypad.due_at()
        assert due is not None
        delay_s = max(0.0, due - now_ms()) / 1000.0 + 0.001
        self._keys_due = asyncio.get_running_loop().call_later(delay_s, self._pause_over)

    def _pause_over(self) -> None:
        self._keys_due = None
        entry = self._keypad.paused(now_ms())
        if entry is not None:
            self._enter(entry)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            logger.warning("a client's messages come faster than they are read: one dropped")
