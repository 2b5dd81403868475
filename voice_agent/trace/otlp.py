"""Turns as OpenTelemetry traces, over OTLP: one trace a turn, for those who have a collector.

The root is the turn, from the first sound of the user's voice to the end of the answer; below it
are the segments it was waited for and everything that ran beside them. Names and attributes are
those of the semantic conventions for generative AI where there are any (``gen_ai.*``, spans
"invoke_agent", "chat" and "execute_tool"; in development as of 1.45), ours are
``voice_agent.*``. Sent by the SDK's own batching thread; the spans are made in a thread too.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loguru import logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from voice_agent.trace.model import Run, Session, Span, Turn

WAITING_MAX = 1000
"""Turns waiting to become spans; more are dropped."""
FLUSH_MS = 5000


class Otlp:
    """Sends every turn that is over; a sink of :class:`voice_agent.trace.tracing.Tracing`.

    Args:
        endpoint: The collector's address, without ``/v1/traces``. Headers, certificates and
            timeouts are those of the standard environment variables (``OTEL_EXPORTER_OTLP_*``).
        run: This process's life.
        agent: The agent's name.
        engine: The language model's engine, and its model.
    """

    def __init__(self, endpoint: str, run: Run, agent: str, engine: tuple[str, str]) -> None:
        self.dropped = 0
        self._agent = agent
        self._provider_name, self._model = engine
        resource = Resource.create(
            {
                "service.name": "voice-agent",
                "service.version": run.version,
                "service.instance.id": run.id,
            }
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("voice_agent.trace", run.version)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        self._waiting = 0

    def turn(self, turn: Turn) -> None:
        """Turns are sent when they are over."""

    def session(self, session: Session) -> None:
        """A session is an attribute of its turns."""

    def finished(self, turn: Turn) -> None:
        """Send a turn."""
        if self._waiting >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting += 1
        self._thread.submit(self._send, turn)

    def close(self) -> None:
        """Send what is waiting; blocking, a few seconds where no collector answers."""
        self._thread.shutdown()
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()

    # ----- on the thread -----

    def _send(self, turn: Turn) -> None:
        self._waiting -= 1
        try:
            self._spans(turn)
        except Exception as error:  # a trace is never worth more than a line in the log
            logger.error(f"a turn could not be sent to OpenTelemetry: {type(error).__name__}")

    def _spans(self, turn: Turn) -> None:
        def at(ms: float) -> int:
            return round((turn.started_at + ms / 1000.0) * 1e9)

        begin_ms = min([0.0, *(span.start_ms for span in turn.spans)])
        end_ms = max([turn.ended_ms or 0.0, *(span.end_ms for span in turn.spans)])
        root = self._tracer.start_span(
            f"invoke_agent {self._agent}",
            kind=SpanKind.SERVER,
            attributes=self._of_turn(turn),
            start_time=at(begin_ms),
        )
        for event in turn.events:
            root.add_event(event.name, _ours(event.attributes), at(event.at_ms))
        if turn.kind == "failed":
            root.set_status(Status(StatusCode.ERROR, "the answer did not come"))
        below = set_span_in_context(root)
        for segment in turn.segments:
            attributes = {
                "stage": segment.stage,
                "cause": segment.cause,
                "budget_ms": segment.budget_ms,
            }
            self._tracer.start_span(
                f"wait {segment.stage}",
                below,
                attributes=_ours(attributes),
                start_time=at(segment.start_ms),
            ).end(at(segment.start_ms + segment.ms))
        for span in turn.spans:
            name, kind, attributes = self._of_span(turn, span)
            self._tracer.start_span(
                name, below, kind=kind, attributes=attributes, start_time=at(span.start_ms)
            ).end(at(span.end_ms))
        root.end(at(end_ms))

    def _of_turn(self, turn: Turn) -> dict[str, Any]:
        ours = {
            "turn": turn.turn,
            "turn_id": turn.id,
            "kind": turn.kind,
            "pipeline": turn.pipeline,
            "transport": turn.transport,
            "verdict": turn.verdict,
            "guilty": turn.guilty,
            "v2v_ms": turn.v2v_ms,
            **turn.figures,
        }
        return {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": self._provider_name,
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": turn.session,
            "gen_ai.request.model": self._model,
            **_ours(ours),
        }

    def _of_span(self, turn: Turn, span: Span) -> tuple[str, SpanKind, dict[str, Any]]:
        """Return an OpenTelemetry span's name, kind and attributes."""
        ours = _ours({**span.attributes, "speculative": span.speculative, "outcome": span.outcome})
        if span.name == "llm":
            made: dict[str, Any] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": self._provider_name,
                "gen_ai.request.model": self._model,
                "gen_ai.conversation.id": turn.session,
                "gen_ai.usage.output_tokens": span.attributes.get("tokens"),
                "gen_ai.usage.input_tokens": span.attributes.get("prompt_tokens"),
                "gen_ai.usage.cache_read.input_tokens": span.attributes.get("cached_tokens"),
            }
            ttft_ms = span.attributes.get("ttft_ms")
            if isinstance(ttft_ms, int | float):
                made["gen_ai.response.time_to_first_chunk"] = ttft_ms / 1000.0
            return f"chat {self._model}", SpanKind.CLIENT, _known(made) | ours
        kind, _, tool = span.name.partition(":")
        if kind == "tool":
            made = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
                "gen_ai.tool.type": "function",
            }
            return f"execute_tool {tool}", SpanKind.INTERNAL, made | ours
        return span.name, SpanKind.INTERNAL, ours


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _ours(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"voice_agent.{name}": value for name, value in _known(attributes).items()}
