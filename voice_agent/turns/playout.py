"""The agent's voice between synthesis and the wire: held, released, ducked, stopped, resumed.

The playback clock owns the truth: what left through ``pull`` was heard, what left through
``pull_ahead`` is heard when the far end has ``played`` it, and nothing else. Answers arrive faster
than they are played and under a tag; at most one is playing and at most one is held for a turn that
is not decided. Nothing here waits or decides: the transport pulls in real time,
whoever decides calls in between, and what happened is told through ``notify`` in the same call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from voice_agent.media import Pcm
from voice_agent.turns.events import Tag
from voice_agent.turns.reply import Clip, Reply, Word

AUDIBLE = 10 ** (-45 / 20)
"""Level (of full scale, peak) from which a sample is a sound: -45 dBFS, as a headless caller
measures it."""

RAMP_MS = 20.0
"""How long a change of level takes: shorter clicks, longer is late."""

FILLER_PAUSE_MS = 150.0
"""Silence behind a filler: what follows it at once is another sentence."""


@dataclass(frozen=True, slots=True)
class FirstSound:
    """The first sound of an answer, or of its filler, is in the block being pulled."""

    tag: Tag
    lead_in_ms: float = 0.0
    """Blocks of silence of the answer that were pulled before it."""


@dataclass(frozen=True, slots=True)
class WordsPlayed:
    """These words of the answer have been heard now; in order, each once."""

    tag: Tag
    text: str


@dataclass(frozen=True, slots=True)
class PlayedOut:
    """The answer has been played to its end; ``text`` is what was heard."""

    tag: Tag
    text: str


@dataclass(frozen=True, slots=True)
class Underrun:
    """The answer's audio was not there in time: the listener hears a gap."""

    tag: Tag
    samples: int


@dataclass(frozen=True, slots=True)
class OwnSound:
    """The first sound behind the filler of an answer is in the block being pulled."""

    tag: Tag


PlayoutEvent = FirstSound | OwnSound | WordsPlayed | PlayedOut | Underrun


@dataclass(slots=True)
class _InFlight:
    """A block pulled ahead: ``speech`` samples of an answer, then silence."""

    reply: Reply | None
    speech: int
    silence: int


class Playout:
    """What a transport pulls the agent's voice from; see the module's docstring.

    Args:
        rate_hz: Sample rate of everything written and pulled, Hz.
        duck_db: Level while ducked, dB relative to full.
        notify: Called synchronously with what happened, from ``pull`` or from whoever decided.
    """

    def __init__(
        self, rate_hz: int, duck_db: float, notify: Callable[[PlayoutEvent], None]
    ) -> None:
        self.rate_hz = rate_hz
        self._ducked_gain = 10 ** (duck_db / 20)
        self._notify = notify
        self._playing: Reply | None = None
        self._stopped: Reply | None = None
        self._held: Reply | None = None
        self._gain = 1.0
        self._target = 1.0
        self._audible = asyncio.Event()
        self._recent: deque[str] = deque(maxlen=40)
        self._in_flight: deque[_InFlight] = deque()
        self._recall_from: Callable[[], None] | None = None

    # ----- writing, by the reply gate -----

    def begin(self, tag: Tag) -> None:
        """Hold what will be written under ``tag``; whatever was held before is forgotten."""
        if self.playing != tag:  # it carries on with what was heard of another
            self._held = Reply(tag)

    def write(self, tag: Tag, pcm: Pcm) -> None:
        """Append audio to ``tag``'s answer; stale tags are ignored."""
        reply = self._reply(tag)
        if reply is not None:
            reply.write(pcm)
            self._wake()

    def words(self, tag: Tag, words: Sequence[Word]) -> None:
        """Say which words the samples [start, end) of ``tag``'s answer carry."""
        reply = self._reply(tag)
        if reply is not None:
            reply.add_words(words)

    def length(self, tag: Tag) -> int:
        """Return the samples written under ``tag`` so far, its filler not counted."""
        reply = self._reply(tag)
        return reply.own_length if reply is not None else 0

    def worded(self, tag: Tag) -> bool:
        """Whether there are words of ``tag``'s answer."""
        reply = self._reply(tag)
        return reply is not None and bool(reply.words or reply.heard)

    def clip(self, tag: Tag) -> Clip:
        """Return ``tag``'s answer as it was written so far, heard or not."""
        reply = self._reply(tag)
        return reply.clip() if reply is not None else Clip(np.zeros(0, dtype=np.int16), ())

    def finish(self, tag: Tag) -> None:
        """Nothing more will be written under ``tag``."""
        reply = self._reply(tag)
        if reply is None:
            return
        reply.complete = True
        if reply is self._playing and reply.played >= reply.length:
            self._played_out(reply)

    # ----- deciding -----

    def release(self, tag: Tag) -> None:
        """Let ``tag``'s answer be heard, as far as it is here and as it comes."""
        if self._held is None or self._held.tag != tag:
            return
        self._stopped = None
        self._playing, self._held = self._held, None
        self._gain = self._target = 1.0
        self._wake()
        if self._playing.complete and not self._playing.length:
            self._played_out(self._playing)

    def retract(self, tag: Tag) -> None:
        """Hold a released answer again, of which nothing was heard."""
        reply = self._playing
        if reply is not None and reply.tag == tag:
            self._recall()
            self._held, self._playing = reply, None
            reply.hold()
            self._audible.clear()

    def fill(self, tag: Tag, clip: Clip) -> None:
        """Let ``tag``'s answer, of which nothing is there yet, begin with ``clip``."""
        reply = self._playing
        if reply is not None and reply.tag == tag and not reply.length:
            reply.fill(clip, round(FILLER_PAUSE_MS / 1000.0 * self.rate_hz))
            self._wake()

    def carry(self, tag: Tag, again: Tag) -> None:
        """Let what was heard of ``tag`` be the beginning of the answer ``again``."""
        if self._playing is not None and self._playing.tag == tag:
            self._playing.tag, self._playing.complete = again, False

    def drop(self, tag: Tag) -> None:
        """Forget ``tag``'s answer."""
        if self._held is not None and self._held.tag == tag:
            self._held = None
        if self._playing is not None and self._playing.tag == tag:
            self._recall()
            self._playing = None
            self._audible.clear()

    def duck(self) -> None:
        """Lower the voice; where it had fallen silent, go on quietly from the last word on."""
        self._recall()  # what is on its way is lowered too
        self._sound_at(self._ducked_gain)

    def hush(self) -> None:
        """Fall silent within ``RAMP_MS`` and wait where it is, to go on or to be stopped."""
        self._target = 0.0
        if self._recall():
            self._gain = 0.0  # the far end has been cut off: nothing is left to fade

    def unduck(self) -> None:
        """Raise the voice again; where it had fallen silent, from the last word on."""
        self._sound_at(1.0)

    def stop(self) -> str:
        """Be silent from the next pull on; return what was heard of the answer."""
        reply = self._playing
        if reply is None:
            return ""
        self._recall()
        self._playing, self._stopped = None, reply
        self._audible.clear()
        return self.heard(reply.tag)

    def resume(self) -> Tag | None:
        """Go on where ``stop`` cut off, from the start of the last word heard."""
        reply, self._stopped = self._stopped, None
        if reply is None:
            return None
        reply.rewind()
        self._playing = reply
        self._gain = self._target = 1.0
        self._wake()
        return reply.tag

    def stopped(self, tag: Tag) -> bool:
        """Whether ``tag``'s answer is cut off and can still be resumed."""
        return self._stopped is not None and self._stopped.tag == tag

    # ----- what was heard -----

    def heard(self, tag: Tag) -> str:
        """Return the words of ``tag``'s answer heard so far, as the language model wrote them."""
        for reply in (self._playing, self._stopped):
            if reply is not None and reply.tag == tag:
                return reply.text
        return ""

    def recently_heard(self) -> str:
        """Return the last words played, for telling an echo from a caller."""
        return " ".join(self._recent)

    @property
    def playing(self) -> Tag | None:
        """The answer being played."""
        return self._playing.tag if self._playing is not None else None

    # ----- the transport's side -----

    def pull(self, samples: int) -> Pcm:
        """Return the next ``samples`` samples, silence where there is nothing to say."""
        block = self.pull_ahead(samples)
        self.played(samples)
        return block

    def pull_ahead(self, samples: int) -> Pcm:
        """Return the next ``samples`` samples, which are heard when ``played`` says so."""
        block = np.zeros(samples, dtype=np.int16)
        reply = self._playing
        if reply is None or self._gain == self._target == 0.0:
            self._audible.clear()
            self._in_flight.append(_InFlight(None, 0, samples))
            return block
        taken = reply.read(samples, block)
        reply.position += taken
        self._in_flight.append(_InFlight(reply, taken, samples - taken))
        if taken:
            self._apply_gain(block)
            self._tell_first_sound(reply, block[:taken])
        if taken < samples and self._playing is reply:
            self._audible.clear()
            # Between a filler and its answer is the wait that the filler was for.
            if reply.audible and reply.own_length and not reply.complete:
                self._notify(Underrun(reply.tag, samples - taken))
        return block

    def played(self, samples: int) -> None:
        """Count the next ``samples`` samples that were pulled ahead as heard."""
        while samples > 0 and self._in_flight:
            block = self._in_flight[0]
            speech = min(samples, block.speech)
            silence = min(samples - speech, block.silence)
            block.speech -= speech
            block.silence -= silence
            samples -= speech + silence
            if not block.speech and not block.silence:
                self._in_flight.popleft()
            if block.reply is not None:
                block.reply.played += speech
                self._tell_words(block.reply)
                # The silence behind its end says that the end itself has been heard.
                if block.reply.complete and silence and block.reply.played >= block.reply.length:
                    self._played_out(block.reply)

    def ready(self) -> int:
        """Return how many samples can be pulled before there is silence."""
        reply = self._playing
        if reply is None or self._gain == self._target == 0.0:
            return 0
        return reply.length - reply.position

    def on_recall(self, recall: Callable[[], None]) -> None:
        """Call ``recall`` when what was pulled ahead and not played must not be heard.

        It may first say with ``played`` how much of it can no longer be taken back.
        """
        self._recall_from = recall

    def _recall(self) -> bool:
        """Take back what was pulled ahead and not played; return whether there was anything."""
        if not self._in_flight:
            return False
        if self._recall_from is not None:
            self._recall_from()
        for block in self._in_flight:
            if block.reply is not None:
                block.reply.position = block.reply.played
        self._in_flight.clear()
        return True

    async def wait_audible(self) -> None:
        """Return when the next ``pull`` has something to say."""
        await self._audible.wait()

    def _sound_at(self, gain: float) -> None:
        if (reply := self._playing) is not None and self._target == 0.0:
            self._recall()
            reply.rewind()
        self._target = gain
        self._wake()

    def _apply_gain(self, block: Pcm) -> None:
        if self._gain == self._target == 1.0:
            return
        per_sample = 1.0 / (RAMP_MS / 1000.0 * self.rate_hz)
        steps = np.arange(1, block.size + 1, dtype=np.float32) * per_sample
        if self._target > self._gain:
            gains = np.minimum(self._gain + steps, self._target)
        else:
            gains = np.maximum(self._gain - steps, self._target)
        self._gain = float(gains[-1])
        np.multiply(block, gains, out=block, casting="unsafe")

    def _tell_first_sound(self, reply: Reply, block: Pcm) -> None:
        """Tell the first sounds in ``block``, which ends where the reply was pulled to."""
        if not reply.audible and _peak(block) >= AUDIBLE:
            reply.audible = True
            lead_in_ms = (reply.position - block.size) / self.rate_hz * 1000.0
            self._notify(FirstSound(reply.tag, lead_in_ms))
        own = min(block.size, reply.position - reply.filler)
        if reply.filler and not reply.own_audible and own > 0 and _peak(block[-own:]) >= AUDIBLE:
            reply.own_audible = True
            self._notify(OwnSound(reply.tag))

    def _tell_words(self, reply: Reply) -> None:
        said = reply.newly_heard()
        if said:
            self._recent.extend(said)
            self._notify(WordsPlayed(reply.tag, " ".join(said)))

    def _played_out(self, reply: Reply) -> None:
        left = reply.rest_heard()
        if left:
            self._notify(WordsPlayed(reply.tag, " ".join(left)))
        if self._playing is reply:
            self._playing = None
            self._audible.clear()
            self._notify(PlayedOut(reply.tag, reply.text))

    def _wake(self) -> None:
        playing = self._playing
        if playing is not None and playing.position < playing.length:
            self._audible.set()

    def _reply(self, tag: Tag) -> Reply | None:
        for reply in (self._playing, self._held, self._stopped):
            if reply is not None and reply.tag == tag:
                return reply
        return None


def _peak(block: Pcm) -> float:
    return float(np.abs(block.astype(np.int32)).max()) / 32768.0
