"""Tracing of one process: every turn goes through here once and from here to whoever wants it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from starlette.routing import BaseRoute, Route

from voice_agent import __version__
from voice_agent.config import Pipeline
from voice_agent.media import now_ms
from voice_agent.trace.access import Access
from voice_agent.trace.api import TracesApi, untraced
from voice_agent.trace.errors import TraceError
from voice_agent.trace.live import Live
from voice_agent.trace.loop_lag import LoopLag
from voice_agent.trace.metrics import Metrics
from voice_agent.trace.model import Run, Session, Turn
from voice_agent.trace.store.reader import Reader
from voice_agent.trace.store.retention import Retention
from voice_agent.trace.store.writer import Recording, Store
from voice_agent.trace.totals import Totals

if TYPE_CHECKING:
    from voice_agent.trace.otlp import Otlp


class Sink(Protocol):
    """Takes what is traced; called on the event loop, must return at once."""

    def turn(self, turn: Turn) -> None:
        """Take a turn; the same one comes again whenever it has changed."""
        ...

    def finished(self, turn: Turn) -> None:
        """Take a turn that is over, each once; ``turn`` has been told before."""
        ...

    def session(self, session: Session) -> None:
        """Take a session that has begun or ended."""
        ...


class Tracing:
    """See the module's docstring.

    Args:
        pipeline: The validated pipeline; of it, its name and its ``[trace]``.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.settings = pipeline.trace
        self.run = Run(uuid.uuid4().hex[:12], pipeline.name, __version__, round(time.time(), 3))
        self.lag = LoopLag()
        self.totals = Totals()
        self.live = Live()
        server = pipeline.server
        self.access = Access(self.settings, server.host, server.allowed_origins)
        retention = Retention(self.settings.keep_days, self.settings.keep_mb)
        self.store = Store(self.settings.file, self.run, retention)
        self._reader = Reader(self.store.path)
        self.metrics = Metrics(
            self.run, self.lag, lambda: self.store.dropped, pipeline.sessions.max
        )
        self._otlp: Otlp | None = None
        self._pipeline = pipeline
        self._sinks: list[Sink] = [self.metrics]
        self._finished: dict[str, int] = {}
        """The last turn that was over, of each session that goes on."""
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the event loop, and to write.

        Raises:
            TraceError: The file cannot be used, or OpenTelemetry is not installed; says what to
                do.
        """
        if self.settings.enabled:
            await asyncio.to_thread(self.store.open)
            self._sinks += [self.store, self.live]
        if self.settings.otlp_endpoint:
            self._otlp = await asyncio.to_thread(_otlp, self._pipeline, self.run)
            self._sinks.append(self._otlp)
        self._beating = asyncio.create_task(self.lag.run(), name="loop lag")

    async def stop(self) -> None:
        """Write everything that was traced; idempotent."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.wait([beating])
        self.live.end()
        self._reader.close()
        await asyncio.to_thread(self.store.close)
        otlp, self._otlp = self._otlp, None
        if otlp is not None:
            await asyncio.to_thread(otlp.close)

    def routes(self) -> list[BaseRoute]:
        """Return what is served of it over HTTP."""
        if not self.settings.enabled:
            return [*self.metrics.routes(), Route("/api/traces/{rest:path}", untraced)]
        traces = TracesApi(self._reader, self.live, self.access)
        return [*self.metrics.routes(), *traces.routes()]

    def add(self, sink: Sink) -> None:
        """Tell ``sink`` of everything from now on."""
        self._sinks.append(sink)

    def turn(self, turn: Turn) -> None:
        """Take a turn that has changed."""
        for sink in self._sinks:
            sink.turn(turn)
        if turn.ended_ms is not None and self._finished.get(turn.session, -1) < turn.turn:
            self._finished[turn.session] = turn.turn
            self.totals.add(turn)
            for sink in self._sinks:
                sink.finished(turn)

    def recording(self, turn: Turn, encode: Callable[[], bytes]) -> None:
        """Keep a turn's recording, encoded when it is written."""
        self.store.recording(Recording(turn.id, encode))

    def session(self, session: Session) -> None:
        """Take a session that has begun or ended."""
        if session.ended_at is not None:
            self._finished.pop(session.id, None)
        for sink in self._sinks:
            sink.session(session)

    def measured(self, since_ms: float) -> Mapping[str, float]:
        """Return what the process was like since a moment of the monotonic clock, ms."""
        return {"loop_lag_ms": self.lag.worst(now_ms() - since_ms)}

    def figures(self) -> dict[str, Any]:
        """Return what the health check says of the turns and of the event loop."""
        return {
            **self.totals.figures(),
            "traces_dropped": self.store.dropped,
            "loop_lag_ms": self.lag.figures(),
        }


def _otlp(pipeline: Pipeline, run: Run) -> Otlp:
    try:
        from voice_agent.trace.otlp import Otlp
    except ModuleNotFoundError as error:
        raise TraceError(
            f"trace.otlp_endpoint needs OpenTelemetry, and {error.name} is not installed; in a "
            "checkout: uv run --extra otel voice-agent serve; else: pip install 'voice-agent[otel]'"
        ) from error
    model = str(getattr(pipeline.llm.settings, "model", "") or pipeline.llm.engine)
    engine = (pipeline.llm.engine, model)
    return Otlp(pipeline.trace.otlp_endpoint, run, pipeline.agent.stem, engine)
