"""Any voice that speaks Riva gRPC: NVIDIA's NIM and Riva, NeMo-Speech.cpp, ``voice-agent
tts-server``. The first clause goes out at once, the later ones into the same stream, so that the
voice knows how it began; an interruption cancels the stream, which stops the server's work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from pipecat.frames.frames import Frame
from pydantic import Field

from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo
from voice_agent.riva.channel import RivaSettings, open_channel, require_riva, wait_serving
from voice_agent.tts.loudness import REFERENCE, gain_to
from voice_agent.tts.normalise import Speech, spoken
from voice_agent.tts.resample import ReplyAudio, Samples
from voice_agent.tts.riva_server import Start, launched
from voice_agent.tts.service import SpeechService, SpeechSettings, SpokenAudio

_PACE_MS = 65.0
"""Of a character, where it was not measured."""


class RivaVoiceSettings(SpeechSettings, RivaSettings):
    """``[tts]`` with ``engine = "riva"``."""

    start: Start = "none"
    """Start a server of this kind with the agent: "tts-server" is our own, "nemo-speech" is
    NeMo-Speech.cpp's riva_server; "none" uses one that is running."""
    model: str = ""
    """With ``start``: the model's file, or a name that `voice-agent models pull` knows."""
    backend: str = "espeak"
    """With ``start = "tts-server"``: espeak or magpie."""
    start_timeout_s: float = Field(120.0, gt=0)
    """How long a server that is started may take until it is warm."""
    stall_timeout_s: float = Field(5.0, gt=0)
    """A server that owes audio and sends none for so long has failed."""
    voice: str = ""
    """Its full name, such as "Magpie-Multilingual.EN-US.Aria"; empty: the first of the language."""
    language: str = "en-US"
    sample_rate_hz: int = Field(22_050, ge=8_000, le=48_000)
    """What the server is asked for: the model's own rate, so that audio is resampled once."""


class Measured:
    """What is known of a voice once it was heard."""

    def __init__(
        self, samples: Samples, characters: int, lufs: float, hz: int, *, timed: bool
    ) -> None:
        self.gain = gain_to(lufs, samples, hz)
        self.pace = len(samples) / characters if len(samples) else _PACE_MS * hz / 1000
        """Samples a character takes."""
        self.timed = timed
        """The server says when each word is heard."""


class RivaSpeech(SpeechService):
    """The service of one conversation."""

    def __init__(self, engine: RivaVoiceEngine, session: SessionInfo) -> None:
        settings = engine.settings
        super().__init__(
            sample_rate=session.audio_out_hz,
            native_hz=settings.sample_rate_hz,
            voice=settings.voice,
            model="riva",
            language=settings.language.partition("-")[0],
            rules=settings.clause_rules(),
        )
        self._engine = engine
        self._streams: dict[str, Any] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}

    def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Not used: clauses of a reply overlap on their way; see ``run_tts``."""
        raise NotImplementedError

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Send one clause; its audio is queued as it comes, while later ones are being written."""
        import grpc

        from voice_agent.tts.riva_stream import ReplyStream

        await self.start_tts_usage_metrics(text)
        stream = self._streams.get(context_id)
        if stream is None:
            reply = self._reply(context_id)
            name = self._voice_name()
            measured = self._engine.measured(name)
            reply.gain = measured.gain
            pace = None if measured.timed else measured.pace
            stream = ReplyStream(self._engine.asked(name), reply, pace)
            self._streams[context_id] = stream
            pump = self._pump(context_id, stream)
            self._pumps[context_id] = self.create_task(pump, f"riva {context_id}")
        # A call that has ended takes nothing more; the pump tells why it did.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await stream.say(spoken(text, self._spoken_language))
        yield None

    async def finish(self, reply: ReplyAudio) -> bytes:
        """Wait for all that was sent to be spoken, and return the end of it."""
        import grpc

        context_id = self._turn_context_id or ""
        stream, pump = self._streams.get(context_id), self._pumps.get(context_id)
        if stream is not None and pump is not None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await stream.close()
            await self._spoken(stream, pump)
            self._forget(context_id)
        return reply.finish()

    async def _spoken(self, stream: Any, pump: asyncio.Task[None]) -> None:
        """Wait for the end of a stream, as long as there is any progress."""
        before = -1
        while not pump.done() and stream.received != before:
            before = stream.received
            await asyncio.wait([pump], timeout=self._engine.settings.stall_timeout_s)
        if not pump.done():
            await self.push_error("the speech server has fallen silent in mid-sentence")
            stream.cancel()
            await asyncio.wait([pump])

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Cancel the stream; the server stops at its next step."""
        self._forget(context_id)
        await super().on_audio_context_interrupted(context_id)

    async def _update_settings(self, delta: Any) -> dict[str, Any]:
        """Heed another voice from the next reply on, as loud as this one."""
        changed = await super()._update_settings(delta)
        if "voice" in changed:
            await self._engine.measure(self._voice_name())
        return changed

    def _voice_name(self) -> str:
        name = self._settings.voice
        return name if isinstance(name, str) else self._engine.settings.voice

    async def _pump(self, context_id: str, stream: Any) -> None:
        import grpc

        from voice_agent.tts.riva_stream import failure

        try:
            async for piece in stream.pieces():
                await self.hand_over(context_id, piece)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                await self.push_error(str(failure(error)))

    def _forget(self, context_id: str) -> None:
        stream = self._streams.pop(context_id, None)
        if stream is not None:
            stream.cancel()
        self._pumps.pop(context_id, None)

    def _abandon_all(self) -> None:
        for context_id in list(self._streams):
            self._forget(context_id)
        super()._abandon_all()


class RivaVoiceEngine(Engine[RivaVoiceSettings]):
    """The connection, and the server if it is ours."""

    Settings = RivaVoiceSettings

    def __init__(self, settings: RivaVoiceSettings, context: EngineContext) -> None:
        super().__init__(settings, context)
        self._channel: Any = None
        self._launched: Any = None
        self._stub: Any = None
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._measured: dict[str, Measured] = {}
        self.address = settings.server
        """Where the server is."""
        self.voices: list[str] = []
        """Full names of the voices that the server lists."""

    async def start(self) -> None:
        """Start the server if it is ours, connect, and hear the voice once."""
        require_riva()
        from voice_agent.tts.riva_stream import stub

        settings = self.settings
        if settings.start == "none" and not settings.server:
            raise EngineError('tts: say where the server is (server = "host:port"), or `start` one')
        self._metadata = settings.metadata()
        try:
            if settings.start != "none":
                self._launched, self.address = launched(settings, self.context)
                await self._launched.start()
            self._channel = open_channel(self.address, tls=settings.tls)
            await wait_serving(self._channel, self.address, settings.connect_timeout_s)
            self._stub = stub(self._channel)
            self.voices = await self._list()
            if settings.voice and self.voices and settings.voice not in self.voices:
                listed = ", ".join(self.voices)
                raise EngineError(
                    f"tts: no voice {settings.voice!r} at {self.address}; it has {listed}"
                )
            await self.measure(settings.voice)
        except BaseException:
            await self.stop()
            raise

    def about(self) -> str:
        """Say which voices there are."""
        return f"{len(self.voices)} voices: {', '.join(self.voices)}" if self.voices else ""

    def asked(self, voice: str) -> Any:
        """Return what a stream with ``voice`` asks for."""
        from voice_agent.tts.riva_stream import VoiceAsked

        settings = self.settings
        return VoiceAsked(
            self._stub, self._metadata, voice, settings.language, settings.sample_rate_hz
        )

    def measured(self, voice: str) -> Measured:
        """Return what is known of a voice; what is not known is taken from the usual one."""
        return self._measured.get(voice) or self._measured[self.settings.voice]

    async def measure(self, voice: str) -> None:
        """Hear a voice once, which warms the server up too; its loudness and pace are kept.

        Raises:
            EngineError: The server cannot speak with it.
        """
        import grpc

        from voice_agent.tts.riva_stream import failure

        if voice in self._measured:
            return
        asked = self.asked(voice)
        heard: list[Samples] = []
        timed = False
        try:
            call = asked.call()
            for number, sentence in enumerate(REFERENCE):
                await call.write(asked.request(sentence, number))
            await call.done_writing()
            async for answer in call:
                heard.append(np.frombuffer(answer.audio, np.int16))
                timed = timed or bool(answer.meta.words)
        except grpc.aio.AioRpcError as error:
            raise failure(error) from error
        samples = np.concatenate(heard) if heard else np.zeros(0, np.int16)
        settings = self.settings
        self._measured[voice] = Measured(
            samples,
            sum(map(len, REFERENCE)),
            settings.loudness_lufs,
            settings.sample_rate_hz,
            timed=timed,
        )

    async def _list(self) -> list[str]:
        """Return the voices; a server that cannot list them has none listed."""
        import grpc
        from riva.client.proto import riva_tts_pb2

        try:
            config = await self._stub.GetRivaSynthesisConfig(
                riva_tts_pb2.RivaSynthesisConfigRequest(),
                metadata=self._metadata,
                timeout=self.settings.connect_timeout_s,
            )
        except grpc.aio.AioRpcError:
            return []
        names: dict[str, None] = {}
        for model in config.model_config:
            for voice in model.parameters["subvoices"].split(","):
                if name := voice.partition(":")[0].strip():
                    names[f"{model.parameters['voice_name']}.{name}"] = None
        return list(names)

    def service(self, session: SessionInfo) -> RivaSpeech:
        """Make the service of one conversation.

        Raises:
            EngineError: The engine is not started.
        """
        if self._stub is None:
            raise EngineError("the riva engine must be started before it makes a service")
        return RivaSpeech(self, session)

    async def stop(self) -> None:
        """Close the connection, and end the server if it is ours."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        server, self._launched = self._launched, None
        if server is not None:
            await server.stop()
