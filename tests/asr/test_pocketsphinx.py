"""PocketSphinx as a Pipecat service, and for recordings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pipecat.frames.frames import (
    Frame,
    SystemFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.asr.hearing import BYTES_PER_MS, frames, silence, speech, transcripts
from voice_agent.asr.pocketsphinx import (
    PocketSphinxEngine,
    PocketSphinxSettings,
    transcribe,
)
from voice_agent.engines import EngineContext, EngineError, SessionInfo
from voice_agent.frames import FinalizeTranscriptFrame, VoicePausedFrame
from voice_agent.paths import models_dir

SESSION = SessionInfo("test")
STARTED = VADUserStartedSpeakingFrame(start_secs=0.2)
STOPPED = VADUserStoppedSpeakingFrame(stop_secs=0.2)


@pytest.fixture
async def engine() -> AsyncIterator[PocketSphinxEngine]:
    settings = PocketSphinxSettings(workers=1, streams_per_worker=1)
    engine = PocketSphinxEngine(settings, EngineContext([models_dir()]))
    await engine.start()
    yield engine
    await engine.stop()


async def test_partials_come_first_and_one_final_per_silence(engine: PocketSphinxEngine) -> None:
    """The VAD's stop and our request for the same silence give one text between them."""
    pcm = speech("please-cancel-my-reservation")
    late = 600 * BYTES_PER_MS  # the VAD finds the voice this late
    sent = [*frames(silence(2000) + pcm[:late]), STARTED, *frames(pcm[late:] + silence(200))]
    interim, final = await transcripts(
        engine.service(SESSION), [*sent, STOPPED, FinalizeTranscriptFrame()]
    )
    assert [(f.text, f.finalized) for f in final] == [("please cancel my reservation", True)]
    assert "please cancel" in [f.text for f in interim]


async def test_a_short_answer_after_silence_is_heard(engine: PocketSphinxEngine) -> None:
    """A word of 0.4 s that the VAD finds in its middle is heard from its first sound."""
    for word in ("yes", "seven"):
        pcm = silence(2000) + speech(word)
        found = 2450 * BYTES_PER_MS
        sent = [*frames(pcm[:found]), STARTED, *frames(pcm[found:]), STOPPED]
        _, final = await transcripts(engine.service(SESSION), sent)
        assert [f.text for f in final] == [word]


async def test_a_request_is_answered_though_nothing_was_said(engine: PocketSphinxEngine) -> None:
    """Whoever asks for a final transcript gets one, empty if need be, and exactly one."""
    sent = [*frames(silence(500)), FinalizeTranscriptFrame(), *frames(silence(500))]
    interim, final = await transcripts(engine.service(SESSION), sent)
    assert [(f.text, f.finalized) for f in final] == [("", True)]
    assert not interim


async def test_silence_that_a_vad_took_for_a_voice_says_nothing(
    engine: PocketSphinxEngine,
) -> None:
    """Without words, the VAD's stop alone gives no transcript."""
    sent = [*frames(silence(500)), STARTED, *frames(silence(500)), STOPPED]
    _, final = await transcripts(engine.service(SESSION), sent)
    assert not final


async def test_audio_after_a_final_is_the_next_utterance(engine: PocketSphinxEngine) -> None:
    """Two utterances of one conversation, each with its own words."""
    sent = []
    for name in ("what-time-do-you-open-on-sunday", "please-cancel-my-reservation"):
        pcm = silence(500) + speech(name)
        at = 900 * BYTES_PER_MS
        sent += [*frames(pcm[:at]), STARTED, *frames(pcm[at:] + silence(100)), STOPPED]
    _, final = await transcripts(engine.service(SESSION), sent)
    assert [f.text for f in final] == [
        "what time do you open on sunday",
        "please cancel my reservation",
    ]


async def test_a_request_in_the_middle_of_a_voice_splits_it(engine: PocketSphinxEngine) -> None:
    """Asked while the user still speaks, the rest is the next utterance and nothing is lost."""
    first, second = (
        speech("what-time-do-you-open-on-sunday"),
        speech("please-cancel-my-reservation"),
    )
    sent = [STARTED, *frames(first), FinalizeTranscriptFrame(), *frames(second + silence(100))]
    _, final = await transcripts(engine.service(SESSION), [*sent, STOPPED])
    assert [f.text for f in final] == [
        "what time do you open on sunday",
        "please cancel my reservation",
    ]


@dataclass
class Decide(SystemFrame):
    """Where ``TurnMachine`` makes up its mind."""


class TurnMachine(FrameProcessor):
    """Asks the service as our turn-taking does: both frames, travelling upstream."""

    def __init__(self, service: FrameProcessor) -> None:
        super().__init__()
        self._service = service

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, Decide):
            for request in (FinalizeTranscriptFrame(), VADUserStoppedSpeakingFrame(stop_secs=0.0)):
                await self._service.queue_frame(request, FrameDirection.UPSTREAM)
        else:
            await self.push_frame(frame, direction)


async def test_a_sentence_cut_by_the_turn_machine_goes_on(engine: PocketSphinxEngine) -> None:
    """A turn decided in mid-sentence is followed by the rest, and no new onset is needed.

    A word that is cut is misheard, and may take the one beside it along; no other word is.
    """
    pcm = speech("a-table-for-four-people-tomorrow-at-seven")
    words = "table for four people tomorrow at seven".split()
    for cut_ms, misheard in ((1000, 1), (1300, 2), (1600, 2)):
        at = cut_ms * BYTES_PER_MS
        service = engine.service(SESSION)
        sent = [STARTED, *frames(pcm[:at]), Decide(), *frames(pcm[at:]), VoicePausedFrame()]
        _, final = await transcripts(Pipeline([TurnMachine(service), service]), [*sent, Decide()])
        assert len(final) == 2
        assert all(f.text for f in final)
        heard = " ".join(f.text for f in final).split()
        assert sum(word not in heard for word in words) <= misheard, heard


async def test_the_voice_found_again_adds_no_audio_twice(engine: PocketSphinxEngine) -> None:
    """Further onsets within an utterance neither repeat nor forget words."""
    pcm = speech("please-cancel-my-reservation")
    step = 400 * BYTES_PER_MS
    sent: list[Frame] = []
    for begin in range(0, len(pcm), step):
        sent += [STARTED, *frames(pcm[begin : begin + step]), VoicePausedFrame()]
    _, final = await transcripts(engine.service(SESSION), [*sent, FinalizeTranscriptFrame()])
    assert [f.text for f in final] == ["please cancel my reservation"]


async def test_a_pause_does_not_end_the_utterance(engine: PocketSphinxEngine) -> None:
    """When our ears find a pause nothing is final yet; what is said after it is added."""
    first, second = (
        speech("what-time-do-you-open-on-sunday"),
        speech("please-cancel-my-reservation"),
    )
    sent = [STARTED, *frames(first), VoicePausedFrame(), *frames(silence(200)), STARTED]
    sent += [*frames(second), VoicePausedFrame(), FinalizeTranscriptFrame()]
    interim, final = await transcripts(engine.service(SESSION), sent)
    whole = "what time do you open on sunday please cancel my reservation"
    assert [f.text for f in final] == [whole]
    assert "what time do you open on sunday please cancel" in [f.text for f in interim]


async def test_a_bot_without_vad_can_let_the_level_decide() -> None:
    """With gate = "energy" voice and silence are found without any VAD frame."""
    settings = PocketSphinxSettings(workers=1, streams_per_worker=1, gate="energy")
    engine = PocketSphinxEngine(settings, EngineContext([models_dir()]))
    await engine.start()
    try:
        pcm = silence(1000) + speech("please-cancel-my-reservation") + silence(1000)
        _, final = await transcripts(engine.service(SESSION), frames(pcm))
        assert [f.text for f in final] == ["please cancel my reservation"]
    finally:
        await engine.stop()


async def test_a_session_gives_its_place_back(engine: PocketSphinxEngine) -> None:
    """One place serves any number of conversations, one after the other."""
    for _ in range(3):
        _, final = await transcripts(engine.service(SESSION), [FinalizeTranscriptFrame()])
        assert len(final) == 1


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A model that is not there, or is not one, says so before anything is started."""
    (tmp_path / "empty").mkdir()
    context = EngineContext([tmp_path])
    with pytest.raises(EngineError, match="nowhere"):
        await PocketSphinxEngine(PocketSphinxSettings(model="nowhere"), context).start()
    with pytest.raises(EngineError, match=r"no decoder\.json"):
        await PocketSphinxEngine(PocketSphinxSettings(model="empty"), context).start()


def test_a_recording_is_transcribed() -> None:
    """A complete recording is cut at its pauses and recognised in one call."""
    pcm = (
        silence(300)
        + speech("please-cancel-my-reservation")
        + silence(800)
        + speech("what-time-do-you-open-on-sunday")
    )
    text = transcribe(np.frombuffer(pcm, np.int16))
    assert text == "please cancel my reservation what time do you open on sunday"
    assert transcribe(np.zeros(16_000, np.int16)) == ""
