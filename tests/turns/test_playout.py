"""The agent's voice: held until released, ducked, stopped, resumed, and what of it was heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_hushed_voice_may_go_on_quietly() -> None:
    """From the word it was at, at the level of a ducked voice."""
    listener = Listener()
    listener.speak(ONE, 1.0, "a b c d e f g h i j")
    listener.playout.release(ONE)
    listener.listen(0.44)
    listener.playout.hush()
    listener.listen(0.1)
    listener.playout.duck()
    quiet = listener.listen(0.1)
    assert quiet[-1] == pytest.approx(10_000 * 10 ** (-18 / 20), rel=0.01)
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


class FarListener(Listener):
    """Pulls ahead of what it has heard, as a telephone line does, and forgets when recalled."""

    def __init__(self) -> None:
        super().__init__()
        self.unheard = 0
        self.recalls = 0
        self.playout.on_recall(self.forget)

    def forget(self) -> None:
        self.unheard = 0
        self.recalls += 1

    def buffer(self, seconds: float) -> Pcm:
        blocks = [self.playout.pull_ahead(BLOCK) for _ in range(round(seconds * 50))]
        self.unheard += sum(block.size for block in blocks)
        return np.concatenate(blocks)

    def hear(self, seconds: float) -> None:
        samples = min(self.unheard, round(seconds * HZ))
        self.unheard -= samples
        self.playout.played(samples)


def test_what_is_on_its_way_is_not_heard_yet() -> None:
    """Words count when the far end has played them, not when they were sent."""
    far = FarListener()
    far.speak(ONE, 1.0, "we open at five")
    far.playout.release(ONE)
    far.buffer(1.1)
    assert far.events == [FirstSound(ONE)], "the first sound is the one that leaves"
    far.hear(0.3)
    assert far.told(WordsPlayed) == [WordsPlayed(ONE, "we"), WordsPlayed(ONE, "open")]
    far.hear(0.8)
    assert far.events[-1] == PlayedOut(ONE, "we open at five")


@pytest.mark.parametrize("heard_ms", [0, 40, 460, 900])
def test_a_stopped_answer_is_recalled_from_the_line(heard_ms: int) -> None:
    """What was on its way is not heard, not remembered, and said again when it goes on."""
    far = FarListener()
    far.speak(ONE, 1.0, "a b c d e f g h i j")
    far.playout.release(ONE)
    far.buffer(0.94)
    far.hear(heard_ms / 1000)
    heard = far.playout.stop().split()
    assert far.recalls == 1
    assert len(heard) == -(-heard_ms // 100)
    far.playout.resume()
    words_before = max(0, len(heard) - 1)
    assert np.count_nonzero(far.buffer(1.2)) == round((1.0 - words_before / 10) * HZ)
    far.hear(1.2)
    assert far.events[-1] == PlayedOut(ONE, "a b c d e f g h i j")


def test_a_hushed_voice_falls_silent_on_the_line_too() -> None:
    """What is on its way is recalled at once; the voice goes on from where it was heard."""
    far = FarListener()
    far.speak(ONE, 1.0, "a b c d e f g h i j")
    far.playout.release(ONE)
    far.buffer(0.5)
    far.hear(0.3)
    far.playout.hush()
    assert far.recalls == 1
    assert not far.buffer(0.1).any()
    far.playout.unduck()
    far.buffer(1.0)
    far.hear(2.0)
    assert far.events[-1] == PlayedOut(ONE, "a b c d e f g h i j")


def test_an_answer_that_was_sent_and_not_heard_can_be_taken_back() -> None:
    """A turn that goes on while the answer travels: nothing of it was heard, all is held again."""
    far = FarListener()
    far.speak(ONE, 0.2, "one two")
    far.playout.release(ONE)
    far.buffer(0.1)
    far.playout.retract(ONE)
    assert far.recalls == 1
    assert not far.buffer(0.1).any()
    far.playout.release(ONE)
    assert np.count_nonzero(far.buffer(0.3)) == int(0.2 * HZ)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("buffer hear stop resume duck hush unduck".split()), st.integers(1, 20)
        ),
        max_size=40,
    )
)
def test_nobody_remembers_more_than_was_heard(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: every word remembered had begun to be heard."""
    far = FarListener()
    far.speak(ONE, 1.0, "a b c d e f g h i j")
    far.playout.release(ONE)
    heard_s = 0.0
    for what, number in steps:
        seconds = number * 0.02
        match what:
            case "buffer":
                far.buffer(seconds)
            case "hear":
                heard_s += min(seconds, far.unheard / HZ)
                far.hear(seconds)
            case _:
                getattr(far.playout, what)()
        # A word that is resumed is heard twice, so time may be more than words, never less.
        assert len(far.playout.heard(ONE).split()) <= heard_s * 10 + 1
    far.playout.resume()
    far.playout.unduck()
    far.buffer(3.0)
    far.hear(5.0)
    assert [event.text for event in far.told(PlayedOut)] == ["a b c d e f g h i j"]
