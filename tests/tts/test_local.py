"""Kokoro, Piper and Pocket TTS as far as they go without their weights: what is said when something
is missing; Piper, with a voice of our own, keeps to every voice's contract beside this."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

from tests.tts.line import line_to
from tests.tts.tiny_piper import make_voice
from tests.tts.voices import session
from voice_agent.engines import EngineContext, EngineError
from voice_agent.tts.local import (
    KokoroEngine,
    KokoroSettings,
    PiperEngine,
    PiperSettings,
    PocketEngine,
    PocketSettings,
)


async def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    """Nothing is downloaded at a start: a command does it when somebody asks."""
    context = EngineContext([tmp_path])
    with pytest.raises(EngineError, match="models pull kokoro"):
        await KokoroEngine(KokoroSettings(), context).start()
    with pytest.raises(EngineError, match=r"en_US-lessac-medium\.onnx.*models pull piper"):
        await PiperEngine(PiperSettings(), context).start()


@pytest.mark.parametrize(("package", "name"), [("kokoro_onnx", "kokoro"), ("pocket_tts", "pocket")])
async def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, package: str, name: str
) -> None:
    """With the weights there, or needing none of ours."""
    if importlib.util.find_spec(package):
        pytest.fail(f"{package} is installed here, so this cannot be shown")
    for file in ("kokoro-v1.0.onnx", "voices-v1.0.bin"):
        (tmp_path / "kokoro").mkdir(exist_ok=True)
        (tmp_path / "kokoro" / file).write_bytes(b"")
    context = EngineContext([tmp_path])
    engine = (
        KokoroEngine(KokoroSettings(), context)
        if name == "kokoro"
        else PocketEngine(PocketSettings(), context)
    )
    with pytest.raises(EngineError, match=rf"pip install 'voice-agent\[{name}\]'"):
        await engine.start()


async def test_conversations_take_turns_at_one_model(tmp_path: Path) -> None:
    """Loaded once; each hears its own clauses, and one that hung up holds nobody up."""
    make_voice(tmp_path / "piper")
    engine = PiperEngine(PiperSettings(voice="en_US-tones-low"), EngineContext([tmp_path]))
    await engine.start()
    texts = ["Good morning to you.", "The kitchen closes at eleven, and not before."]
    async with line_to(engine.service(session())) as one, line_to(engine.service(session())) as two:
        await asyncio.gather(one.reply(texts[0]), two.reply(texts[1]))
        for line, text in zip((one, two), texts, strict=True):
            assert [word for word, _, _ in line.listener.words()] == text.split()
        assert len(two.listener.audio()) > 1.5 * len(one.listener.audio())
        await one.begin()
        await one.tokens("One more sentence, and another one. ")
        await one.interrupt()
        await two.reply("Still here.", 2)
    await engine.stop()
    assert not engine._clauses
