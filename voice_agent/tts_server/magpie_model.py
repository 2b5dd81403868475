"""MagpieTTS in NeMo, made to speak while it still thinks.

NeMo 3.0's ``generate_speech`` has no streaming call, but asks ``_check_eos_and_update_state``
after every step whether the end has come. That is where each step's frames are taken, where a
stream that nobody listens to any more is left, and where one that goes on for too long is ended.
Every stream has a copy of the model's modules that shares their weights: NeMo keeps the cache of
a generation in the modules.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voice_agent.engines import EngineError
from voice_agent.tts.resample import Samples
from voice_agent.tts_server.codec_stream import CodecStream

__all__ = ["Generation", "MagpieModel", "Stopped"]

INSTALL = "magpie runs in NeMo, which needs an extra: pip install 'voice-agent[nemo]'"
SPEAKERS = ("John", "Sofia", "Aria", "Jason", "Leo")
"""Of the published checkpoint, in the order of its embeddings (its model card)."""
BASE_S, PER_CHARACTER_S = 1.5, 0.16
"""A text may take this long: two and a half times the slowest that people read to each other."""
SILENT_END_S = 1.0
"""So long after its last word the model may go on; what comes then is not speech."""
_FADE_MS = 20


class Stopped(Exception):
    """Nobody listens any more."""


class MagpieModel:
    """The weights, loaded once.

    Args:
        path: A Magpie ``.nemo``.
        codec: The codec's ``.nemo``; None: where the model's own configuration says it is.
        device: "cuda", "cpu"; empty is a GPU where there is one.

    Raises:
        EngineError: NeMo is not installed, or a file cannot be used.
    """

    def __init__(self, path: Path, codec: Path | None = None, device: str = "") -> None:
        try:
            import torch
            from nemo.collections.tts.models import MagpieTTSModel
            from nemo.utils import logging
        except ImportError as error:
            raise EngineError(f"{INSTALL} (missing: {error.name})") from error
        logging.setLevel(logging.WARNING)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        config = MagpieTTSModel.restore_from(str(path), return_config=True)
        if codec is not None:
            config.codecmodel_path = str(codec)
        elif not Path(config.codecmodel_path).is_file():
            raise EngineError(
                f"{path} needs its codec ({config.codecmodel_path}) as a file of its own: pull it "
                "(voice-agent models pull nano-codec), or say where it is with --codec"
            )
        model = MagpieTTSModel.restore_from(
            str(path), override_config_path=config, map_location=self.device
        )
        if not model.has_baked_context_embedding:
            raise EngineError(f"{path} has no voices of its own (no baked context embedding)")
        self._model = model.eval().to(self.device)
        self.sample_rate: int = model.output_sample_rate
        self.samples_per_frame: int = model.codec_model_samples_per_frame
        self.frames_per_s = model.sample_rate / self.samples_per_frame
        self.speakers: tuple[str, ...] = (
            SPEAKERS
            if model.num_baked_speakers == len(SPEAKERS)
            else tuple(f"Speaker{number}" for number in range(model.num_baked_speakers))
        )

    def languages(self) -> list[str]:
        """Return the languages that the model's tokenizers know, as in "en"."""
        from nemo.collections.tts.parts.utils import tts_dataset_utils

        names = set(self._model.tokenizer.tokenizers)
        known = tts_dataset_utils.LANGUAGE_TOKENIZER_MAP.items()
        return [language for language, wanted in known if names & set(wanted)] or ["en"]

    def replica(self) -> Any:
        """Return the model once more: the same weights, but caches of its own."""
        replica = copy.copy(self._model)
        replica._modules = dict(self._model._modules)
        replica.decoder = _with_own_caches(self._model.decoder)
        if getattr(self._model, "_lt_helper", None) is not None:
            replica.local_transformer = _with_own_caches(self._model.local_transformer)
            replica._lt_helper = copy.copy(self._model._lt_helper)
            replica._lt_helper.local_transformer = replica.local_transformer
        return replica

    def codec_stream(self) -> CodecStream:
        """Return a decoder for one stream."""
        import torch

        helper = self._model._codec_helper

        def decode(codes: Any) -> Any:
            lengths = torch.tensor([codes.shape[-1]], device=codes.device)
            audio, _, _ = helper.codes_to_audio(codes, lengths)
            return audio[0].float().cpu().numpy()

        return CodecStream(decode, self.samples_per_frame, lambda parts: torch.cat(parts, dim=-1))


def _with_own_caches(module: Any) -> Any:
    """Return a copy of a module around the same weights; NeMo keeps caches in the modules."""
    shared = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(each): each for each in shared})


class Generation:
    """One stream on one replica: texts in, audio handed on as it is made; blocks its thread.

    Args:
        model: The weights.
        replica: Modules that nobody else uses meanwhile.
        speaker: Number of the voice.
        language: As in "en".
        gone: Whether anybody still listens; asked at every step.
        cut: Told of a text that was ended by force, with the seconds it had come to.
    """

    def __init__(
        self,
        model: MagpieModel,
        replica: Any,
        speaker: int,
        language: str,
        gone: Callable[[], bool],
        cut: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._model = model
        self._magpie = replica
        self._speaker = speaker
        self._language = language
        self._gone = gone
        self._cut = cut
        self._codec = model.codec_stream()
        self._state = replica.create_chunk_state(batch_size=1)
        self._first = True

    def speak(self, text: str, *, last: bool, put: Callable[[Samples], None]) -> None:
        """Speak a text as the next part of the stream.

        Args:
            text: As it is to be spoken.
            last: Nothing will follow it.
            put: Takes the audio, at the model's rate.

        Raises:
            Stopped: Nobody listens any more.
        """
        import torch

        self._codec.restart_pieces()
        chunks = list(self._chunks(text))
        with torch.inference_mode():
            for number, (tokens, characters) in enumerate(chunks):
                end = last and number == len(chunks) - 1
                self._chunk(tokens, characters, end_of_text=end, put=put)
        rest = self._codec.flush()
        if len(rest):
            put(rest)

    def _chunks(self, text: str) -> Iterator[tuple[Any, int]]:
        """Yield what the model takes at once: tokens, and how many characters they stand for."""
        from nemo.collections.tts.parts.utils import tts_dataset_utils

        magpie = self._magpie
        name = tts_dataset_utils.get_tokenizer_for_language(
            self._language, list(magpie.tokenizer.tokenizers)
        )
        tokens, _, texts = tts_dataset_utils.chunk_text_for_inference(
            text=text,
            language=self._language,
            tokenizer_name=name,
            text_tokenizer=magpie.tokenizer,
            eos_token_id=magpie.eos_id,
        )
        for each, part in zip(tokens, texts, strict=True):
            yield each, len(part)

    def _chunk(
        self, tokens: Any, characters: int, *, end_of_text: bool, put: Callable[[Samples], None]
    ) -> None:
        import torch

        magpie = self._magpie
        batch = {
            "text": tokens.unsqueeze(0).to(self._model.device),
            "text_lens": torch.tensor([len(tokens)], device=self._model.device),
            "speaker_indices": self._speaker,
        }
        magpie.decoder.reset_cache(use_cache=magpie.use_kv_cache_for_inference)
        magpie._check_eos_and_update_state = _Step(self, characters, put)
        try:
            magpie.generate_speech(
                batch,
                chunk_state=self._state,
                end_of_text=[end_of_text],
                beginning_of_text=self._first,
                use_cfg=True,
                use_local_transformer_for_inference=True,
            )
        finally:
            magpie.decoder.reset_cache(use_cache=False)
            del magpie._check_eos_and_update_state
        self._first = False


class _Step:
    """Stands where NeMo asks, after each step, whether the end has come."""

    def __init__(
        self, generation: Generation, characters: int, put: Callable[[Samples], None]
    ) -> None:
        self._generation = generation
        self._put = put
        self._most_s = BASE_S + characters * PER_CHARACTER_S
        self._magpie = generation._magpie
        self._ask = type(self._magpie)._check_eos_and_update_state
        self._names = list(inspect.signature(self._ask).parameters)[1:]

    def __call__(self, *args: Any, **more: Any) -> None:
        generation = self._generation
        if generation._gone():
            raise Stopped
        self._ask(self._magpie, *args, **more)
        told = {**dict(zip(self._names, args, strict=False)), **more}
        codes, step = told["audio_codes_next"], told["current_step"]
        ends, lengths = told["chunk_end_dict"], told["chunk_end_frame_lens"]
        stacked = codes.shape[-1]
        cut = 0 not in ends and self._too_long(told, (step + 1) * stacked)
        if cut:
            ends[0], lengths[0] = step, (step + 1) * stacked
            if told["end_of_text"][0]:
                told["chunk_state"].end_indices[0] = told["chunk_state"].overall_idx
        valid = max(0, lengths[0] - step * stacked) if 0 in lengths else stacked
        audio = generation._codec.feed(codes[:, :, :valid]) if valid else np.zeros(0, np.int16)
        if cut:
            audio = _faded(
                np.concatenate([audio, generation._codec.flush()]), generation._model.sample_rate
            )
        if len(audio):
            self._put(audio)

    def _too_long(self, told: dict[str, Any], frames: int) -> bool:
        """Whether what has come by now cannot be this text any more."""
        per_s = self._generation._model.frames_per_s
        stacked = told["audio_codes_next"].shape[-1]
        after_s = told["finished_texts_counter"].get(0, 0) * stacked / per_s
        if frames / per_s <= self._most_s and after_s <= SILENT_END_S:
            return False
        self._generation._cut(frames / per_s)
        return True


def _faded(samples: Samples, hz: int) -> Samples:
    """Return ``samples`` with its last 20 ms led down to silence."""
    count = min(len(samples), hz * _FADE_MS // 1000)
    if not count:
        return samples
    ramp = np.linspace(1.0, 0.0, count)
    tail = np.rint(samples[-count:] * ramp).astype(np.int16)
    return np.concatenate([samples[:-count], tail])
