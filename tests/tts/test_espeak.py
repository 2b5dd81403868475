"""eSpeak NG for real, beyond the contract of every voice: its pauses, its words, its threads."""

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.services.settings import TTSSettings

from tests.tts.line import line_to
from voice_agent.engines import EngineContext, EngineError, SessionInfo
from voice_agent.frames import ReplyStartFrame, SpokenWordsFrame
from voice_agent.tts.espeak import EspeakEngine, EspeakSettings
from voice_agent.tts.espeak_library import Voice
from voice_agent.tts.loudness import integrated_lufs

SENTENCE = "Of course, I have a table for four people at 7:30 pm."
LONGER = "Would you rather sit inside, or in the garden? The kitchen closes at eleven."


@pytest.fixture
async def engine() -> AsyncIterator[EspeakEngine]:
    engine = EspeakEngine(EspeakSettings(), EngineContext([]))
    await engine.start()
    yield engine
    await engine.stop()


def session(rate_hz: int = 48_000) -> SessionInfo:
    return SessionInfo("test", audio_out_hz=rate_hz)


async def test_words_are_timed_within_the_audio(engine: EspeakEngine) -> None:
    """Every written word has its samples, in order, ahead of the audio that carries it."""
    async with line_to(engine.service(session())) as line:
        heard = await line.reply(SENTENCE)
        words = heard.words()
        assert [text for text, _, _ in words] == SENTENCE.split()
        edges = [edge for _, start, end in words for edge in (start, end)]
        assert edges == sorted(edges)
        assert edges[-1] <= len(heard.audio())
        assert edges[-1] > len(heard.audio()) - 4_800
        played = 0
        for frame in heard.frames:
            if isinstance(frame, TTSAudioRawFrame):
                played += len(frame.audio) // 2
            elif isinstance(frame, SpokenWordsFrame):
                # A resampler may be a millisecond ahead of its own output, never behind.
                assert frame.words[0][1] >= played - 1
        # Half past seven takes longer to say than "a".
        length = {text: end - start for text, start, end in words}
        assert length["7:30"] > 3 * length["a"]


async def test_between_clauses_there_is_a_breath_and_after_the_last_none(
    engine: EspeakEngine,
) -> None:
    """Clauses are 120 ms apart and sentences 250 ms; a reply ends with its last sound."""
    async with line_to(engine.service(session())) as line:
        heard = await line.reply("Sure, I can. Goodbye!")
        words = heard.words()
        assert [text for text, _, _ in words] == ["Sure,", "I", "can.", "Goodbye!"]
        assert words[1][1] - words[0][2] == pytest.approx(5_760, abs=2)
        assert words[3][1] - words[2][2] == pytest.approx(12_000, abs=2)
        silent = np.abs(heard.audio()[::-1]) < 150
        assert np.argmin(silent) < 48 * 30


async def test_a_clause_under_way_is_given_up(engine: EspeakEngine) -> None:
    """The thread is free at once when a minute of speech is interrupted, not when it is done."""
    library = engine._library
    assert library is not None
    delivered = threading.Event()
    count = 0

    def stop_at_the_third(samples: object, words: object) -> bool:
        nonlocal count
        count += 1
        delivered.set()
        return count < 3

    await asyncio.to_thread(library.synthesize, "word " * 1000, Voice("en-us"), stop_at_the_third)
    assert delivered.is_set()
    assert count == 3


async def test_two_conversations_do_not_mix(engine: EspeakEngine) -> None:
    """Speaking at the same time, each hears what it would have heard alone."""
    texts = ("Good morning, how are you today?", "The kitchen closes at eleven, not before.")
    alone = []
    for text in texts:
        async with line_to(engine.service(session())) as line:
            alone.append((await line.reply(text)).audio())
    async with (
        line_to(engine.service(session())) as one,
        line_to(engine.service(session())) as other,
    ):
        await asyncio.gather(one.reply(texts[0]), other.reply(texts[1]))
        for line, audio, text in zip((one, other), alone, texts, strict=True):
            assert [word for word, _, _ in line.listener.words()] == text.split()
            # eSpeak never says a thing twice in exactly the same time.
            assert abs(len(line.listener.audio()) - len(audio)) < 0.02 * len(audio)


async def test_frames_between_replies_keep_their_place(engine: EspeakEngine) -> None:
    """What the turn engine sends ahead of a reply comes out ahead of that reply's audio."""
    async with line_to(engine.service(session())) as line:
        for turn in (1, 2):
            await line.send(ReplyStartFrame(turn=turn))
            await line.begin()
            await line.tokens("Yes", ",", " of", " course", ".")
            await line.end()
        await line.listener.hear(TTSStoppedFrame, 2)
        kinds = (ReplyStartFrame, TTSStartedFrame, TTSStoppedFrame)
        order = [type(frame) for frame in line.listener.frames if isinstance(frame, kinds)]
        assert order == [*kinds, *kinds]


async def test_a_reply_that_stalls_is_stopped_and_started_again(engine: EspeakEngine) -> None:
    """When the LLM falls silent for seconds, words count from the new start of audio."""
    service = engine.service(session())
    service._stop_frame_timeout_s = 0.05
    async with line_to(service) as line:
        await line.begin()
        await line.tokens("Well", ",")
        await line.listener.hear(TTSStoppedFrame)
        await line.tokens(" I", " see", "!")
        await line.end()
        await line.listener.hear(TTSStoppedFrame, 2)
        assert len(line.listener.all(TTSStartedFrame)) == 2
        assert [word for word, start, _ in line.listener.words() if start == 0] == ["Well,", "I"]


async def test_text_without_anything_to_say_is_silent(engine: EspeakEngine) -> None:
    """An emoji or a rule is no speech and no error; the reply around it is spoken."""
    async with line_to(engine.service(session())) as line:
        heard = await line.reply("😀\n---\nHello there. 🎉\n")
        assert [text for text, start, end in heard.words() if end > start] == ["Hello", "there."]
        assert heard.all(ErrorFrame) == []


async def test_settings_change_the_voice() -> None:
    """A slower rate takes longer, another voice sounds different."""
    lengths = {}
    for name, settings in {
        "usual": EspeakSettings(),
        "slow": EspeakSettings(rate=110),
        "other": EspeakSettings(voice="en-gb+f3", pitch=70),
    }.items():
        engine = EspeakEngine(settings, EngineContext([]))
        await engine.start()
        async with line_to(engine.service(session())) as line:
            lengths[name] = (await line.reply(SENTENCE)).audio()
        await engine.stop()
    assert len(lengths["slow"]) > 1.2 * len(lengths["usual"])
    assert len(lengths["other"]) != len(lengths["usual"])


async def test_an_unknown_voice_is_a_clear_error() -> None:
    """It is found out at the start, and the message says what a voice is."""
    engine = EspeakEngine(EspeakSettings(voice="klingon-opera"), EngineContext([]))
    with pytest.raises(EngineError, match=r"no voice 'klingon-opera'.*en-us"):
        await engine.start()


async def test_no_thread_is_left() -> None:
    """An engine that stopped has no thread, started or not."""
    before = set(threading.enumerate())
    engine = EspeakEngine(EspeakSettings(), EngineContext([]))
    await engine.start()
    await engine.stop()
    await engine.stop()
    left = [t.name for t in set(threading.enumerate()) - before if t.name.startswith("espeak")]
    assert left == []


async def test_a_louder_voice_is_a_setting() -> None:
    """Six LU more are six LU more, and still nothing is clipped."""
    levels = {}
    for lufs in (-24.0, -18.0):
        engine = EspeakEngine(EspeakSettings(loudness_lufs=lufs), EngineContext([]))
        await engine.start()
        async with line_to(engine.service(session())) as line:
            audio = (await line.reply(f"{SENTENCE} {SENTENCE}")).audio()
        levels[lufs] = integrated_lufs(audio, 48_000)
        assert np.abs(audio.astype(int)).max() < 32_767
        await engine.stop()
    assert levels[-18.0] - levels[-24.0] == pytest.approx(6.0, abs=0.7)


async def test_a_voice_changed_in_mid_call_is_as_loud(engine: EspeakEngine) -> None:
    """Voices differ by some LU as they come; the caller does not notice."""
    levels = []
    async with line_to(engine.service(session())) as line:
        for voice in ("en-us", "en-us+klatt4"):
            settings = TTSSettings(voice=voice)
            await line.send(TTSUpdateSettingsFrame(delta=settings))
            before = len(line.listener.audio())
            await line.reply(f"{SENTENCE} {LONGER}", len(levels) + 1)
            levels.append(integrated_lufs(line.listener.audio()[before:], 48_000))
    assert abs(levels[0] - levels[1]) < 1.0
