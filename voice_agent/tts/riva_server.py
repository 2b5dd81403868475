"""The voice server that the ``riva`` engine starts for itself: which command, and is it there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voice_agent.engines import EngineContext, EngineError
from voice_agent.launch.server import LaunchedServer, free_port
from voice_agent.riva.channel import open_channel, serving

if TYPE_CHECKING:
    from voice_agent.tts.riva import RivaVoiceSettings

__all__ = ["Start", "launched"]

Start = Literal["none", "tts-server", "nemo-speech"]
RIVA_SERVER = "riva_server"
_ASKED_S = 1.0


def launched(settings: RivaVoiceSettings, context: EngineContext) -> tuple[LaunchedServer, str]:
    """Return the server that is to be started, and its address.

    Raises:
        EngineError: It is not installed, or its model is missing.
    """
    address = settings.server or f"127.0.0.1:{free_port()}"
    command = (
        _ours(settings, address)
        if settings.start == "tts-server"
        else _nemo(settings, context, address)
    )

    async def well() -> bool:
        channel = open_channel(address)
        try:
            return await serving(channel, _ASKED_S)
        finally:
            await channel.close()

    return (
        LaunchedServer(settings.start, command, well, patience_s=settings.start_timeout_s),
        address,
    )


def _ours(settings: RivaVoiceSettings, address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    command = [sys.executable, "-m", "voice_agent", "tts-server", "--host", host, "--port", port]
    command += ["--backend", settings.backend]
    return [*command, "--model", settings.model] if settings.model else command


def _nemo(settings: RivaVoiceSettings, context: EngineContext, address: str) -> list[str]:
    """NeMo-Speech.cpp: a folder with the model, its codec and its tokenizer's files, as it names
    them itself when it converts them."""
    found = shutil.which(RIVA_SERVER)
    if found is None:
        raise EngineError(
            f'tts: start = "nemo-speech" needs {RIVA_SERVER} of NeMo-Speech.cpp on the PATH: build '
            "it from https://github.com/NVIDIA/NeMo-Speech.cpp with its gRPC server switched on "
            "(its docs/build.md), or use NVIDIA's NIM"
        )
    if not settings.model:
        raise EngineError(
            'tts: start = "nemo-speech" needs `model`: a folder with the GGUFs of Magpie '
            "(magpie*.gguf), of its codec (*codec*.gguf), and its tokenizer's files (extracted/)"
        )
    folder = context.find(settings.model)
    return [
        *(found, "--bind", address),
        *("--tts.magpie-model", str(_one(folder, "magpie*.gguf"))),
        *("--tts.codec-model", str(_one(folder, "*codec*.gguf"))),
        *("--tts.tokenizer-model-dir", str(_one(folder, "extracted"))),
    ]


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if not found:
        raise EngineError(f"tts: {folder} has no {pattern}")
    return found[0]
