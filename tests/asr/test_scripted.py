"""The recogniser with fixed latencies."""

from __future__ import annotations

from pipecat.frames.frames import VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.tests.utils import SleepFrame

from tests.asr.hearing import frames, silence, transcripts
from voice_agent.asr.scripted import ScriptedEngine, ScriptedSettings, ScriptedSTTService
from voice_agent.engines import EngineContext, SessionInfo
from voice_agent.frames import (
    NEUTRAL,
    ExpectedWordsFrame,
    FinalizeTranscriptFrame,
    VoicePausedFrame,
)

STARTED = VADUserStartedSpeakingFrame(start_secs=0.2)
STOPPED = VADUserStoppedSpeakingFrame(stop_secs=0.2)
WAIT = SleepFrame(0.5)  # the instrument's own latency has to pass, on a busy machine too


def service(**settings: object) -> ScriptedSTTService:
    engine = ScriptedEngine(ScriptedSettings.model_validate(settings), EngineContext([]))
    return engine.service(SessionInfo("test"))


async def test_words_grow_with_the_voice() -> None:
    """One more word for every 300 ms of voice, and all of them are in the final transcript."""
    sent = [*frames(silence(1000)), STARTED, *frames(silence(700)), STOPPED, WAIT]
    interim, final = await transcripts(service(), sent)
    assert [f.text.count("word") for f in interim] == [1, 2, 3]
    assert [(f.text, f.finalized) for f in final] == [("word word word", True)]


async def test_a_request_is_answered_once() -> None:
    """The VAD's stop and a request for the same silence are one transcript; silence is empty."""
    sent = [STARTED, STOPPED, FinalizeTranscriptFrame(), WAIT, FinalizeTranscriptFrame(), WAIT]
    _, final = await transcripts(service(word="so"), sent)
    assert [f.text for f in final] == ["so", ""]


async def test_after_a_final_the_count_begins_again() -> None:
    """Voice after a final transcript is the next utterance."""
    sent = [STARTED, *frames(silence(500)), FinalizeTranscriptFrame(), WAIT]
    sent += [*frames(silence(400)), STOPPED, WAIT]
    _, final = await transcripts(service(word_ms=200), sent)
    assert [f.text for f in final] == ["word word word word", "word word"]


async def test_counted_words_say_that_they_mean_nothing() -> None:
    """Words that were not told in advance are marked as neutral, partial and final."""
    interim, final = await transcripts(service(), [STARTED, *frames(silence(500)), STOPPED, WAIT])
    assert {f.result for f in [*interim, *final]} == {NEUTRAL}


async def test_expected_words_come_after_their_ends() -> None:
    """A word that was told is heard ``word_delay_ms`` after its end, and is no neutral one."""
    told = ExpectedWordsFrame([("table", 300.0), ("for", 500.0), ("two", 900.0)])
    onset = VADUserStartedSpeakingFrame(start_secs=0.0)
    sent = [told, onset, *frames(silence(600)), FinalizeTranscriptFrame(), WAIT]
    interim, final = await transcripts(service(word_delay_ms=60), sent)
    assert [f.text for f in interim] == ["table", "table for"]
    assert [f.text for f in final] == ["table for"]
    assert {f.result for f in [*interim, *final]} == {None}


async def test_expected_words_after_a_final_belong_to_the_next() -> None:
    """What a request came too early for is heard in the next utterance."""
    told = ExpectedWordsFrame([("one", 200.0), ("two", 600.0)])
    onset = VADUserStartedSpeakingFrame(start_secs=0.0)
    sent = [told, onset, *frames(silence(400)), FinalizeTranscriptFrame(), WAIT]
    sent += [*frames(silence(400)), FinalizeTranscriptFrame(), WAIT]
    _, final = await transcripts(service(), sent)
    assert [f.text for f in final] == ["one", "two"]


async def test_a_pause_stops_the_counting_only() -> None:
    """While the voice pauses no word is added, and none is lost when it goes on."""
    onset = VADUserStartedSpeakingFrame(start_secs=0.0)
    sent = [onset, *frames(silence(300)), VoicePausedFrame(), *frames(silence(900)), onset]
    sent += [*frames(silence(300)), FinalizeTranscriptFrame(), WAIT]
    _, final = await transcripts(service(word_ms=300), sent)
    assert [f.text for f in final] == ["word word"]
