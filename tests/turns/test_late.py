"""What is decided about an answer that is late: fillers and other engines, as a table of cases."""

from __future__ import annotations

import pytest

from tests.turns.talking import Talk
from voice_agent.turns.events import (
    Apologise,
    Audible,
    Bound,
    Called,
    Carry,
    Correct,
    Drop,
    Duck,
    Ended,
    Failed,
    Fill,
    Greeting,
    Heard,
    Phrased,
    Release,
    Resume,
    Retract,
    Revoice,
    Speculate,
    Stop,
    Tag,
    Typed,
    Voiced,
    VoiceStarted,
    VoiceStopped,
    Worded,
)
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, Remedies, User

FILLER = Remedies(filler_after_ms=700, words_to_sound_ms=120)
BOTH = Remedies(llm_after_ms=1500, tts_after_ms=1000)
QUESTION = "what time do you open"


def asked(remedies: Remedies, text: str = QUESTION) -> Talk:
    """A typed question at 1 s: decided at once, so that every time below is counted from there."""
    return Talk(remedies=remedies).at(1000, Typed(text))


def filling() -> Talk:
    """An agent whose filler is being heard since 1.72 s, with no answer in sight."""
    talk = asked(FILLER).until(1700)
    return talk.at(1720, Audible(talk.answer))


def deliver(talk: Talk, at: float) -> None:
    talk.at(at, Worded(talk.answer)).at(at, Phrased(talk.answer)).at(at, Voiced(talk.answer))


# ----- fillers -----


def test_a_late_answer_begins_with_a_filler() -> None:
    """As part of the same answer, at its deadline and once."""
    talk = asked(FILLER).until(8000)
    assert talk.when(Fill) == 1700
    assert talk.actions(Fill) == [Fill(talk.actions(Release)[0].tag, 0)]


def test_no_filler_for_an_answer_whose_audio_is_there() -> None:
    """Held, or on its way to the transport: it is heard next."""
    talk = asked(FILLER)
    deliver(talk, 1699)
    assert talk.until(8000).actions(Fill) == []


def test_no_filler_when_the_words_are_on_their_way_to_the_voice() -> None:
    """The answer will be there before a filler would be over."""
    talk = asked(FILLER)
    talk.at(1650, Worded(talk.answer)).at(1760, Voiced(talk.answer))
    assert talk.until(8000).actions(Fill) == []


def test_words_that_take_too_long_to_sound_get_a_filler_after_all() -> None:
    """The voice is what is late."""
    talk = asked(FILLER)
    talk.at(1650, Worded(talk.answer)).until(8000)
    assert talk.when(Fill) == 1650 + FILLER.words_to_sound_ms


def test_a_tool_that_takes_long_gets_a_filler() -> None:
    """Asking for a tool is no answer yet."""
    talk = asked(FILLER)
    talk.at(1100, Called(talk.answer)).until(8000)
    assert talk.when(Fill) == 1700


def test_the_deadline_counts_from_the_decision() -> None:
    """An answer started on a guess long before is not late because it was started long before."""
    talk = Talk(remedies=FILLER).at(60, VoiceStarted(0)).at(500, Heard(QUESTION, False, 0.97))
    talk.at(2064, VoiceStopped(2000)).at(2130, Heard(QUESTION, True, 0.97)).until(8000)
    assert talk.when(Speculate) < 1000
    assert talk.when(Fill) == talk.when(Release) + 700


def test_no_filler_twice_in_a_row() -> None:
    """The turn after one with a filler has none, the next may have one again."""
    talk = asked(FILLER).until(1700)
    for at in (3000, 6000, 9000):
        deliver(talk, at - 900)
        talk.at(at - 900, Audible(talk.answer)).at(at - 100, Ended(talk.answer))
        talk.at(at, Typed(f"question at {at}")).until(at + 800)
    assert [fill.tag.turn for fill in talk.actions(Fill)] == [1, 3]
    assert [fill.number for fill in talk.actions(Fill)] == [0, 1]


def test_a_greeting_and_an_apology_have_no_filler() -> None:
    """Nobody asked for the one, and the other is not what was asked for."""
    assert Talk(remedies=FILLER).at(0, Greeting()).until(7000).actions(Fill) == []
    talk = asked(FILLER)
    talk.at(1100, Failed(talk.answer)).at(1200, Failed(talk.answer)).until(8000)
    assert talk.actions(Apologise)
    assert talk.actions(Fill) == []


def test_nobody_is_filled_in_on_while_they_speak() -> None:
    """Who talks does not wait."""
    talk = asked(FILLER).at(1100, Bound(Tag(1, 1))).at(1560, VoiceStarted(1500)).until(2200)
    assert talk.actions(Fill) == []


def test_a_filler_is_interrupted_like_any_answer() -> None:
    """Ducked, then stopped, and the words are the next turn."""
    talk = filling()
    talk.at(1860, VoiceStarted(1800)).at(2100, Heard("no wait", False, 0.4))
    assert talk.actions(Duck)
    assert talk.actions(Stop) == [Stop(Tag(1, 1))]
    talk.at(2564, VoiceStopped(2500)).at(2630, Heard("no wait on monday", True, 0.95)).until(3900)
    assert [r.text for r in talk.actions(Release)] == [QUESTION, "no wait on monday"]


def test_whoever_goes_on_before_the_filler_is_heard_takes_the_turn_back() -> None:
    """The filler is forgotten with it, and may come once the turn is decided again."""
    talk = Talk(remedies=FILLER).at(60, VoiceStarted(0)).at(900, Heard("a table", False, 0.97))
    talk.at(1064, VoiceStopped(1000)).at(1130, Heard("a table", True, 0.97))
    talk.until(1200).until(talk.when(Release) + 700)
    talk.at(talk.now, VoiceStarted(talk.now - 60)).at(talk.now + 500, Heard("for two", False, 0.97))
    talk.at(talk.now + 64, VoiceStopped(talk.now)).at(talk.now + 66, Heard("for two", True, 0.97))
    talk.until(5000)
    assert talk.actions(Retract) == [Retract(talk.actions(Fill)[0].tag)]
    assert [fill.tag.turn for fill in talk.actions(Fill)] == [1, 1]


def test_an_answer_that_fails_after_its_filler_is_asked_for_again_and_the_filler_is_kept() -> None:
    """It was heard, so it is the beginning of what comes instead; it is not said again."""
    talk = filling()
    first = talk.answer
    talk.at(2500, Failed(first))
    assert talk.actions(Carry) == [Carry(first, talk.answer)]
    assert talk.actions(Drop) == []
    deliver(talk, 2600)
    talk.at(4000, Ended(talk.answer)).until(9000)
    assert len(talk.actions(Fill)) == 1
    assert talk.state.agent is Agent.IDLE


def test_after_a_filler_nobody_is_left_waiting_either() -> None:
    """An answer that never comes is asked for once more, apologised for, and given up."""
    talk = filling().until(60_000)
    assert len(talk.actions(Speculate)) == 2
    assert len(talk.actions(Apologise)) == 1
    assert talk.actions(Stop)  # what was heard is remembered
    assert talk.actions(Drop) == []
    assert talk.state.agent is Agent.IDLE


def test_an_interruption_of_a_filler_that_meant_nothing_brings_the_answer_back() -> None:
    """Stopping had ended its making: it is asked for again behind what was heard."""
    talk = filling()
    first = talk.answer
    talk.at(1860, VoiceStarted(1800)).at(2564, VoiceStopped(2500)).at(3300, Heard("", True))
    talk.until(4000)
    assert talk.actions(Resume) == [Resume(first)]
    assert talk.actions(Carry) == [Carry(first, talk.answer)]
    assert talk.actions(Speculate)[-1] == Speculate(talk.answer, QUESTION)
    assert talk.state.agent is Agent.SPEAKING
    assert talk.state.user is User.QUIET


def test_what_was_booked_is_not_booked_again_for_an_interrupted_filler() -> None:
    """An answer that has had side effects is not asked for twice."""
    talk = filling()
    talk.at(1750, Bound(talk.answer))
    talk.at(1860, VoiceStarted(1800)).at(2564, VoiceStopped(2500)).at(3300, Heard("", True))
    assert len(talk.actions(Speculate)) == 1
    assert talk.actions(Apologise) == [Apologise(talk.answer)]


def test_a_better_transcript_that_comes_during_the_filler_still_counts() -> None:
    """Nothing of the answer was heard: the right question is answered instead."""
    talk = Talk(TurnSettings(final_wait_ms=0), FILLER).at(60, VoiceStarted(0))
    talk.at(900, Heard("what time do you", False, 0.97)).at(1064, VoiceStopped(1000)).until(1900)
    talk.at(1920, Audible(talk.answer)).at(2000, Heard("what time do you close", True, 0.97))
    assert talk.actions(Carry)
    assert talk.actions(Release)[-1].text == "what time do you close"
    assert talk.actions(Correct) == []


# ----- other engines -----


def test_another_language_model_is_asked_when_the_first_says_nothing() -> None:
    """At its deadline; the late one is given up."""
    talk = asked(BOTH)
    first = talk.answer
    talk.until(2600)
    assert talk.when(Drop) == 2500
    assert talk.actions(Drop) == [Drop(first)]
    assert talk.actions(Speculate)[-1] == Speculate(talk.answer, QUESTION, fallback=True)


def test_a_guess_that_is_late_already_goes_to_the_other_when_the_turn_is_decided() -> None:
    """Not before: the words may still change."""
    talk = Talk(remedies=BOTH).at(60, VoiceStarted(0)).at(100, Heard(QUESTION, False, 0.97))
    talk.at(3064, VoiceStopped(3000)).at(3130, Heard(QUESTION, True, 0.97)).until(3400)
    asks = talk.actions(Speculate)
    assert [ask.fallback for ask in asks] == [False, True]
    assert talk.when(Release) == talk.when(Drop)


@pytest.mark.parametrize("sign", [Called, Worded])
def test_a_language_model_that_has_begun_is_left_alone(sign: type) -> None:
    """With words or with a tool call."""
    talk = asked(BOTH)
    talk.at(2499, sign(talk.answer)).until(8000)
    assert [ask.fallback for ask in talk.actions(Speculate)] == [False]


def test_a_language_model_that_fails_is_not_waited_for() -> None:
    """The other one is asked at once, and it is the last that is."""
    talk = asked(BOTH)
    talk.at(1100, Failed(talk.answer)).at(1200, Failed(talk.answer))
    assert [ask.fallback for ask in talk.actions(Speculate)] == [False, True]
    assert talk.actions(Apologise) == [Apologise(talk.answer)]


def test_the_other_language_model_that_is_late_too_is_apologised_for() -> None:
    """Never a third."""
    talk = asked(BOTH).until(30_000)
    assert [ask.fallback for ask in talk.actions(Speculate)] == [False, True]
    assert len(talk.actions(Apologise)) == 1


def test_another_voice_says_the_same_words_when_the_first_is_late() -> None:
    """The language model goes on; nothing is asked for again."""
    talk = asked(BOTH)
    talk.at(1200, Worded(talk.answer)).at(1250, Phrased(talk.answer)).until(8000)
    assert talk.when(Revoice) == 2250
    assert talk.actions(Revoice) == [Revoice(talk.actions(Release)[0].tag)]


def test_a_voice_that_fails_is_replaced_even_after_a_booking() -> None:
    """The words are there: only the sound is missing."""
    talk = asked(BOTH)
    talk.at(1200, Worded(talk.answer)).at(1210, Bound(talk.answer))
    talk.at(1300, Failed(talk.answer, voice=True))
    assert talk.actions(Revoice) == [Revoice(talk.answer)]
    assert len(talk.actions(Speculate)) == 1


def test_without_other_engines_an_answer_is_asked_for_once_more_as_ever() -> None:
    """No remedy is taken that the pipeline does not name."""
    talk = asked(Remedies())
    talk.at(1100, Failed(talk.answer, voice=True))
    assert talk.actions(Revoice) == []
    assert [ask.fallback for ask in talk.actions(Speculate)] == [False, False]


def test_a_filler_covers_the_change_to_another_engine() -> None:
    """The other model's answer follows what was heard."""
    talk = asked(Remedies(filler_after_ms=700, llm_after_ms=1500)).until(1700)
    first = talk.answer
    talk.at(1720, Audible(first)).until(2600)
    assert talk.actions(Carry) == [Carry(first, talk.answer)]
    assert talk.actions(Speculate)[-1].fallback
