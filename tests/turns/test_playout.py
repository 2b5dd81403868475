"""The agent's voice: held until released, ducked, stopped, resumed, and what of it was heard."""

from __future__ import annotations

import numpy as np
import pytest

from voice_agent.media import Pcm
from voice_agent.turns.events import Tag
from voice_agent.turns.playout import (
    FirstSound,
    PlayedOut,
    Playout,
    PlayoutEvent,
    Underrun,
    WordsPlayed,
)

HZ = 8000
BLOCK = HZ // 50
ONE, TWO = Tag(1, 1), Tag(1, 2)


class Listener:
    """Pulls like a transport and keeps what it heard and was told."""

    def __init__(self) -> None:
        self.events: list[PlayoutEvent] = []
        self.playout = Playout(HZ, -18.0, self.events.append)
        self.heard: list[Pcm] = []

    def speak(self, tag: Tag, seconds: float = 1.0, words: str = "", finish: bool = True) -> None:
        self.playout.begin(tag)
        self.add(tag, seconds, words)
        if finish:
            self.playout.finish(tag)

    def add(self, tag: Tag, seconds: float, words: str = "") -> None:
        start, samples = self.playout.length(tag), int(seconds * HZ)
        said = words.split()
        each = samples // max(1, len(said))
        self.playout.words(
            tag, [(w, start + i * each, start + (i + 1) * each) for i, w in enumerate(said)]
        )
        self.playout.write(tag, np.full(samples, 10_000, dtype=np.int16))

    def listen(self, seconds: float) -> Pcm:
        blocks = [self.playout.pull(BLOCK) for _ in range(round(seconds * 50))]
        self.heard += blocks
        return np.concatenate(blocks)

    def told(self, kind: type[PlayoutEvent]) -> list[PlayoutEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def test_nothing_is_heard_before_it_is_released() -> None:
    """A held answer makes no sound, however much of it is there."""
    listener = Listener()
    listener.speak(ONE)
    assert not listener.listen(0.5).any()
    assert listener.events == []


def test_a_released_answer_is_heard_from_the_next_pull_on() -> None:
    """Release takes effect within one packet."""
    listener = Listener()
    listener.speak(ONE)
    listener.playout.release(ONE)
    assert listener.listen(0.02).all()
    assert listener.events == [FirstSound(ONE)]


def test_an_answer_may_be_released_before_any_of_it_is_there() -> None:
    """What is synthesized later is heard as it comes."""
    listener = Listener()
    listener.playout.begin(ONE)
    listener.playout.release(ONE)
    assert not listener.listen(0.1).any()
    listener.add(ONE, 0.1)
    assert listener.listen(0.1).all()


def test_what_belongs_to_a_dropped_answer_is_never_heard() -> None:
    """Stale audio dies here."""
    listener = Listener()
    listener.speak(ONE, finish=False)
    listener.playout.drop(ONE)
    listener.add(ONE, 1.0)
    listener.playout.release(ONE)
    assert not listener.listen(1.0).any()


def test_a_retracted_answer_is_held_again_from_its_start() -> None:
    """A turn that goes on takes the answer back; released again it is whole."""
    listener = Listener()
    listener.speak(ONE, 0.2, "one two")
    listener.playout.release(ONE)
    listener.playout.retract(ONE)
    assert not listener.listen(0.1).any()
    listener.playout.release(ONE)
    assert np.count_nonzero(listener.listen(0.3)) == int(0.2 * HZ)


def test_words_are_told_when_they_are_played_and_each_once() -> None:
    """The page shows words as they are spoken."""
    listener = Listener()
    listener.speak(ONE, 1.0, "we open at five")
    listener.playout.release(ONE)
    listener.listen(0.3)
    assert listener.told(WordsPlayed) == [WordsPlayed(ONE, "we"), WordsPlayed(ONE, "open")]
    listener.listen(1.0)
    assert listener.events[-1] == PlayedOut(ONE, "we open at five")


@pytest.mark.parametrize("at_ms", range(40, 1000, 120))
def test_what_is_remembered_of_a_stopped_answer_is_what_was_played(at_ms: int) -> None:
    """Words that began are remembered, words that did not are not."""
    listener = Listener()
    listener.speak(ONE, 1.0, "a b c d e f g h i j")
    listener.playout.release(ONE)
    listener.listen(at_ms / 1000)
    heard = listener.playout.stop().split()
    assert abs(len(heard) - at_ms / 100) <= 1
    assert not listener.listen(0.5).any()


def test_a_stopped_answer_resumes_at_its_last_word() -> None:
    """An interruption that meant nothing costs no word: the one cut off is said again."""
    listener = Listener()
    listener.speak(ONE, 1.0, "a b c d e f g h i j")
    listener.playout.release(ONE)
    listener.listen(0.46)
    listener.playout.stop()
    listener.listen(0.4)
    assert listener.playout.resume() == ONE
    rest = listener.listen(1.0)
    assert np.count_nonzero(rest) == int(0.6 * HZ)
    assert listener.events[-1] == PlayedOut(ONE, "a b c d e f g h i j")


def test_a_ducked_voice_is_quiet_but_goes_on_and_comes_back() -> None:
    """-18 dB within a packet, and full level again without a click."""
    listener = Listener()
    listener.speak(ONE, 2.0)
    listener.playout.release(ONE)
    listener.listen(0.2)
    listener.playout.duck()
    ducked = listener.listen(0.2)
    listener.playout.unduck()
    raised = listener.listen(0.2)
    assert ducked[-1] == pytest.approx(10_000 * 10 ** (-18 / 20), rel=0.01)
    assert raised[-1] == 10_000
    steps = np.abs(np.diff(np.concatenate([ducked, raised]).astype(int)))
    assert steps.max() < 200


def test_a_hushed_voice_waits_and_goes_on_with_its_last_word() -> None:
    """Paused while it is not known what the caller wants; nothing is lost, nothing is remembered
    that was not heard."""
    listener = Listener()
    listener.speak(ONE, 1.0, "a b c d e f g h i j")
    listener.playout.release(ONE)
    listener.listen(0.44)
    listener.playout.duck()
    listener.playout.hush()
    listener.listen(0.04)
    assert not listener.listen(0.3).any()
    listener.playout.unduck()
    listener.listen(1.0)
    assert listener.events[-1] == PlayedOut(ONE, "a b c d e f g h i j")


def test_a_sender_that_waits_for_sound_waits_while_the_voice_is_hushed() -> None:
    """Paused is silent: nothing may be sent ahead of time."""
    listener = Listener()
    listener.speak(ONE, 1.0, "a b c d e f g h i j")
    listener.playout.release(ONE)
    assert listener.playout._audible.is_set()
    listener.listen(0.2)
    listener.playout.hush()
    listener.listen(0.1)
    assert not listener.playout._audible.is_set()
    listener.playout.unduck()
    assert listener.playout._audible.is_set()


def test_a_gap_is_counted_and_the_answer_goes_on_after_it() -> None:
    """A late engine is heard as a gap, not as the end."""
    listener = Listener()
    listener.speak(ONE, 0.1, finish=False)
    listener.playout.release(ONE)
    listener.listen(0.2)
    assert listener.told(Underrun)
    assert not listener.told(PlayedOut)
    listener.add(ONE, 0.1)
    listener.playout.finish(ONE)
    assert np.count_nonzero(listener.listen(0.2)) == int(0.1 * HZ)
    assert listener.told(PlayedOut)


def test_an_answer_held_beside_a_stopped_one_replaces_it_when_released() -> None:
    """The answer to an interruption is prepared while the old one could still be resumed."""
    listener = Listener()
    listener.speak(ONE, 1.0, "old words here")
    listener.playout.release(ONE)
    listener.listen(0.2)
    listener.playout.stop()
    listener.speak(TWO, 0.2, "new")
    assert listener.playout.stopped(ONE)
    listener.playout.release(TWO)
    listener.listen(0.5)
    assert listener.events[-1] == PlayedOut(TWO, "new")
    assert listener.playout.resume() is None
