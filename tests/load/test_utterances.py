"""The bench's own utterances: what is known of them is true of their sound."""

import json

import numpy as np
import pytest

from voice_agent.load import utterances
from voice_agent.load.errors import CallError
from voice_agent.load.noises import noise
from voice_agent.load.playlist import read_playlist
from voice_agent.load.script import KINDS, NOISES, TEXTS
from voice_agent.load.utterances import assemble, make, missing_tools
from voice_agent.load.wav import HZ, voice_span_ms
from voice_agent.load.word_times import word_times


def voice(seconds):
    return (9000 * np.sin(2 * np.pi * 300 * np.arange(int(HZ * seconds)) / HZ)).astype(np.int16)


def test_a_pause_is_silence_of_its_length_and_no_word_falls_into_it():
    """Two pieces with 400 ms between them, and the words of each inside its piece."""
    pieces = [("a table for", voice(0.6)), ("four people", voice(0.5))]
    samples, pauses, words = assemble(pieces, [400])
    [(start, end)] = pauses
    assert end - start == 400
    quiet = samples[int(start * HZ / 1000) : int(end * HZ / 1000)]
    assert not quiet.any()
    assert len(samples) == pytest.approx(HZ * (0.04 + 0.6 + 0.4 + 0.5), abs=2)
    assert [word.text for word in words] == ["a", "table", "for", "four", "people"]
    assert words[2].at_ms == 600
    assert words[3].at_ms > 1000
    assert words[4].at_ms == 1500


def test_words_are_told_without_punctuation_and_in_order():
    """As a recogniser would hear them."""
    words = word_times("Yes, at eight!", 0, 900)
    assert [word.text for word in words] == ["yes", "at", "eight"]
    times = [word.at_ms for word in words]
    assert times == sorted(times)
    assert times[-1] == 900


@pytest.mark.parametrize("name", NOISES)
def test_noises_are_loud_short_and_always_the_same(name):
    """Made of seeded noise: two runs play the same cough."""
    samples = noise(name)
    assert np.abs(samples.astype(int)).max() == pytest.approx(11627, abs=50)
    assert len(samples) <= 1.5 * HZ
    assert voice_span_ms(samples) is not None
    np.testing.assert_array_equal(samples, noise(name))


def test_without_the_synthesizers_the_message_says_what_to_install(tmp_path, monkeypatch):
    """Or what to do instead."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CallError, match=r"apt-get install espeak-ng festival flite.*--wav-dir"):
        make(tmp_path / "set")


def test_a_set_that_is_there_is_not_made_again(tmp_path, monkeypatch):
    """No synthesizer is needed to play a cached set."""
    entry = {"file": "a.wav", "kind": "noise", "text": "", "voice": "x", "start_ms": 0.0,
             "end_ms": 5.0, "pauses": [], "words": []}  # fmt: skip
    content = {"version": utterances.VERSION, "utterances": [entry]}
    (tmp_path / "index.json").write_text(json.dumps(content))
    monkeypatch.setenv("PATH", "")
    [made] = make(tmp_path)
    assert made.file == "a.wav"


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}")
def test_the_whole_set_can_be_made_and_its_ends_are_true(tmp_path):
    """Every text of every kind, in several voices, ending where its sound ends."""
    entries = make(tmp_path, print=lambda line: None)
    assert {entry.kind for entry in entries} == set(KINDS)
    assert len(entries) == sum(map(len, TEXTS.values())) + len(NOISES)
    assert len({entry.voice for entry in entries if entry.kind == "complete"}) >= 6
    for item, entry in zip(read_playlist(tmp_path), entries, strict=True):
        start_ms, end_ms = voice_span_ms(item.speech.samples)
        assert end_ms == pytest.approx(entry.end_ms, abs=15), entry.file
        assert start_ms == pytest.approx(entry.start_ms, abs=15), entry.file
        if entry.words:
            assert entry.words[-1].at_ms == pytest.approx(entry.end_ms - entry.start_ms, abs=1)
