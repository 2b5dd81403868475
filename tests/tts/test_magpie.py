"""MagpieTTS for real, in NeMo's own classes with random weights: it says nothing that anybody could
understand, by exactly the steps that the published model takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from pipecat.frames.frames import TTSAudioRawFrame
from riva.client.proto import riva_tts_pb2, riva_tts_pb2_grpc

from tests.tts.line import line_to
from tests.tts.serving import served
from tests.tts.voices import session
from voice_agent.engines import EngineContext, EngineError
from voice_agent.riva.channel import open_channel
from voice_agent.riva.server import SpeechServer
from voice_agent.tts.riva import RivaVoiceEngine, RivaVoiceSettings

if TYPE_CHECKING:
    from voice_agent.tts_server.magpie_model import Generation, MagpieModel

pytestmark = pytest.mark.nemo

TEXT = "Good evening, this is Bella Notte."
FRAME = 1_024
BOUND = 1e-3
"""Of full scale: what a sample may differ by from decoding everything in one go."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tts.tiny_magpie import make_codec, make_magpie

    folder = tmp_path_factory.mktemp("magpie")
    make_codec(folder / "codec.nemo")
    make_magpie(folder / "magpie.nemo", folder / "codec.nemo")
    make_magpie(folder / "stacked.nemo", folder / "codec.nemo", stacked=2)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> MagpieModel:
    from voice_agent.tts_server.magpie_model import MagpieModel

    return MagpieModel(folder / "magpie.nemo", device="cpu")


class Heard:
    """What a generation makes, its codes included."""

    def __init__(
        self, model: MagpieModel, *, gone: Callable[[], bool] = lambda: False, endless: bool = False
    ) -> None:
        from voice_agent.tts_server.magpie_model import Generation

        self.pieces: list[npt.NDArray[np.int16]] = []
        self.codes: list[Any] = []
        self.cuts: list[float] = []
        replica = model.replica()
        if endless:
            import copy

            # The end of speech is forbidden: what a model does that has lost its way.
            replica.inference_parameters = copy.copy(replica.inference_parameters)
            replica.inference_parameters.min_generated_frames = 1_000
        self.generation: Generation = Generation(model, replica, 2, "en", gone, self.cuts.append)
        feed = self.generation._codec.feed

        def note(codes: Any) -> Any:
            self.codes.append(codes)
            return feed(codes)

        self.generation._codec.feed = note  # type: ignore[method-assign]

    def say(self, text: str, *, last: bool = True) -> npt.NDArray[np.int16]:
        self.generation.speak(text, last=last, put=self.pieces.append)
        return np.concatenate(self.pieces)


def at_once(model: MagpieModel, codes: list[Any]) -> npt.NDArray[np.float32]:
    """Return the audio of all codes, decoded in one go by NeMo."""
    import torch

    whole = torch.cat(codes, dim=-1)
    audio, _, _ = model._model._codec_helper.codes_to_audio(whole, torch.tensor([whole.shape[-1]]))
    heard: npt.NDArray[np.float32] = audio[0].numpy()
    return heard


@pytest.mark.parametrize("name", ["magpie", "stacked"])
def test_streamed_is_what_nemo_says_in_one_go(folder: Path, name: str) -> None:
    """From the same random numbers, sample by sample, whether it makes one frame a step or two."""
    import torch

    from voice_agent.tts_server.magpie_model import MagpieModel

    model = MagpieModel(folder / f"{name}.nemo", device="cpu")
    torch.manual_seed(1)
    streamed = Heard(model).say(TEXT)
    torch.manual_seed(1)
    whole, length = model._model.do_tts(TEXT, speaker_index=2)
    assert len(streamed) == int(length) > 4 * FRAME
    assert np.abs(streamed / 32_767 - whole[0].numpy()).max() < BOUND


def test_the_cache_changes_the_time_and_nothing_else(model: MagpieModel) -> None:
    """NeMo's own call computes every step anew; with the cache the same codes come out."""
    import torch

    codes = []
    for cached in (True, False):
        heard = Heard(model)
        heard.generation._magpie.use_kv_cache_for_inference = cached
        torch.manual_seed(2)
        heard.say(TEXT)
        codes.append(torch.cat(heard.codes, dim=-1))
    assert torch.equal(*codes)


def test_the_first_piece_is_small_and_later_ones_grow(model: MagpieModel) -> None:
    """Four frames (186 ms) are enough to begin; then fewer, larger pieces."""
    heard = Heard(model, endless=True)
    heard.say(TEXT)
    frames = [len(piece) // FRAME for piece in heard.pieces]
    assert frames[:4] == [4, 6, 8, 12]
    assert set(frames[4:-1]) <= {12}


def test_clauses_of_a_reply_are_one_stream_of_sound(model: MagpieModel) -> None:
    """The second clause knows the first one, and no sample at their joint is out of place."""
    heard = Heard(model)
    first = len(heard.say("Good evening,", last=False))
    streamed = heard.say("this is Bella Notte.")
    assert len(streamed) > first
    whole = at_once(model, heard.codes)
    assert len(streamed) == len(whole)
    assert np.abs(streamed / 32_767 - whole).max() < BOUND
    steps = np.abs(np.diff(whole))
    seams = np.cumsum([len(piece) for piece in heard.pieces])[:-1]
    streamed_steps = np.abs(np.diff(streamed / 32_767))
    assert all(abs(streamed_steps[at - 1] - steps[at - 1]) < 2 * BOUND for at in seams)


def test_it_stops_at_the_step_at_which_nobody_listens(model: MagpieModel) -> None:
    """Not one frame is made after that."""
    from voice_agent.tts_server.magpie_model import Stopped

    gone = [False]
    heard = Heard(model, gone=lambda: gone[0], endless=True)

    def put(piece: npt.NDArray[np.int16]) -> None:
        gone[0] = True

    with pytest.raises(Stopped):
        heard.generation.speak(TEXT, last=True, put=put)
    assert sum(codes.shape[-1] for codes in heard.codes) == 4


@pytest.mark.parametrize(("rule", "least", "most"), [("length", 1.3, 1.6), ("end", 0.9, 1.2)])
def test_what_is_far_too_long_for_its_text_is_cut(
    model: MagpieModel, monkeypatch: pytest.MonkeyPatch, rule: str, least: float, most: float
) -> None:
    """A text of three letters may take so long, and a second after its last word nothing more."""
    from voice_agent.tts_server import magpie_model

    monkeypatch.setattr(magpie_model, "BASE_S", 1.0 if rule == "length" else 60.0)
    monkeypatch.setattr(magpie_model, "SILENT_END_S", 60.0 if rule == "length" else 1.0)
    heard = Heard(model, endless=True)
    streamed = heard.say("Hi.")
    assert least < len(streamed) / model.sample_rate < most
    assert len(heard.cuts) == 1
    assert np.abs(streamed[-4:]).max() < 100  # led down, not broken off


def test_replicas_share_the_weights(model: MagpieModel) -> None:
    """A further stream costs its cache, not the model once more."""
    ours, replica = model._model, model.replica()
    own = {each.data_ptr() for each in ours.parameters()}
    assert all(each.data_ptr() in own for each in replica.parameters())
    assert replica.decoder is not ours.decoder


async def test_the_server_from_end_to_end(folder: Path) -> None:
    """Several callers side by side by NVIDIA's protocol, whole frames for each, voices by their
    names; the agent's own engine, a reply of it, and one that is interrupted."""
    from voice_agent.tts_server.magpie import MagpieBackend

    backend = MagpieBackend(folder / "magpie.nemo", device="cpu", streams=2)
    async with served(backend) as server:
        await _side_by_side(server)
        await _in_an_agent(server)


async def _side_by_side(server: SpeechServer) -> None:
    async with open_channel(server.address) as channel:
        stub = riva_tts_pb2_grpc.RivaSpeechSynthesisStub(channel)
        config = await stub.GetRivaSynthesisConfig(riva_tts_pb2.RivaSynthesisConfigRequest())
        assert config.model_config[0].parameters["voice_name"] == "Magpie-Multilingual"
        assert "EN-US.Aria" in config.model_config[0].parameters["subvoices"]

        async def call(voice: str) -> list[int]:
            request = riva_tts_pb2.SynthesizeSpeechRequest(text=TEXT, voice_name=voice)
            stream = stub.SynthesizeOnline()
            await stream.write(request)
            await stream.done_writing()
            return [len(answer.audio) // 2 async for answer in stream]

        voices = ["Magpie-Multilingual.EN-US.Aria", "Magpie-Multilingual.EN-US.Leo"]
        for pieces in await asyncio.gather(*map(call, voices)):
            assert sum(pieces) >= 4 * FRAME
            assert all(length % FRAME == 0 for length in pieces)


async def _in_an_agent(server: SpeechServer) -> None:
    settings = RivaVoiceSettings.model_validate(
        {
            "server": server.address,
            "voice": "Magpie-Multilingual.EN-US.Aria",
            "stall_timeout_s": 120.0,  # a small share of a busy CPU may be all there is
        }
    )
    engine = RivaVoiceEngine(settings, EngineContext([]))
    await engine.start()
    async with line_to(engine.service(session())) as line:
        heard = await line.reply(TEXT)
        assert [text for text, _, _ in heard.words()] == TEXT.split()
        edges = [edge for _, start, end in heard.words() for edge in (start, end)]
        assert all(left <= right for left, right in pairwise(edges))
        await line.begin()
        await line.tokens(*(f"{TEXT} " for _ in range(50)))
        count = len(line.listener.all(TTSAudioRawFrame))
        await line.listener.hear(TTSAudioRawFrame, count + 1)
        await line.interrupt()
        async with asyncio.timeout(120):
            while server.registry.get_sample_value("tts_streams"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await engine.stop()


def test_a_codec_that_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    """With what to do: nothing is downloaded behind anybody's back."""
    from tests.tts.tiny_magpie import make_magpie
    from voice_agent.tts_server.magpie_model import MagpieModel

    codec = tmp_path / "codec.nemo"
    codec.write_bytes((folder / "codec.nemo").read_bytes())
    make_magpie(tmp_path / "magpie.nemo", codec)
    codec.unlink()
    with pytest.raises(EngineError, match="models pull nano-codec"):
        MagpieModel(tmp_path / "magpie.nemo", device="cpu")
    MagpieModel(tmp_path / "magpie.nemo", folder / "codec.nemo", device="cpu")
