"""What a pipeline does about late answers: real conversations with scripted engines made slow."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.budget.test_verdict import a_turn
from tests.calling import Caller, call
from voice_agent.frames import AsideFrame
from voice_agent.llm.scripted import ScriptedService
from voice_agent.trace.model import Verdict
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.scripted import ScriptedSpeech
from voice_agent.tts.service import SpokenAudio
from voice_agent.turns.events import Apologise, Fill, Revoice, Speculate
from voice_agent.turns.playout import FirstSound, OwnSound, PlayedOut

pytestmark = pytest.mark.slow

QUESTION = "where are you"
ADDRESS = "We are at twelve Garden Street, at the corner of the market square."
FILLERS = ("One moment.", "Let me see.", "Just a second.")
OTHER = "This is somebody else who speaks to you."
QUICK_VOICE = ("tts.engine=scripted", "tts.ttfb_ms=0", "tts.ms_per_word=60")
LATE_MS = 60_000
"""Later than any test waits."""


@pytest.fixture
def calling(tmp_path: Path) -> Callable[..., Any]:
    """Returns a context manager that holds a conversation of the embedded agent."""
    return partial(call, tmp_path)


def filler(after_ms: float) -> tuple[str, ...]:
    return (*QUICK_VOICE, 'budget.on_miss=["filler"]', f"budget.filler.after_ms={after_ms}")


def other_llm(after_ms: float) -> tuple[str, ...]:
    return (
        *QUICK_VOICE,
        'budget.on_miss=["fallback"]',
        f"budget.fallback.llm_after_ms={after_ms}",
        "llm.fallback.engine=scripted",
        f"llm.fallback.answer={OTHER}",
        "llm.fallback.ttft_ms=0",
        "llm.fallback.tokens_per_s=1000",
    )


def other_voice(after_ms: float) -> tuple[str, ...]:
    return (
        'budget.on_miss=["fallback"]',
        f"budget.fallback.tts_after_ms={after_ms}",
        "tts.engine=scripted",
        f"tts.ttfb_ms={LATE_MS}",
        "tts.fallback.engine=scripted",
        "tts.fallback.ttfb_ms=0",
        "tts.fallback.ms_per_word=40",
    )


async def heard(caller: Caller, turns: int = 1) -> str:
    """Wait until so many answers have been played to their end; return the last."""
    await caller.until(lambda: len(caller.seen(PlayedOut)) == turns)
    return str(caller.told("agent-turn")[-1]["text"])


def remembered(caller: Caller) -> list[str]:
    return [exchange.heard for exchange in caller.conversation.ledger.exchanges]


def pushed(caller: Caller, llm: Any) -> list[str]:
    """Keep the words that a language model's service pushes from now on."""
    words: list[str] = []

    async def note(_: object, frame: Any) -> None:
        if not isinstance(frame, AsideFrame) and hasattr(frame, "text"):
            words.append(frame.text)

    llm.add_event_handler("on_before_push_frame", note)
    return words


def services(caller: Caller, kind: type) -> list[Any]:
    """The conversation's services of a kind, the usual one first."""
    found = []
    for each in caller.conversation._worker._pipeline.processors:
        found += [p for p in [each, *each.processors] if isinstance(p, kind)]
    return found


# ----- filler -----


async def test_a_late_answer_begins_with_a_filler_and_is_remembered_with_it(calling: Any) -> None:
    """One answer, heard whole behind a few words; the verdict says who was late."""
    async with calling("llm.ttft_ms=1200", *filler(200)) as caller:
        caller.types(QUESTION)
        said = await heard(caller)
        assert said == f"{FILLERS[0]} {ADDRESS}"
        assert remembered(caller) == [said]
        assert len(caller.seen(Fill)) == len(caller.seen(FirstSound)) == 1
        assert caller.seen(OwnSound)
        (turn,) = caller.traced()
        assert (turn.verdict, turn.guilty) == ("missed", "llm_first_token")
        assert turn.v2v_ms < turn.figures["answer_ms"]
        assert "filler" in [event.name for event in turn.events]


async def test_the_next_late_answer_has_no_filler(calling: Any) -> None:
    """Never twice in a row; the one after that has another one."""
    async with calling("llm.ttft_ms=700", *filler(100)) as caller:
        for turn in range(1, 4):
            caller.types(QUESTION)
            await heard(caller, turn)
        first, second, third = remembered(caller)
        assert first == f"{FILLERS[0]} {ADDRESS}"
        assert second == ADDRESS
        assert third == f"{FILLERS[1]} {ADDRESS}"


async def test_an_answer_in_time_has_no_filler(calling: Any) -> None:
    """It is there before its deadline."""
    async with calling(*filler(700)) as caller:
        caller.types(QUESTION)
        assert await heard(caller) == ADDRESS
        assert caller.seen(Fill) == []


async def test_a_filler_that_is_interrupted_is_remembered_as_heard(calling: Any) -> None:
    """And the answer it stood for is never heard."""
    async with calling("llm.ttft_ms=1500", *filler(50), "tts.ms_per_word=250") as caller:
        caller.types(QUESTION)
        await caller.until(lambda: caller.told("state")[-1]["state"] == "speaking")
        await caller.until(lambda: caller.line.loud_blocks >= 10)
        caller.types("goodbye")
        await heard(caller)
        cut, whole = remembered(caller)
        assert cut
        assert FILLERS[0].startswith(cut)
        assert ADDRESS not in whole
        assert not whole.startswith(FILLERS)


# ----- another language model -----


async def test_another_language_model_answers_when_the_first_is_late(calling: Any) -> None:
    """The late one is given up; it would have spoken while the other still does."""
    async with calling("llm.ttft_ms=400", *other_llm(100)) as caller:
        late = pushed(caller, services(caller, ScriptedService)[0])
        caller.types(QUESTION)
        assert await heard(caller) == OTHER
        assert remembered(caller) == [OTHER]
        assert late == []
        assert [ask.fallback for ask in caller.seen(Speculate)] == [False, True]
        (turn,) = caller.traced()
        assert "fallback" in [event.name for event in turn.events]


async def test_it_answers_for_one_turn(calling: Any) -> None:
    """The next question goes to the usual one again, which may be in time."""
    async with calling("llm.ttft_ms=600", *other_llm(100)) as caller:
        usual, _ = services(caller, ScriptedService)
        caller.types(QUESTION)
        assert await heard(caller) == OTHER
        usual._ttft_s = 0.0
        caller.types(QUESTION)
        assert await heard(caller, 2) == ADDRESS


async def test_another_language_model_answers_when_the_first_is_dead(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for its deadline, and without an apology."""
    answer = ScriptedService._answer

    async def fail(service: ScriptedService, context: Any, at: float) -> None:
        if service._ttft_s == 0.05:
            raise ConnectionError("the engine is gone")
        await answer(service, context, at)

    monkeypatch.setattr(ScriptedService, "_answer", fail)
    async with calling("llm.ttft_ms=50", *other_llm(LATE_MS)) as caller:
        caller.types(QUESTION)
        assert await heard(caller) == OTHER
        assert caller.seen(Apologise) == []


async def test_tools_work_with_the_other_language_model_too(calling: Any) -> None:
    """A booking is made once, whichever model makes it."""
    script = ("llm.fallback.script=agents/bella-notte.script.toml",)
    overrides = [each for each in other_llm(50) if "answer" not in each]
    async with calling(f"llm.ttft_ms={LATE_MS}", *overrides, *script) as caller:
        caller.types("please book a table for four people tomorrow at seven please")
        assert "four people" in await heard(caller)
        assert caller.bookings() == 1


# ----- another voice -----


async def test_another_voice_says_the_words_when_the_first_is_late(calling: Any) -> None:
    """Those written before it was asked and those written since, each once and in order."""
    async with calling("llm.tokens_per_s=30", *other_voice(150)) as caller:
        late, other = services(caller, ScriptedSpeech)
        caller.types(QUESTION)
        assert await heard(caller) == ADDRESS
        assert remembered(caller) == [ADDRESS]
        assert len(caller.seen(Revoice)) == len(caller.seen(FirstSound)) == 1
        assert len(caller.seen(Speculate)) == 1, "the language model was asked once"
        assert late._replies == {}, "the late voice has given up"
        assert other.is_usable


async def test_another_voice_speaks_when_the_first_is_dead(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the whole answer had been written by then."""
    speak = ScriptedSpeech.speak

    async def fail(
        service: ScriptedSpeech, speech: Speech, reply: ReplyAudio
    ) -> AsyncGenerator[SpokenAudio, None]:
        if service._script.ttfb_ms == LATE_MS:
            raise ConnectionError("the voice is gone")
        async for piece in speak(service, speech, reply):
            yield piece

    monkeypatch.setattr(ScriptedSpeech, "speak", fail)
    async with calling("llm.tokens_per_s=1000", *other_voice(LATE_MS)) as caller:
        caller.types(QUESTION)
        assert await heard(caller) == ADDRESS
        assert caller.seen(Apologise) == []
        assert len(caller.seen(Speculate)) == 1


async def test_another_voice_can_be_interrupted_and_the_usual_one_is_tried_again(
    calling: Any,
) -> None:
    """What was heard of it is remembered, and nothing of it is said after."""
    async with calling(*other_voice(100), "tts.fallback.ms_per_word=150") as caller:
        usual, _ = services(caller, ScriptedSpeech)
        caller.types(QUESTION)
        await caller.until(lambda: caller.line.loud_blocks >= 20)
        usual._script = usual._script.model_copy(update={"ttfb_ms": 0.0})
        caller.types("goodbye")
        await heard(caller)
        cut, whole = remembered(caller)
        assert cut
        assert ADDRESS.startswith(cut)
        assert len(caller.seen(Revoice)) == 1
        assert "Garden" not in whole


# ----- shorter first clauses -----


async def test_answers_begin_shorter_while_turns_are_missed(calling: Any) -> None:
    """And as usual when they are not."""
    overrides = ('budget.on_miss=["shorten"]', "budget.shorten.first_clause_max_words=2")
    answer = 'llm.answer="Cats sleep somewhere quiet nearly all summer long"'
    async with calling('llm.script=""', answer, *QUICK_VOICE, *overrides) as caller:
        clauses: list[str] = []
        voice = services(caller, ScriptedSpeech)[0]

        async def note(_: object, __: str, text: str) -> None:
            clauses.append(text.strip())

        voice.add_event_handler("on_tts_request", note)
        caller.types(QUESTION)
        await heard(caller)
        usual, clauses[:] = clauses[0], []
        objective = caller.conversation._resources.objective
        miss(objective, 20)
        caller.types(QUESTION)
        await heard(caller, 2)
        assert clauses[0] == "Cats sleep"
        names = [[event.name for event in turn.events] for turn in caller.traced()]
        assert [("shorten" in each) for each in names] == [False, True]
        assert len(usual.split()) > 2


def miss(objective: Any, turns: int) -> None:
    """Let turns of somebody else miss their budget now."""
    for _ in range(turns):
        objective.finished(a_turn({}).judged(Verdict("missed", "llm_first_token")))
    assert objective.burning


# ----- greeting -----


async def test_the_greeting_waits_for_no_voice(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was synthesized before anybody called; the call asks no voice for it."""
    asked: list[str] = []
    speak = ScriptedSpeech.speak

    async def note(
        service: ScriptedSpeech, speech: Speech, reply: ReplyAudio
    ) -> AsyncGenerator[SpokenAudio, None]:
        asked.append(speech.text)
        async for piece in speak(service, speech, reply):
            yield piece

    monkeypatch.setattr(ScriptedSpeech, "speak", note)
    async with calling("greeting=true", *QUICK_VOICE) as caller:
        at_start = list(asked)
        said = await heard(caller)
        assert said == caller.conversation._resources.agent.greeting
        assert remembered(caller) == [said]
        assert at_start
        assert asked == at_start
