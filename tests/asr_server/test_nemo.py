"""The NeMo backend against NeMo itself; `pytest -m nemo`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.asr_server.listening import TEXTS, feed, finish, said
from voice_agent.asr_server.mel import Mel
from voice_agent.asr_server.models import ModelError
from voice_agent.asr_server.onnx_model import OnnxModel
from voice_agent.asr_server.stream import Recogniser, to_floats
from voice_agent.paths import models_dir

pytestmark = pytest.mark.nemo
NEMO = models_dir() / "nemotron-speech-tiny" / "nemotron-speech-tiny.nemo"


@pytest.fixture(scope="module", params=[80, 160, 560])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    from voice_agent.asr_server.nemo_model import NemoModel

    return Recogniser(NemoModel(NEMO, request.param // 80 - 1, "cpu", threads=1))


def offline(model: Any, pcm: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return NeMo's own encoder frames (n, width) and tokens for a whole recording."""
    import torch

    with torch.inference_mode():
        sound = torch.from_numpy(pcm)[None]
        mel, length = model.preprocessor(input_signal=sound, length=torch.tensor([sound.shape[1]]))
        encoded, frames = model.encoder(audio_signal=mel, length=length)
        best = model.decoding.rnnt_decoder_predictions_tensor(encoded, frames)[0]
    return encoded[0, :, : int(frames[0])].T.numpy(), list(map(int, best.y_sequence))


def test_features_are_nemos(recogniser):
    """Our incremental log-mel is NeMo's of the whole recording."""
    import torch

    pcm = to_floats(said("please-cancel-my-reservation"))
    mel = Mel(128)
    ours = mel.take(mel.new(), pcm)
    preprocessor = recogniser.model._model.preprocessor
    with torch.inference_mode():
        theirs, _ = preprocessor(
            input_signal=torch.from_numpy(pcm)[None], length=torch.tensor([len(pcm)])
        )
    np.testing.assert_allclose(ours, theirs[0].T.numpy()[: len(ours)], atol=2e-3)


def test_streaming_equals_offline(recogniser):
    """Chunk by chunk the encoder's frames are those of NeMo over the whole recording at the same
    context, and so are the tokens. (At 80 ms NeMo's own first chunk, one frame, differs a little:
    its missing history is nought before the convolutions, not after.)"""
    model = recogniser.model
    for name in TEXTS:
        pcm = to_floats(said(name, after_ms=1600))
        frames: list[np.ndarray] = []
        encode = model.encode

        def keep(chunks, encode=encode, frames=frames):
            encoded, caches = encode(chunks)
            frames.append(encoded[0].numpy())
            return encoded, caches

        model.encode = keep
        try:
            stream = recogniser.open()
            feed(recogniser, stream, pcm)
        finally:
            del model.encode
        theirs, tokens = offline(model._model, pcm)
        ours = np.concatenate(frames)
        projected = model._model.joint.project_encoder(_tensor(theirs)).detach().numpy()
        bound = 0.2 if model.look_ahead == 0 else 2e-3
        np.testing.assert_allclose(ours, projected[: len(ours)], atol=bound)
        pieces = [model.pieces[n] for n in tokens]
        heard = [token.piece for token in stream.tokens]
        if model.look_ahead:
            assert heard == pieces[: len(heard)]
            assert len(pieces) - len(heard) <= 1


def test_batched_equals_alone_and_finals_disturb_nothing(recogniser):
    """Streams of every age in one batch, each forced to a final now and then, hear what they
    would hear alone and undisturbed."""
    sounds = [to_floats(said(name, before_ms=200 + 70 * n)) for n, name in enumerate(TEXTS)]
    alone = []
    for pcm in sounds:
        stream = recogniser.open()
        feed(recogniser, stream, pcm)
        alone.append((list(stream.tokens), finish(recogniser, stream)))
    streams = [recogniser.open() for _ in sounds]
    for tick in itertools.count():
        for n, (stream, pcm) in enumerate(zip(streams, sounds, strict=True)):
            at = (tick - 3 * n) * 1600
            if at >= 0:
                recogniser.hear(stream, pcm[at : at + 1600])
        while ready := [stream for stream in streams if recogniser.ready(stream)]:
            recogniser.advance(ready)
        if tick % 5 == 0:
            finish(recogniser, streams[tick % len(streams)])
        if (tick - 3 * len(sounds)) * 1600 > max(len(pcm) for pcm in sounds):
            break
    assert [(s.tokens, finish(recogniser, s)) for s in streams] == alone


def test_the_export_hears_what_nemo_hears():
    """The ONNX folder and the .nemo are one network: at its chunks they hear the same."""
    from voice_agent.asr_server.nemo_model import NemoModel

    onnx = Recogniser(OnnxModel(NEMO.parent, threads=1))
    nemo = Recogniser(NemoModel(NEMO, onnx.model.look_ahead, "cpu", threads=1))
    for name in TEXTS:
        pcm = to_floats(said(name))
        texts = []
        for recogniser in (onnx, nemo):
            stream = recogniser.open()
            feed(recogniser, stream, pcm)
            texts.append(finish(recogniser, stream))
        assert texts[0] == texts[1]


def test_a_chunk_it_was_not_trained_for():
    """The chunks that can be had are named."""
    from voice_agent.asr_server.nemo_model import NemoModel

    with pytest.raises(ModelError, match="1120, 560, 160, 80"):
        NemoModel(NEMO, 2, "cpu")
    with pytest.raises(Exception, match="nowhere"):
        NemoModel(Path("nowhere.nemo"), 1, "cpu")


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
