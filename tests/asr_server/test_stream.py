"""Recognition chunk by chunk, with the small model."""

import itertools
import sys

import numpy as np
import pytest

from tests.asr_server.listening import MODEL, TEXTS, feed, finish, noisy, said, transcribed
from voice_agent.asr_server.boost import Boost
from voice_agent.asr_server.mel import Mel
from voice_agent.asr_server.models import ModelError
from voice_agent.asr_server.onnx_model import OnnxModel
from voice_agent.asr_server.stream import Recogniser, to_floats


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(OnnxModel(MODEL, threads=1))


def test_it_hears(recogniser):
    """Real text from real audio."""
    for name, text in TEXTS.items():
        assert " ".join(transcribed(recogniser, said(name))) == text


def test_the_pieces_do_not_matter(recogniser):
    """Streaming equals offline: audio in any pieces gives the tokens of the whole recording."""
    pcm = to_floats(said("a-table-for-four-people-tomorrow-at-seven"))
    whole = recogniser.open()
    feed(recogniser, whole, pcm, step=len(pcm))
    rng = np.random.default_rng(0)
    for _ in range(3):
        stream, at = recogniser.open(), 0
        while at < len(pcm):
            step = int(rng.integers(1, 3000))
            feed(recogniser, stream, pcm[at : at + step], step)
            at += step
        assert stream.tokens == whole.tokens
        assert finish(recogniser, stream) == finish(recogniser, whole)


def test_many_batched_equal_each_alone(recogniser):
    """Streams of every age share batches, and hear what they would hear alone."""
    names = [*TEXTS, *TEXTS]
    sounds = [to_floats(said(name, before_ms=200 + 90 * n)) for n, name in enumerate(names)]
    alone = []
    for pcm in sounds:
        stream = recogniser.open()
        feed(recogniser, stream, pcm)
        alone.append((list(stream.tokens), finish(recogniser, stream)))
    streams = [recogniser.open() for _ in sounds]
    for tick in itertools.count():
        for n, (stream, pcm) in enumerate(zip(streams, sounds, strict=True)):
            at = (tick - 3 * n) * 1600  # one begins 300 ms after the other
            if at >= 0:
                recogniser.hear(stream, pcm[at : at + 1600])
        while ready := [stream for stream in streams if recogniser.ready(stream)]:
            recogniser.advance(ready)
        if (tick - 3 * len(sounds)) * 1600 > max(len(pcm) for pcm in sounds):
            break
    assert [(s.tokens, finish(recogniser, s)) for s in streams] == alone


def test_finals_leave_the_stream_as_it_was(recogniser):
    """Forced to a final every 100 ms, it hears the same afterwards as if it never had been."""
    pcm = to_floats(said("what-time-do-you-open-on-sunday"))
    never = recogniser.open()
    feed(recogniser, never, pcm)
    forced = recogniser.open()
    for at in range(0, len(pcm), 1600):
        feed(recogniser, forced, pcm[at : at + 1600])
        finish(recogniser, forced)
    assert forced.tokens == never.tokens
    assert finish(recogniser, forced) == finish(recogniser, never)


def test_a_final_hears_the_last_word(recogniser):
    """The look-ahead it waits for is made up: the last word is there when the voice has ended."""
    pcm = to_floats(said("please-cancel-my-reservation", after_ms=40))
    stream = recogniser.open()
    feed(recogniser, stream, pcm)
    assert finish(recogniser, stream)[-1] == "reservation"


def test_a_stream_does_not_grow(recogniser):
    """What a stream keeps after a minute is what it kept after ten seconds, and its chunks are no
    longer: the cost of a chunk does not depend on how old a stream is."""
    stream = recogniser.open()
    noise = to_floats(noisy(bytes(10 * 32_000)))
    sizes, seen = [], []

    class Watching(OnnxModel):
        def encode(self, chunks):
            seen.append(sum(chunk.mel.nbytes for chunk in chunks))
            return super().encode(chunks)

    model = recogniser.model
    try:
        model.__class__ = Watching
        for _ in range(6):
            feed(recogniser, stream, noise, step=3200)
            recogniser.forget(stream, len(stream.tokens))
            caches = sum(np.asarray(each).nbytes for each in stream.cache)
            sizes.append(caches + stream.features.nbytes + stream.mel.pcm.nbytes)
    finally:
        model.__class__ = OnnxModel
    chunk = recogniser.model.chunk_frames * recogniser.model.bands * 4
    assert max(sizes) - min(sizes) <= chunk + 1600 * 4
    assert len(set(seen[1:])) == 1, "chunks differ in size"
    assert sys.getsizeof(stream.tokens) < 10_000


def test_features_do_not_depend_on_pieces():
    """Log-mel frames of a stream are those of the whole recording, bit for bit or nearly."""
    rng = np.random.default_rng(0)
    pcm = rng.standard_normal(32_000).astype(np.float32) * 0.1
    mel = Mel(128)
    whole = mel.take(mel.new(), pcm)
    state, parts, at = mel.new(), [], 0
    while at < len(pcm):
        step = int(rng.integers(1, 1000))
        parts.append(mel.take(state, pcm[at : at + step]))
        at += step
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-4)
    assert len(whole) == (32_000 - 200) // 160 + 1


def test_boosting_prefers_and_never_adds():
    """A phrase's next token is preferred; nothing is said where the model says nothing."""
    boost = Boost(["diavola pizza"], 4.0, ["▁dia", "vola", "▁pizza", "▁p", "x"])
    live = boost.follow((), "▁dia")
    assert live == ("▁dia",)
    assert boost.bonus(live).tolist() == pytest.approx([1.2, 4.0, 0.0, 0.0, 0.0])
    live = boost.follow(live, "vola")
    assert boost.bonus(live).tolist() == pytest.approx([1.2, 0.0, 4.0, 4.0, 0.0])
    assert boost.follow(live, "x") == ()


def test_a_folder_of_something_else(tmp_path):
    """What is missing is said."""
    with pytest.raises(ModelError, match=r"no encoder\.onnx"):
        OnnxModel(tmp_path)
