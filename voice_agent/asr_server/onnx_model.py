"""Models as sherpa-onnx has them, on CPUs without torch: ``--backend sherpa``.

A folder with ``encoder[.int8].onnx``, ``decoder[.int8].onnx``, ``joiner[.int8].onnx`` and
``tokens.txt``: what NVIDIA's streaming checkpoints are published as for sherpa-onnx, one folder a
chunk size. They are run with onnxruntime and not with sherpa-onnx itself, whose streams cannot be
copied (a final could not be decoded without disturbing the stream) and which throws away the first
160 ms of every stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voice_agent.asr_server.models import DOWNSAMPLING, PRE_ENCODE, Chunk, Model, ModelError

_PARTS = ("encoder", "decoder", "joiner")


class OnnxModel(Model):
    """A folder of sherpa-onnx.

    Args:
        folder: Where its files are.
        threads: For the encoder; 0 takes one a core.

    Raises:
        ModelError: A file is missing, or is of another kind of model.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        paths = {part: _part(folder, part) for part in _PARTS}
        self._encoder = _session(paths["encoder"], threads)
        self._decoder = _session(paths["decoder"], 1)
        self._joiner = _session(paths["joiner"], 1)
        self.name = folder.name
        self.pieces = _pieces(folder / "tokens.txt")
        # Quantised on the fly: a stream's numbers would depend on who shares its batch.
        self.batches = "int8" not in paths["encoder"].name
        said = self._encoder.get_modelmeta().custom_metadata_map
        try:
            window, self.bands = int(said["window_size"]), int(said["feat_dim"])
            caches = [int(said[f"cache_last_{kind}_dim{n}"]) for kind in ("channel", "time")
                      for n in (1, 2, 3)]  # fmt: skip
            layers, width = int(said["pred_rnn_layers"]), int(said["pred_hidden"])
        except KeyError as error:
            raise ModelError(
                f"{paths['encoder']} is no streaming model with caches (no {error} in its "
                "metadata): take an export of a streaming (cache-aware) transducer"
            ) from error
        self.look_ahead = (window - PRE_ENCODE) // DOWNSAMPLING - 1
        self.first_frames = self.chunk_frames
        zeros = np.zeros
        self._cache = (
            zeros(caches[:3], np.float32),
            zeros(caches[3:], np.float32),
            np.int64(0),
        )
        self._history = zeros((PRE_ENCODE, self.bands), np.float32)
        self._state = zeros((layers, width), np.float32)
        self._inputs = [each.name for each in self._decoder.get_inputs()]

    def encode(self, chunks: Sequence[Chunk]) -> tuple[list[Any], list[Any]]:
        """See ``Model``. A first chunk gets a history of noughts, as NeMo pads it for export."""
        mels = [
            chunk.mel if chunk.cache is not None else np.concatenate([self._history, chunk.mel])
            for chunk in chunks
        ]
        caches = [chunk.cache or self._cache for chunk in chunks]
        frames, lengths, *next_caches = self._encoder.run(
            None,
            {
                "audio_signal": np.stack(mels).transpose(0, 2, 1),
                "length": np.full(len(mels), mels[0].shape[0], np.int64),
                "cache_last_channel": np.stack([cache[0] for cache in caches]),
                "cache_last_time": np.stack([cache[1] for cache in caches]),
                "cache_last_channel_len": np.array([cache[2] for cache in caches], np.int64),
            },
        )
        each = frames.transpose(0, 2, 1)
        return (
            [each[n, : int(lengths[n])] for n in range(len(chunks))],
            list(zip(*next_caches, strict=True)),
        )

    def predict(self, tokens: Sequence[int], states: Sequence[Any]) -> list[Any]:
        """See ``Model``; a state is the output and the LSTM's two."""
        return [self._predict(*each) for each in zip(tokens, states, strict=True)]

    def _predict(self, token: int, state: Any) -> Any:
        """One stream alone: the graph, as NeMo exports it, takes no batch of states."""
        _, h, c = state or (None, self._state, self._state)
        given = (np.array([[token]], np.int32), np.ones(1, np.int32), h[:, None], c[:, None])
        output, _, h, c = self._decoder.run(None, dict(zip(self._inputs, given, strict=True)))
        return output[0], h[:, 0], c[:, 0]

    def join(self, frames: Sequence[Any], states: Sequence[Any]) -> NDArray[np.float32]:
        """See ``Model``."""
        logits = self._joiner.run(
            None,
            {
                "encoder_outputs": np.stack(frames)[:, :, None],
                "decoder_outputs": np.stack([state[0] for state in states]),
            },
        )[0]
        scores: NDArray[np.float32] = logits.reshape(len(frames), -1)
        return scores


def _part(folder: Path, part: str) -> Path:
    for name in (f"{part}.int8.onnx", f"{part}.onnx"):
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{folder} has no {part}.onnx: it should be a streaming transducer as sherpa-onnx has it "
        "(encoder, decoder, joiner and tokens.txt)"
    )


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def _pieces(path: Path) -> list[str]:
    if not path.is_file():
        raise ModelError(f"{path} is missing")
    lines = path.read_text(encoding="utf-8").splitlines()
    pieces = [line.rpartition(" ")[0] for line in lines if line.strip()]
    return pieces[:-1]  # the last one is the blank
