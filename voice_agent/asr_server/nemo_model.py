"""NVIDIA's streaming checkpoints in NeMo: ``--backend nemo``, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.asr_server.models import DOWNSAMPLING, Chunk, Model, ModelError

INSTALL = "--backend nemo needs an extra: pip install 'voice-agent[nemo]'"
_DROP = 2
"""Encoder frames that the ``PRE_ENCODE`` frames of history make again."""


class NemoModel(Model):
    """A cache-aware transducer of NeMo's, from a ``.nemo`` file.

    NeMo keeps the look-ahead, and how many frames are dropped, in the model itself: one instance
    serves one look-ahead, from one thread.

    Args:
        path: The ``.nemo``.
        look_ahead: Encoder frames of future, one the checkpoint was trained with.
        device: ``cuda``, ``cpu``, ...; empty takes a GPU if there is one.
        threads: On CPUs; 0 leaves it to PyTorch.

    Raises:
        ModelError: NeMo is not installed, or the file is no such model.
    """

    def __init__(self, path: Path, look_ahead: int, device: str = "", threads: int = 0) -> None:
        try:
            import torch
            from nemo.collections.asr.models import ASRModel
        except ImportError as error:
            raise ModelError(f"{INSTALL} (missing: {error.name})") from error
        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model: Any = ASRModel.restore_from(str(path), map_location=where)
        self._model = model.eval()
        encoder = model.encoder
        contexts = [list(each) for each in getattr(encoder, "att_context_size_all", [])]
        if not hasattr(encoder, "cache_aware_stream_step") or not contexts:
            raise ModelError(f"{path} is not a streaming (cache-aware) transducer")
        chosen = [each for each in contexts if each[1] == look_ahead]
        if not chosen:
            trained = ", ".join(str(80 * (each[1] + 1)) for each in contexts)
            raise ModelError(
                f"{path.name} was not trained for chunks of {80 * (look_ahead + 1)} ms, but for: "
                f"{trained}"
            )
        encoder.set_default_att_context_size(chosen[0])
        encoder.setup_streaming_params()
        self.name = path.stem
        self.look_ahead = look_ahead
        self.first_frames = 1 + DOWNSAMPLING * look_ahead
        features = model.cfg.preprocessor
        if features.get("normalize") not in ("NA", None):
            raise ModelError(f"{path.name} normalises its features over whole recordings")
        self.bands = int(features.features)
        self.pieces = [
            model.tokenizer.ids_to_tokens([n])[0] for n in range(model.tokenizer.vocab_size)
        ]
        self._device = where

    def encode(self, chunks: Sequence[Chunk]) -> tuple[list[Any], list[Any]]:
        """See ``Model``; the first chunk is one frame longer than its look-ahead, and exact."""
        torch, encoder = self._torch, self._model.encoder
        first = chunks[0].cache is None
        with torch.inference_mode():
            mel = torch.from_numpy(np.stack([chunk.mel for chunk in chunks])).to(self._device)
            lengths = torch.full((len(chunks),), mel.shape[1], device=self._device)
            if first:
                caches = encoder.get_initial_cache_state(batch_size=len(chunks))
            else:
                kept = list(zip(*(chunk.cache for chunk in chunks), strict=True))
                caches = (torch.stack(kept[0], 1), torch.stack(kept[1], 1), torch.stack(kept[2]))
            frames, valid, channel, time, length = encoder.cache_aware_stream_step(
                processed_signal=mel.transpose(1, 2),
                processed_signal_length=lengths,
                cache_last_channel=caches[0],
                cache_last_time=caches[1],
                cache_last_channel_len=caches[2],
                keep_all_outputs=False,
                drop_extra_pre_encoded=0 if first else _DROP,
            )
            projected = self._model.joint.project_encoder(frames.transpose(1, 2))
            counts = valid.tolist()
        return (
            [projected[n, : counts[n]] for n in range(len(chunks))],
            [(channel[:, n], time[:, n], length[n]) for n in range(len(chunks))],
        )

    def predict(self, tokens: Sequence[int], states: Sequence[Any]) -> list[Any]:
        """See ``Model``; a state is the output, ready for the joint network, and the LSTM's two."""
        torch, model = self._torch, self._model
        with torch.inference_mode():
            labels = torch.tensor(tokens, device=self._device)[:, None]
            if states[0] is None:
                hidden = None
            else:
                hidden = (
                    torch.stack([state[1] for state in states], 1),
                    torch.stack([state[2] for state in states], 1),
                )
            # Its embedding of the blank is nought: how a transducer begins.
            output, (h, c) = model.decoder.predict(labels, hidden, add_sos=False)
            output = model.joint.project_prednet(output)
        return [(output[n, 0], h[:, n], c[:, n]) for n in range(len(tokens))]

    def join(self, frames: Sequence[Any], states: Sequence[Any]) -> NDArray[np.float32]:
        """See ``Model``."""
        torch = self._torch
        with torch.inference_mode():
            logits = self._model.joint.joint_after_projection(
                torch.stack(list(frames))[:, None], torch.stack([s[0] for s in states])[:, None]
            )
            scores: NDArray[np.float32] = logits.reshape(len(frames), -1).float().cpu().numpy()
        return scores
