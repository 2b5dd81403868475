"""Turns over OTLP, received by a collector that decodes the protocol's own messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai

from tests.trace.made import BEGAN, a_session, a_turn
from voice_agent.config import load_pipeline
from voice_agent.trace import otlp as otlp_module
from voice_agent.trace.errors import TraceError
from voice_agent.trace.model import Event, Run, Span, Turn
from voice_agent.trace.otlp import Otlp
from voice_agent.trace.tracing import Tracing

RUN = Run("r1", "embedded", "0.1.0", BEGAN)
TURN = a_turn(
    spans=(
        Span("user", -900.0, 0.0),
        Span("llm", -100.0, 220.0, True, "hit", {"tokens": 12, "ttft_ms": 120.0}),
        Span("tool:book_table", 10.0, 60.0, False, None, {"read_only": False}),
        Span("tts", 200.0, 900.0),
        Span("agent", 250.0, 3000.0),
    ),
    events=(Event("release", 130.0, {"revision": 1}), Event("duck", 1500.0)),
)


class Collector:
    """Takes what an OTLP exporter posts."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                collector.headers.append(dict(self.headers))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def spans(self) -> list[Sent]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().running() as running:
        yield running


def send(collector: Collector, *turns: Turn) -> list[Sent]:
    otlp = Otlp(collector.url, RUN, "bella-notte", ("llama.cpp", "tiny"))
    for turn in turns:
        otlp.finished(turn)
    otlp.close()
    return collector.spans()


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def test_a_turn_is_one_trace_with_its_waiting_and_its_work(collector: Collector) -> None:
    """The root reaches from the user's first sound to the answer's end; all else is below it."""
    spans = send(collector, TURN)
    [root] = [span for span in spans if not span.parent_span_id]
    assert root.name == "invoke_agent bella-notte"
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    zero_ns = round(TURN.started_at * 1e9)
    assert (root.start_time_unix_nano - zero_ns) / 1e6 == pytest.approx(-900, abs=0.01)
    assert (root.end_time_unix_nano - zero_ns) / 1e6 == pytest.approx(3000, abs=0.01)
    waits = [span for span in spans if span.name.startswith("wait ")]
    waited = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in waits)
    assert waited / 1e6 == pytest.approx(TURN.v2v_ms, abs=0.01)
    assert attributes(waits[0])["voice_agent.cause"] == "turns.floor_ms 130"
    assert [event.name for event in root.events] == ["release", "duck"]
    assert attributes(root)["voice_agent.v2v_ms"] == 250.0
    resource = attributes(collector.requests[0].resource_spans[0].resource)
    assert resource["service.name"] == "voice-agent"
    assert resource["service.instance.id"] == "r1"


def test_names_are_those_of_the_conventions_for_generative_ai(collector: Collector) -> None:
    """As the semantic conventions' own package spells them."""
    spans = {span.name: span for span in send(collector, TURN)}
    chat = attributes(spans["chat tiny"])
    assert spans["chat tiny"].kind == Sent.SPAN_KIND_CLIENT
    assert chat[gen_ai.GEN_AI_OPERATION_NAME] == gen_ai.GenAiOperationNameValues.CHAT.value
    assert chat[gen_ai.GEN_AI_PROVIDER_NAME] == "llama.cpp"
    assert chat[gen_ai.GEN_AI_REQUEST_MODEL] == "tiny"
    assert chat[gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS] == 12
    assert chat[gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] == 0.12
    assert chat[gen_ai.GEN_AI_CONVERSATION_ID] == "s1"
    assert chat["voice_agent.outcome"] == "hit"
    tool = attributes(spans["execute_tool book_table"])
    assert tool[gen_ai.GEN_AI_TOOL_NAME] == "book_table"
    root = attributes(spans["invoke_agent bella-notte"])
    assert root[gen_ai.GEN_AI_AGENT_NAME] == "bella-notte"
    operation = gen_ai.GenAiOperationNameValues.INVOKE_AGENT.value
    assert root[gen_ai.GEN_AI_OPERATION_NAME] == operation


def test_a_failed_turn_is_an_error_and_nobodys_words_are_sent(collector: Collector) -> None:
    """Words stay in the file on this machine."""
    [root, *_] = [s for s in send(collector, a_turn(kind="failed")) if not s.parent_span_id]
    assert root.status.code == 2
    sent = b"".join(request.SerializeToString() for request in collector.requests)
    assert b"secret" not in sent


def test_many_turns_are_sent_in_few_requests(collector: Collector) -> None:
    """Batched, each turn a trace of its own."""
    spans = send(collector, *(a_turn(number) for number in range(50)))
    assert len({span.trace_id for span in spans}) == 50
    assert len(collector.requests) < 10


def test_a_collector_that_is_not_there_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are taken as ever, and ending does not take for ever."""
    monkeypatch.setattr(otlp_module, "FLUSH_MS", 100)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    otlp = Otlp("http://127.0.0.1:9", RUN, "bella-notte", ("scripted", "scripted"))
    otlp.session(a_session())
    otlp.finished(TURN)
    otlp.close()


async def test_it_is_switched_on_in_the_pipeline(collector: Collector) -> None:
    """trace.otlp_endpoint is all there is to say."""
    pipeline = load_pipeline("fixed-latency", [f"trace.otlp_endpoint={collector.url}"])
    tracing = Tracing(pipeline)
    await tracing.start()
    tracing.turn(TURN)
    await tracing.stop()
    assert "chat scripted" in {span.name for span in collector.spans()}


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default installation has no OpenTelemetry SDK."""
    monkeypatch.setitem(__import__("sys").modules, "voice_agent.trace.otlp", None)
    tracing = Tracing(load_pipeline("fixed-latency", ["trace.otlp_endpoint=http://x"]))
    with pytest.raises(TraceError, match=r"voice-agent\[otel\]"):
        await tracing.start()
    await tracing.stop()
