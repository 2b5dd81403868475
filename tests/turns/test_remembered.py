"""What is remembered is what was heard: turn machine, memory and voice together, in any order.

Real turn-taking, playout and memory in virtual time; engines that answer word by word, fail or
never come; a user who speaks, types and interrupts whenever they like; a listener who keeps every
word that was played.
"""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import Frame, InterruptionFrame

from tests.llm.virtual_time import run_virtual
from voice_agent.engines import SessionInfo
from voice_agent.frames import AsideFrame, ReplyStartFrame
from voice_agent.tts.scripted import ScriptedSettings, ScriptedSpeech
from voice_agent.turns import taking
from voice_agent.turns.events import (
    Bound,
    Called,
    Heard,
    Phrased,
    Tag,
    Typed,
    Voiced,
    VoiceStarted,
    VoiceStopped,
    Worded,
)
from voice_agent.turns.ledger import Ledger
from voice_agent.turns.playout import Playout, PlayoutEvent, WordsPlayed
from voice_agent.turns.reply import Clip
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, Remedies, User
from voice_agent.turns.taking import APOLOGY, Lines, TurnTaking

HZ = 1000
STEP_MS = 20
WORD_MS = 120
FILLERS = ("uno momento", "un attimo")


def clip(text: str) -> Clip | None:
    if text not in (*FILLERS, APOLOGY):
        return None
    words = text.split()
    timed = tuple((word, i * WORD_MS, (i + 1) * WORD_MS) for i, word in enumerate(words))
    return Clip(np.full(len(words) * WORD_MS, 9_000, dtype=np.int16), timed)


class World:
    """A conversation, its engines and its listener."""

    def __init__(self, remedies: Remedies) -> None:
        self.ledger = Ledger("")
        self.playout = Playout(HZ, -18.0, self._played)
        self.taking = TurnTaking(
            TurnSettings(sound_model=False, answer_timeout_ms=2500),
            self.ledger,
            self.playout,
            lines=Lines(fillers=[made for text in FILLERS if (made := clip(text))], clip=clip),
            remedies=remedies,
        )
        self.heard: dict[int, list[str]] = {}
        """Words played of each turn's answer, in order; a word said again is there once."""
        self._voice = ScriptedSpeech(ScriptedSettings(), SessionInfo("s", HZ, HZ))
        self._writing: Tag | None = None
        self._words = 0

    def _played(self, event: PlayoutEvent) -> None:
        if isinstance(event, WordsPlayed):
            heard = self.heard.setdefault(event.tag.turn, [])
            for word in event.text.split():
                if not heard or heard[-1] != word:  # the last word is said again on resuming
                    heard.append(word)
        self.taking.on_playout(event)

    async def listen(self, ms: float) -> None:
        """Let time pass, and hear what is said meanwhile."""
        for _ in range(round(ms / STEP_MS)):
            await asyncio.sleep(STEP_MS / 1000)
            self.playout.pull(STEP_MS)
            self._engines()

    def _engines(self) -> None:
        """Let the engines take what they were sent."""
        while not self.taking._outbox.empty():
            frame: Frame = self.taking._outbox.get_nowait()[0]
            if isinstance(frame, AsideFrame):
                frame = frame.frame
            if isinstance(frame, InterruptionFrame):
                self._writing = None
            elif isinstance(frame, ReplyStartFrame):
                self._writing, self._words = Tag(frame.turn, frame.revision), 0

    def happens(self, what: object) -> None:
        self._engines()
        now, tag = taking.now_ms(), self._writing
        match what:
            case "voice":
                self.taking.post(VoiceStarted(now - 60))
            case "silence":
                self.taking.post(VoiceStopped(now - 64))
            case ("type", str(text)):
                self.taking.post(Typed(text))
            case ("say", str(text), bool(final)):
                self.taking.post(Heard(text, final, 0.9))
            case "call" if tag is not None:
                self.taking.post(Called(tag))
            case "bind" if self.taking.state.answer is not None:
                self.taking.post(Bound(self.taking.state.answer))
            case "write" if tag is not None:
                self.taking.post(Worded(tag))
                self.taking.post(Phrased(tag))
            case "speak" if tag is not None:
                self._speak(tag)
            case "end" if tag is not None:
                self._writing = None
                self.taking.answers.round_ended(tag)
            case "fail":
                self.taking.answers.failure(None)
            case "mute":
                self.taking.answers.failure(self._voice)
            case _:
                pass

    def _speak(self, tag: Tag) -> None:
        start = self.playout.length(tag)
        word = f"w{tag.turn}.{tag.revision}.{self._words}"
        self._words += 1
        self.playout.words(tag, [(word, start, start + WORD_MS)])
        self.playout.write(tag, np.full(WORD_MS, 9_000, dtype=np.int16))
        for event in (Worded(tag), Phrased(tag), Voiced(tag)):
            self.taking.post(event)

    def check(self) -> None:
        """What holds at every moment."""
        for turn, heard in self.heard.items():
            own = [word for word in heard if word.count(".") == 2]
            # One audible answer a turn, in order, and no word of it twice.
            assert len({word.rsplit(".", 1)[0] for word in own}) <= 1, (turn, heard)
            assert [int(word.rsplit(".", 1)[1]) for word in own] == list(range(len(own)))
            # At most one filler, and it comes first.
            filler = [word for word in heard if any(word in f.split() for f in FILLERS)]
            assert heard[: len(filler)] == filler
            assert " ".join(filler) == "" or any(f.startswith(" ".join(filler)) for f in FILLERS)

    async def come_to_rest(self) -> None:
        """The user is silent and the engines answer."""
        self.happens("silence")
        for _ in range(60):
            await self.listen(300)
            self.happens(("say", "", True))
            self.happens("speak")
            self.happens("end")
        assert self.taking.state.user is User.QUIET
        assert self.taking.state.agent is Agent.IDLE


_texts = st.sampled_from(["yes", "wait", "a table for", "what time do you open"])
_happenings = st.lists(
    st.tuples(
        st.integers(0, 45),
        st.one_of(
            st.sampled_from(["voice", "silence", "fail", "mute", "end", "call", "bind", "write"]),
            st.just("speak"),
            st.tuples(st.just("type"), _texts),
            st.tuples(st.just("say"), st.one_of(_texts, st.just("")), st.booleans()),
        ),
    ),
    max_size=40,
)
_ms = st.one_of(st.none(), st.sampled_from([60.0, 200.0, 500.0]))
_remedies = st.builds(
    Remedies,
    filler_after_ms=_ms,
    words_to_sound_ms=st.just(60.0),
    llm_after_ms=_ms,
    tts_after_ms=_ms,
)


async def _live(happenings: list[tuple[int, object]], remedies: Remedies) -> None:
    loop = asyncio.get_running_loop()
    with patch.object(taking, "now_ms", lambda: loop.time() * 1000.0):
        world = World(remedies)
        for steps, what in happenings:
            await world.listen(steps * STEP_MS)
            world.happens(what)
            world.check()
        await world.come_to_rest()
        world.check()
        remembered = {each.turn: each.heard.split() for each in world.ledger.exchanges}
        for turn, heard in world.heard.items():
            assert remembered[turn] == heard, turn
        assert all(world.heard.get(turn) for turn, words in remembered.items() if words)


@settings(max_examples=60, deadline=None)
@given(_happenings, _remedies)
def test_what_is_remembered_is_what_was_heard_after_any_order_of_events(
    happenings: list[tuple[int, object]], remedies: Remedies
) -> None:
    """Fillers and other engines included: one answer a turn, each word once, all of it kept."""
    run_virtual(_live(happenings, remedies))
