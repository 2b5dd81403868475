"""Folders of WAVs with their true speech ends."""

import json

import numpy as np
import pytest
import soundfile

from voice_agent.load.errors import WavError
from voice_agent.load.playlist import choose, read_playlist

HZ = 16_000


@pytest.fixture
def folder(tmp_path):
    for name in ("a.wav", "b.wav"):
        voice = 0.3 * np.sin(2 * np.pi * 300 * np.arange(HZ) / HZ)
        soundfile.write(tmp_path / name, np.concatenate([voice, np.zeros(HZ // 2)]), HZ)
    return tmp_path


def index(folder, content):
    (folder / "index.json").write_text(json.dumps(content))
    return read_playlist(folder)


@pytest.mark.parametrize(
    "content",
    [
        {"utterances": [{"file": "a.wav", "end_ms": 980}, {"file": "b.wav", "end_ms": 990}]},
        [{"file": "a.wav", "end_ms": 980}, {"file": "b.wav", "speech_end_ms": 990}],
        {"a.wav": 980, "b.wav": 990.0},
        {"a.wav": {"end_ms": 980}, "b.wav": {"true_end_ms": 990}},
    ],
)
def test_an_index_may_be_as_plain_as_it_likes(folder, content):
    """Every form says the same: where the speech of each file truly ends."""
    items = index(folder, content)
    assert [(item.name, item.kind, item.speech.end_ms) for item in items] == [
        ("a.wav", "complete", 980),
        ("b.wav", "complete", 990),
    ]
    assert items[0].words is None


def test_kinds_and_words_are_kept(folder):
    """A scripted ASR is told an utterance's words, and that a noise has none."""
    words = [{"text": "yes", "at_ms": 300}]
    items = index(
        folder,
        [
            {"file": "a.wav", "end_ms": 980, "kind": "one-word", "text": "Yes.", "words": words},
            {"file": "b.wav", "end_ms": 980, "kind": "noise"},
        ],
    )
    assert items[0].words == tuple(words)
    assert items[1].words == ()
    assert [item.name for item in choose(items, ["noise"], None)] == ["b.wav"]
    assert [item.name for item in choose(items * 3, [], 1)] == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"utterances": []}, "names no files"),
        ([{"end_ms": 5}], 'needs a "file"'),
        (["a.wav"], 'needs a "file"'),
        ([{"file": "a.wav"}], '"end_ms" must say'),
        ({"a.wav": "soon"}, '"end_ms" must say'),
        ({"a.wav": 9000}, "cannot end at 9000 ms"),
        ({"missing.wav": 900}, "no such file"),
        ([{"file": "a.wav", "end_ms": 980, "kind": "shout"}], "must be one of complete, pause"),
        (3, "must be a list"),
    ],
)
def test_a_wrong_index_says_what_is_wrong(folder, content, message):
    """Files and keys are named."""
    with pytest.raises(WavError, match=message):
        index(folder, content)


def test_a_folder_without_an_index_says_what_one_looks_like(tmp_path):
    """The example can be copied."""
    with pytest.raises(WavError, match=r'\{"a.wav": 1830.0\}'):
        read_playlist(tmp_path)
