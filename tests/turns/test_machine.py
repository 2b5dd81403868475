"""The turn machine: what it decides, case by case; see test_machine_invariants for any order."""

from __future__ import annotations

import pytest

from tests.turns.talking import Talk, answering, said
from voice_agent.turns.events import (
    Apologise,
    Audible,
    Bound,
    Drop,
    Duck,
    Failed,
    Greeting,
    Heard,
    Hush,
    NoTurn,
    Release,
    Resume,
    Retract,
    SoundScore,
    Speculate,
    Stop,
    Tag,
    Typed,
    Unduck,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, User

# ----- deciding that the user has finished -----


@pytest.mark.parametrize(
    ("words", "p", "soonest", "latest"),
    [
        ("what time do you open", 0.97, 130, 170),
        ("a table for four please", 0.6, 130, 260),
        ("a table for four", 0.35, 450, 700),
        ("my name is", 0.1, 900, 1200),
        ("and then um", 0.02, 1100, 1200),
    ],
)
def test_the_silence_waited_depends_on_how_complete_the_words_are(
    words: str, p: float, soonest: float, latest: float
) -> None:
    """Complete words end the turn at once, incomplete ones near the ceiling."""
    talk = said(words, p).until(5000)
    assert soonest <= talk.when(Release) - 1000 <= latest
    assert talk.actions(Release) == [Release(talk.answer, words, 1000)]


def test_incomplete_words_are_not_overruled_by_a_final_sounding_voice() -> None:
    """People drop their voice at pauses they mean to talk on from: words decide."""
    talk = said("i'd like a table for", 0.05).at(1150, SoundScore(1000, 0.99)).until(5000)
    assert talk.when(Release) - 1000 > 900


def test_a_pause_is_no_end_when_the_voice_comes_back() -> None:
    """A mid-sentence pause of 700 ms after incomplete words is not answered into."""
    talk = said("i'd like a table for", 0.05, final=False)
    talk.at(1700, VoiceStarted(1640)).at(2000, Heard("i'd like a table for four", False, 0.9))
    talk.at(2164, VoiceStopped(2100)).at(2230, Heard("i'd like a table for four", True, 0.95))
    talk.until(6000)
    assert [r.text for r in talk.actions(Release)] == ["i'd like a table for four"]


def test_a_voice_without_words_is_no_turn() -> None:
    """A cough opens a turn and leaves nothing behind."""
    talk = Talk().at(60, VoiceStarted(0)).at(364, VoiceStopped(300))
    talk.until(1000).at(1010, Heard("", True)).until(9000)
    assert talk.actions(Release) == []
    assert talk.actions(NoTurn) == [NoTurn()]
    assert talk.state.user is User.QUIET


def test_words_too_soft_for_the_vad_are_a_turn_all_the_same() -> None:
    """A final transcript without any voice reported starts a turn by itself."""
    talk = Talk().at(500, Heard("yes", True, 0.9)).until(3000)
    assert [r.text for r in talk.actions(Release)] == ["yes"]


def test_a_voice_that_never_stops_is_answered_in_the_end() -> None:
    """The longest turn is bounded."""
    talk = Talk().at(60, VoiceStarted(0)).at(900, Heard("word word", False, 0.1)).until(62_000)
    assert len(talk.actions(Release)) == 1


# ----- the answer started on a guess -----


def test_an_answer_starts_before_the_voice_stops_when_the_words_are_stable_and_complete() -> None:
    """Speculation does not wait for silence."""
    talk = Talk().at(60, VoiceStarted(0)).at(700, Heard("what time do you open", False, 0.95))
    talk.until(985)
    assert talk.actions(Speculate) == [Speculate(Tag(1, 1), "what time do you open")]
    talk.at(1064, VoiceStopped(1000)).at(1130, Heard("what time do you open?", True, 0.96))
    talk.until(3000)
    assert talk.actions(Release) == [Release(Tag(1, 1), "what time do you open?", 1000)]
    assert talk.actions(Drop) == []


def test_new_words_drop_the_guess_and_another_is_started() -> None:
    """An answer to words that changed is forgotten, unheard."""
    talk = Talk().at(60, VoiceStarted(0)).at(700, Heard("i want a table", False, 0.9)).until(985)
    talk.at(1000, Heard("i want a table for two", False, 0.95))
    assert talk.actions(Drop) == [Drop(Tag(1, 1))]
    talk.at(1264, VoiceStopped(1200)).at(1330, Heard("i want a table for two", True, 0.95))
    talk.until(3000)
    assert talk.actions(Release)[0].tag == Tag(1, 2)


def test_a_guess_waits_for_the_final_that_was_asked_for() -> None:
    """It often has the last word; one that is slow is not waited for."""
    quick = said("what time do you", 0.5, final=False).until(1066)
    quick.at(1066, Heard("what time do you open", True, 0.97))
    assert [a.text for a in quick.actions(Speculate)] == ["what time do you open"]
    slow = said("what time do you open", 0.97, final=False).until(1200)
    assert slow.when(Speculate) == 1100


def test_guesses_are_bounded_but_the_decision_always_gets_an_answer() -> None:
    """However often the words change, few answers are wasted and one is given."""
    talk = Talk(TurnSettings(speculations_max=2)).at(60, VoiceStarted(0))
    for index in range(8):
        talk.at(400 + index * 300, Heard("one " * (index + 1), False, 0.9))
    talk.at(3064, VoiceStopped(3000)).at(3130, Heard("one two three", True, 0.9)).until(6000)
    assert len(talk.actions(Speculate)) == 3
    assert len(talk.actions(Release)) == 1


def test_a_user_who_goes_on_before_the_answer_is_heard_takes_the_turn_back() -> None:
    """What was released but not heard is held again, and the words of both parts are one turn."""
    talk = said("a table for four", 0.95).until(1250)
    first = talk.answer
    talk.at(1290, VoiceStarted(1230)).at(1600, Heard("tomorrow at seven", False, 0.97))
    assert talk.actions(Retract) == [Retract(first)]
    assert Drop(first) in talk.actions(Drop)
    talk.at(2064, VoiceStopped(2000)).at(2130, Heard("tomorrow at seven", True, 0.98)).until(4000)
    last = talk.actions(Release)[-1]
    assert (last.text, last.tag.turn) == ("a table for four tomorrow at seven", 1)


def test_a_final_that_comes_when_its_turn_was_taken_back_is_said_once() -> None:
    """The turn was decided on a partial: its final takes the place of that, not one beside it."""
    talk = said("what time do you", 0.3).at(1400, VoiceStarted(1340))
    talk.at(1700, Heard("open", False, 0.97)).at(1864, VoiceStopped(1800)).until(2300)
    assert talk.actions(Release)[-1].text == "what time do you open"
    talk.at(2310, VoiceStarted(2250)).at(2320, Heard("open", True, 0.97))
    talk.at(2600, Heard("on sunday", False, 0.97)).at(2764, VoiceStopped(2700))
    talk.at(2800, Heard("on sunday", True, 0.98)).until(5000)
    assert talk.actions(Release)[-1].text == "what time do you open on sunday"


def test_a_cough_before_the_answer_is_heard_costs_only_the_cough() -> None:
    """The answer taken back for a noise is the one released again."""
    talk = said("what time do you open", 0.97).until(1250)
    first = talk.answer
    talk.at(1290, VoiceStarted(1230)).at(1500, VoiceStopped(1430)).at(1600, Heard("", True))
    talk.until(5000)
    assert talk.answer == first
    assert talk.actions(Drop) == []


def test_an_answer_that_booked_a_table_is_not_taken_back() -> None:
    """What has had side effects is heard; the words that follow are the next turn's."""
    talk = said("book a table for two", 0.97).until(1250)
    talk.at(1251, Bound(talk.answer)).at(1290, VoiceStarted(1230))
    assert talk.actions(Retract) == []


def test_a_late_final_with_other_words_is_answered_instead_while_nothing_was_heard() -> None:
    """The transcript that comes after the decision still counts."""
    talk = said("what time do you", 0.9, final=False).until(1500)
    talk.at(1510, Heard("what time do you close", True, 0.95)).until(2000)
    assert talk.actions(Release)[-1].text == "what time do you close"


def test_a_late_final_is_the_end_of_what_was_said_not_all_of_it() -> None:
    """Words that were final before a pause stay in front of it."""
    talk = said("what time do you", 0.3).at(1400, VoiceStarted(1340))
    talk.at(1700, Heard("open", False, 0.97)).at(1864, VoiceStopped(1800)).until(2300)
    first = talk.answer
    talk.at(2310, Heard("open", True, 0.97)).until(2400)
    assert talk.answer == first
    assert talk.actions(Release)[-1].text == "what time do you open"


# ----- yielding -----


def test_a_backchannel_ducks_and_the_agent_goes_on() -> None:
    """ "mm-hm" is not an interruption."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2250, Heard("mm-hm", False, 0.5))
    talk.at(2360, VoiceStopped(2300)).until(4000)
    assert talk.actions(Duck) == [Duck()]
    assert talk.actions(Unduck) == [Unduck("mm-hm")]
    assert talk.actions(Stop) == []
    assert talk.state.agent is Agent.SPEAKING


@pytest.mark.parametrize("words", ["wait", "no that's wrong", "stop please"])
def test_a_word_with_intent_stops_the_agent_when_it_is_heard(words: str) -> None:
    """One such word is enough, however short."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2280, Heard(words, False, 0.5))
    assert talk.when(Stop) == 2280


def test_a_voice_that_goes_on_without_words_stops_the_agent() -> None:
    """A recogniser that is slow or absent must not make the agent rude."""
    talk = answering().at(2060, VoiceStarted(2000)).until(3000)
    assert talk.when(Stop) == 2000 + TurnSettings().stop_voice_ms


def test_a_voice_that_lasts_pauses_the_agent_before_it_is_known_to_be_an_interruption() -> None:
    """Silence comes early for whoever interrupts; a backchannel lets the agent go on."""
    talk = answering().at(2060, VoiceStarted(2000)).until(2400)
    assert talk.when(Hush) == 2000 + TurnSettings().hush_voice_ms
    talk.at(2410, Heard("uh huh", False, 0.5)).at(2470, VoiceStopped(2420)).until(4000)
    assert talk.actions(Stop) == []
    assert talk.actions(Unduck) == [Unduck("uh huh")]


def test_a_paused_agent_goes_on_as_soon_as_the_words_are_a_continuer() -> None:
    """Quietly, and without waiting for the voice to end: nobody who listens needs silence."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2400, Heard("okay", False, 0.5))
    assert [type(action) for at, action in talk.record if at >= 2000][:3] == [Duck, Hush, Duck]
    talk.until(2900)
    assert talk.actions(Hush) == [Hush()]


def test_a_paused_agent_goes_on_when_the_voice_ends_without_words_and_is_stopped_by_them() -> None:
    """Most short voices are continuers; when the words come and say otherwise, they count."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2430, VoiceStopped(2400)).until(2470)
    assert talk.when(Hush) == 2000 + TurnSettings().hush_voice_ms
    assert [at for at, action in talk.record if isinstance(action, Duck)][-1] == 2450
    talk.at(2480, Heard("stop", True, 0.5))
    assert talk.when(Stop) == 2480


def test_a_click_or_a_cough_stops_nothing() -> None:
    """A short noise ducks the voice for as long as it takes to know."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2230, VoiceStopped(2170)).until(4000)
    assert talk.actions(Stop) == []
    assert talk.when(Unduck) == 2170 + TurnSettings().resume_ms


def test_the_agents_own_words_coming_back_stop_nothing() -> None:
    """Echo is recognised by its words."""
    talk = answering().at(2060, VoiceStarted(2000))
    talk.at(2300, Heard("we are open from five", False, 0.5, echo=True))
    talk.at(3060, VoiceStopped(3000)).until(5000)
    assert talk.actions(Stop) == []


def test_an_interruption_that_meant_nothing_is_resumed() -> None:
    """A voice that turns out to have had no words ends in the answer going on."""
    talk = answering().at(2060, VoiceStarted(2000)).until(2600)
    answer = talk.answer
    talk.at(2760, VoiceStopped(2700)).at(3500, Heard("", True)).until(6000)
    assert talk.actions(Resume) == [Resume(answer)]
    assert talk.state.agent is Agent.SPEAKING


def test_an_interruption_with_words_is_a_new_turn() -> None:
    """The next answer is to what the user said while interrupting."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2300, Heard("no wait", False, 0.4))
    talk.at(2800, Heard("no wait on monday", False, 0.95)).at(3064, VoiceStopped(3000))
    talk.at(3130, Heard("no wait on monday", True, 0.95)).until(5000)
    assert [r.text for r in talk.actions(Release)] == ["what time do you open", "no wait on monday"]


def test_typing_interrupts_and_is_answered_at_once() -> None:
    """A typed turn needs no deciding."""
    talk = answering().at(2000, Typed("and on sunday?"))
    assert talk.when(Stop) == 2000
    assert talk.actions(Release)[-1].text == "and on sunday?"


def test_without_barge_in_the_agent_is_not_disturbed() -> None:
    """A half-duplex line: nothing said meanwhile counts."""
    talk = Talk(TurnSettings(barge_in=False)).at(0, Greeting()).at(100, Audible(Tag(0, 1)))
    talk.at(560, VoiceStarted(500)).at(900, Heard("stop", False, 0.9)).until(3000)
    assert talk.actions(Duck) == talk.actions(Stop) == []


# ----- never leaving anyone waiting -----


def test_an_answer_that_fails_is_asked_for_once_more_then_apologised_for() -> None:
    """Nobody is left in silence by a dead engine."""
    talk = said("what time do you open", 0.97).until(1250)
    talk.at(1300, Failed(talk.answer)).at(1400, Failed(talk.answer))
    assert len(talk.actions(Speculate)) == 2
    assert talk.actions(Apologise) == [Apologise(talk.answer)]
    talk.at(1500, Failed(talk.answer))
    assert talk.state.agent is Agent.IDLE


def test_an_answer_that_never_comes_is_not_waited_for() -> None:
    """Silence of the engines is bounded by the answer's timeout."""
    talk = said("what time do you open", 0.97).until(60_000)
    assert len(talk.actions(Apologise)) == 1
    assert talk.state.agent is Agent.IDLE
