"""The voice of known latency."""

import asyncio

import numpy as np
from pipecat.frames.frames import TTSAudioRawFrame, TTSStoppedFrame

from tests.tts.line import line_to
from voice_agent.engines import EngineContext, SessionInfo
from voice_agent.tts.normalise import spoken
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.scripted import ScriptedEngine, ScriptedSettings, ScriptedSpeech

TEN_WORDS = "one two three four five six seven eight nine ten."


def service(rate_hz: int = 48_000, **settings: float) -> ScriptedSpeech:
    engine = ScriptedEngine(ScriptedSettings(**settings), EngineContext([]))
    return engine.service(SessionInfo("test", audio_out_hz=rate_hz))


async def test_it_is_loud_from_the_first_sample_to_the_last() -> None:
    """Steady at -12 dBFS, in every 20 ms of it, and nothing before it."""
    for rate_hz in (8_000, 48_000):
        async with line_to(service(rate_hz, ttfb_ms=0)) as line:
            audio = (await line.reply(TEN_WORDS)).audio().astype(float)
        assert abs(audio[0]) > 8_000
        for block in np.array_split(audio, len(audio) // (rate_hz // 50)):
            level = 20 * np.log10(np.sqrt(np.mean(block**2)) / 32_768)
            assert -14 < level < -10


async def test_its_length_follows_the_text() -> None:
    """Ten words take 1.1 s; words and characters cost what the settings say."""
    async with line_to(service(ttfb_ms=0)) as line:
        assert len((await line.reply(TEN_WORDS)).audio()) == 52_800
    async with line_to(service(ttfb_ms=0, ms_per_word=0, ms_per_char=10)) as line:
        heard = await line.reply("one three")
        assert len(heard.audio()) == 80 * 48
        assert heard.words() == [("one", 0, 30 * 48), ("three", 30 * 48, 80 * 48)]


async def test_words_are_exact() -> None:
    """Every word is where its share of the buzz is, over all clauses of a reply."""
    async with line_to(service(ttfb_ms=0)) as line:
        heard = await line.reply("Sure, we can. Of course we can!")
        assert heard.words() == [
            (word, number * 5_280, (number + 1) * 5_280)
            for number, word in enumerate("Sure, we can. Of course we can!".split())
        ]


async def test_audio_is_due_at_fixed_times() -> None:
    """The first audio comes at the TTFB, the rest faster than real time; never before it is due."""
    loop = asyncio.get_running_loop()
    speech = service(ttfb_ms=40, speed=20)
    reply = ReplyAudio(48_000, 48_000)
    asked = loop.time()
    blocks = [
        (loop.time() - asked, len(piece.audio) // 96)
        async for piece in speech.speak(spoken(TEN_WORDS), reply)
    ]
    played_ms = 0.0
    for came_s, length_ms in blocks:
        assert came_s >= (40 + played_ms / 20) / 1000 - 0.001
        played_ms += length_ms
    assert played_ms == 1100


async def test_an_interruption_ends_it_at_once() -> None:
    """What was not delivered yet never is."""
    async with line_to(service(ttfb_ms=0, speed=0.01)) as line:
        await line.begin()
        await line.tokens(TEN_WORDS, " More.")
        old = (await line.listener.hear(TTSAudioRawFrame))[0].context_id
        await line.interrupt()
        await line.begin()
        await line.tokens("Hi. ")
        frames = await line.listener.hear(TTSAudioRawFrame, 2)
        assert [frame.context_id == old for frame in frames] == [True, False]
        await line.interrupt()
        assert line.listener.all(TTSStoppedFrame) == []
