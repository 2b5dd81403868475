"""``engine = "riva"``: any server of Riva gRPC, found or started by us.

NVIDIA's NIM and Riva, NeMo-Speech.cpp's ``riva_server``, and our own ``voice-agent asr-server``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loguru import logger
from pipecat.transcriptions.language import Language
from pydantic import Field

from voice_agent.asr.riva_kind import Kind, kind_of
from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo
from voice_agent.launch.server import LaunchedServer, free_port
from voice_agent.riva.channel import (
    DEFAULT_PORT,
    RivaSettings,
    open_channel,
    require_riva,
    serving,
    wait_serving,
)
from voice_agent.riva.words import Word

if TYPE_CHECKING:
    import grpc.aio

    from voice_agent.asr.riva_service import RivaSTTService
    from voice_agent.asr.riva_stream import Asked, RivaStream

_FRAME_MS = 80
_NEMO_SPEECH = (
    "NeMo-Speech.cpp's `riva_server` is not installed: build it with its gRPC server (git clone "
    "--recursive https://github.com/NVIDIA/NeMo-Speech.cpp, then the preset cuda-full, or on CPUs "
    "-DNEMO_SPEECH_BUILD_GRPC=ON; its docs/build.md says how) and put it on the PATH; or use "
    'start = "asr-server"'
)


class RivaASRSettings(RivaSettings):
    """``[asr]`` with ``engine = "riva"``."""

    start: Literal["none", "asr-server", "nemo-speech"] = "none"
    """The server to start with the agent; "none": one is running at ``server``."""
    model: str = ""
    """With ``start``: the model, a path or a shipped one. Otherwise Riva's name for it, which may
    be left out where there is one."""
    chunk_ms: Literal[80, 160, 320, 560, 1120] = 160
    """With ``start``: audio per step. Smaller is sooner, larger is cheaper and hears better."""
    streams: int = Field(default=0, ge=0)
    """With ``start = "asr-server"``: at once at most; 0 measures it."""
    threads: int = Field(default=0, ge=0)
    """With ``start``: CPU threads; 0 takes one a core."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """With ``start``: how long it may take to load its model."""
    kind: Literal["auto", "voice-agent", "nemo-speech", "riva", "unforced"] = "auto"
    """What ends an utterance there; "auto" asks the server."""
    language: str = "en-US"
    boost: float = Field(default=0.0, ge=0, le=100)
    """How much the words of the agent (menu, names) are preferred; 0: not at all."""
    word_times: bool = True
    """Ask when each word was said."""
    final_timeout_ms: float = Field(default=200.0, gt=0)
    """How long a forced final is waited for from a server that may have nothing to say; then the
    partial transcript is the final one."""
    replay_s: float = Field(default=60.0, gt=0)
    """Audio no final has covered that is kept for a lost connection."""


class RivaASREngine(Engine[RivaASRSettings]):
    """One channel for all conversations; the server is well before ``start`` returns."""

    Settings = RivaASRSettings

    def __init__(self, settings: RivaASRSettings, context: EngineContext) -> None:
        super().__init__(settings, context)
        self.kind: Kind | None = None
        """Which server it is; known when started."""
        self._channel: grpc.aio.Channel | None = None
        self._launched: LaunchedServer | None = None
        self._server = settings.server or f"127.0.0.1:{DEFAULT_PORT}"
        self._model = settings.model
        self._asked: Asked | None = None

    @property
    def pid(self) -> int | None:
        """The process that holds the server, where we started one."""
        return self._launched.pid if self._launched else None

    async def start(self) -> None:
        """Start the server if that is wanted, wait until it is well, and ask what it is.

        Raises:
            EngineError: It is not there, cannot be started, or lets us not in; with what to do.
        """
        require_riva()
        settings = self.settings
        launched = settings.start != "none"
        if launched and not settings.server:
            self._server = f"127.0.0.1:{free_port()}"
        self._channel = open_channel(self._server, tls=settings.tls)
        try:
            if launched:
                await self._launch()
            else:
                await wait_serving(self._channel, self._server, settings.connect_timeout_s)
            await self._acquaint()
        except BaseException:
            await self.stop()
            raise

    def about(self) -> str:
        """Return where it hears, and which kind of server that is."""
        return f"{self._model or 'a model'} at {self._server} ({self.kind})"

    def service(self, session: SessionInfo) -> RivaSTTService:
        """Make the service of one conversation.

        Raises:
            EngineError: The engine is not started.
        """
        from voice_agent.asr.riva_service import RivaSTTService

        if self._channel is None or self._asked is None:
            raise EngineError("the Riva engine is not started")
        return RivaSTTService(self.open, self._model, Language(self.settings.language))

    async def stop(self) -> None:
        """Hang up, and end the server if we started it."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
        if self._launched is not None:
            launched, self._launched = self._launched, None
            await launched.stop()

    def open(
        self,
        on_partial: Callable[[Sequence[Word]], None],
        on_final: Callable[[Sequence[Word], bool], None],
        on_failure: Callable[[str, bool], None],
    ) -> RivaStream:
        """Open a stream of its own, without Pipecat; what the callbacks are: ``RivaStream``."""
        from voice_agent.asr.riva_stream import RivaStream

        assert self._channel is not None
        assert self._asked is not None
        assert self.kind is not None
        return RivaStream(self._channel, self.kind, self._asked, on_partial, on_final, on_failure)

    async def _launch(self) -> None:
        channel = self._channel
        assert channel is not None

        async def well() -> bool:
            return await serving(channel, 1.0)

        command, env = self._command()
        self._launched = LaunchedServer(
            f"the ASR server ({self.settings.start})",
            command,
            well,
            env=env,
            patience_s=self.settings.start_timeout_s,
        )
        await self._launched.start()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        settings = self.settings
        if not settings.model:
            raise EngineError(f'asr.model is missing: start = "{settings.start}" needs one')
        model = self.context.find(settings.model)
        host, _, port = self._server.rpartition(":")
        cores = settings.threads or os.cpu_count() or 1
        env = dict(os.environ)
        if settings.start == "asr-server":
            command = [sys.executable, "-m", "voice_agent", "asr-server", "--model", str(model)]
            command += ["--host", host, "--port", port, "--threads", str(cores)]
            command += ["--chunk-ms", str(settings.chunk_ms)]
            if settings.streams:
                command += ["--streams", str(settings.streams)]
            return command, env
        found = shutil.which("riva_server") or shutil.which(
            "riva_server", path=str(Path.home() / ".local" / "bin")
        )
        if found is None:
            raise EngineError(_NEMO_SPEECH)
        # It takes four threads whatever the machine has (0.1.0); OpenMP can be told.
        env["OMP_THREAD_LIMIT"] = str(cores)
        context = str(settings.chunk_ms // _FRAME_MS - 1)
        command = [found, "--asr.model.path", str(model), "--bind", self._server]
        return [*command, "--asr.streaming.rnnt_right_context", context], env

    async def _acquaint(self) -> None:
        """Ask the server what it is, and settle how every stream is recognised."""
        import grpc.aio

        from voice_agent.asr.riva_stream import Asked, parameters_of

        assert self._channel is not None
        settings = self.settings
        metadata = settings.metadata()
        try:
            models = await parameters_of(self._channel, metadata, settings.connect_timeout_s)
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name}: {error.details()}"
            raise EngineError(f"the ASR server at {self._server} refuses us ({why})") from error
        named = "" if settings.start != "none" else settings.model
        if named and models and named not in models:
            raise EngineError(
                f"the ASR server at {self._server} has no model {named!r}; it has: "
                f"{', '.join(sorted(models))}"
            )
        told: dict[str, str] = models.get(named) or next(iter(models.values()), {})
        self._model = named or next(iter(models), "")
        self.kind = kind_of(told) if settings.kind == "auto" else Kind(settings.kind)
        logger.info("ASR: {} at {} ({})", self._model, self._server, self.kind)
        self._asked = Asked(
            self._config(named),
            metadata,
            final_timeout_s=settings.final_timeout_ms / 1000.0,
            replay_s=settings.replay_s,
        )

    def _config(self, model: str) -> object:
        from riva.client.proto import riva_asr_pb2 as asr
        from riva.client.proto import riva_audio_pb2 as audio

        settings = self.settings
        config = asr.RecognitionConfig(
            encoding=audio.LINEAR_PCM,
            sample_rate_hertz=16_000,
            audio_channel_count=1,
            language_code=settings.language,
            max_alternatives=1,
            enable_word_time_offsets=settings.word_times,
            enable_automatic_punctuation=True,
            verbatim_transcripts=True,
            model=model,
        )
        if settings.boost and self.context.vocabulary:
            config.speech_contexts.add(phrases=self.context.vocabulary, boost=settings.boost)
        return asr.StreamingRecognitionConfig(config=config, interim_results=True)
