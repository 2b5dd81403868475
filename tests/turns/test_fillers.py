"""A filler in the agent's voice: the beginning of the answer it precedes, heard and remembered."""

from __future__ import annotations

import numpy as np
import pytest

from tests.turns.test_playout import HZ, ONE, TWO, Listener
from voice_agent.turns.playout import FirstSound, OwnSound, PlayedOut, Underrun, WordsPlayed
from voice_agent.turns.reply import Clip

MOMENT = Clip(
    np.full(HZ // 2, 8_000, dtype=np.int16), (("One", 0, HZ // 4), ("moment.", HZ // 4, HZ // 2))
)


def waiting() -> Listener:
    """A released answer of which nothing is there."""
    listener = Listener()
    listener.playout.begin(ONE)
    listener.playout.release(ONE)
    listener.listen(0.1)
    return listener


def test_a_filler_is_heard_before_its_answer_and_remembered_in_front_of_it() -> None:
    """Each word once, in the order they were heard."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(0.2)
    listener.add(ONE, 1.0, "we open at five")
    listener.playout.finish(ONE)
    listener.listen(1.6)
    assert listener.events[-1] == PlayedOut(ONE, "One moment. we open at five")
    said = [event.text for event in listener.told(WordsPlayed) if isinstance(event, WordsPlayed)]
    assert " ".join(said) == "One moment. we open at five"


def test_the_first_sound_is_the_fillers_and_the_answers_own_is_told_too() -> None:
    """What the listener waited for, and what they waited for in vain until then."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(1.0)
    assert listener.told(FirstSound) == [FirstSound(ONE)]
    assert listener.told(OwnSound) == []
    listener.add(ONE, 0.1)
    listener.listen(0.02)
    assert listener.told(OwnSound) == [OwnSound(ONE)]
    assert listener.told(FirstSound) == [FirstSound(ONE)]


def test_the_wait_after_a_filler_is_no_gap_but_one_in_the_answer_is() -> None:
    """Underruns are the voice's fault, not the language model's."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(1.0)
    assert listener.told(Underrun) == []
    listener.add(ONE, 0.1)
    listener.listen(0.2)
    assert listener.told(Underrun)


def test_an_answer_that_is_there_has_no_filler() -> None:
    """However late the decision is carried out."""
    listener = waiting()
    listener.add(ONE, 0.1, "yes")
    listener.playout.fill(ONE, MOMENT)
    listener.playout.finish(ONE)
    listener.listen(0.3)
    assert listener.events[-1] == PlayedOut(ONE, "yes")


def test_whoever_writes_the_answer_need_not_know_of_its_filler() -> None:
    """Lengths and words count from the answer's own start."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    assert listener.playout.length(ONE) == 0
    listener.add(ONE, 0.25, "yes")
    assert listener.playout.length(ONE) == HZ // 4


def test_a_filler_taken_back_unheard_is_gone() -> None:
    """The user went on; released again, the answer is alone."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.playout.retract(ONE)
    listener.add(ONE, 0.5, "five o'clock")
    listener.playout.finish(ONE)
    listener.playout.release(ONE)
    assert np.count_nonzero(listener.listen(0.6)) == HZ // 2
    assert listener.events[-1] == PlayedOut(ONE, "five o'clock")


def test_an_answer_written_behind_a_filler_taken_back_keeps_its_words_in_place() -> None:
    """Its samples move to the front with their words."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.add(ONE, 1.0, "a b c d")
    listener.playout.retract(ONE)
    listener.playout.finish(ONE)
    listener.playout.release(ONE)
    listener.listen(0.6)
    assert listener.playout.stop() == "a b c"


@pytest.mark.parametrize(("after_s", "heard"), [(0.1, "One"), (0.4, "One moment.")])
def test_what_is_remembered_of_a_stopped_filler_is_what_was_played(
    after_s: float, heard: str
) -> None:
    """Word by word, as of any answer."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(after_s)
    assert listener.playout.stop() == heard


def test_an_answer_asked_for_again_follows_the_filler_that_was_heard() -> None:
    """The filler is not said twice, and the answer given up is not heard."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(0.4)
    listener.playout.carry(ONE, TWO)
    listener.playout.begin(TWO)
    listener.playout.release(TWO)
    listener.add(ONE, 0.5, "stale")
    listener.add(TWO, 0.5, "fresh")
    listener.playout.finish(TWO)
    listener.listen(1.0)
    assert listener.events[-1] == PlayedOut(TWO, "One moment. fresh")


def test_a_stopped_filler_that_goes_on_waits_for_the_answer_behind_it() -> None:
    """Stopping had finished it; carried on it is not at its end."""
    listener = waiting()
    listener.playout.fill(ONE, MOMENT)
    listener.listen(0.3)
    listener.playout.stop()
    listener.playout.finish(ONE)
    listener.playout.resume()
    listener.playout.carry(ONE, TWO)
    listener.listen(1.0)
    assert listener.told(PlayedOut) == []
    listener.add(TWO, 0.2, "yes")
    listener.playout.finish(TWO)
    listener.listen(0.3)
    assert listener.events[-1] == PlayedOut(TWO, "One moment. yes")
