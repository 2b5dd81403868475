"""The HTTP edge, on a real socket with a real uvicorn; only the conversations are stand-ins."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from voice_agent.budget.settings import BudgetSettings
from voice_agent.config import EngineChoice, Pipeline, ServerSettings, SessionSettings
from voice_agent.engines import EngineError, EngineSettings
from voice_agent.errors import BadOffer, Busy
from voice_agent.ports import PortError, bind
from voice_agent.server import MAX_BODY_BYTES, serve
from voice_agent.trace.settings import TraceSettings
from voice_agent.transports.realtime_api.settings import RealtimeSettings
from voice_agent.transports.telephony.settings import TelephonySettings
from voice_agent.turns.settings import HistorySettings, TurnSettings, VadSettings

OFFER = {"sdp": "v=0\r\n", "type": "offer"}


class StandIn:
    """Conversations that answer every offer, until told otherwise."""

    def __init__(self) -> None:
        self.active = 0
        self.max = 8
        self.offers: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.refusal: Exception | None = None
        self.start_error: Exception | None = None
        self.stops: list[float] = []
        self.stop_may_end = asyncio.Event()
        self.stop_may_end.set()

    def routes(self) -> list[Any]:
        return []

    def figures(self) -> dict[str, Any]:
        return {"loop_lag_ms": {"p50": 0.0, "p99": 0.0, "max": 0.0}}

    async def start(self) -> None:
        if self.start_error:
            raise self.start_error

    async def stop(self, *, grace_s: float) -> None:
        self.stops.append(grace_s)
        await self.stop_may_end.wait()

    async def offer(self, request: dict[str, Any], address: str = "") -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        self.offers.append(request)
        return {"sdp": "v=0\r\n", "type": "answer", "pc_id": "pc-1"}

    async def candidates(self, request: dict[str, Any]) -> None:
        if self.refusal:
            raise self.refusal
        self.patches.append(request)


def a_pipeline(**server: Any) -> Pipeline:
    nothing = EngineChoice("scripted", EngineSettings())
    return Pipeline(
        name="test",
        file=Path("test.toml"),
        description="",
        agent=Path("agent.toml"),
        persona="full",
        greeting=True,
        asr=nothing,
        llm=nothing,
        tts=nothing,
        vad=VadSettings(),
        turns=TurnSettings(),
        history=HistorySettings(),
        budget=BudgetSettings(),
        trace=TraceSettings(),
        sessions=SessionSettings(),
        server=ServerSettings(**server),
        telephony=TelephonySettings(),
        realtime=RealtimeSettings(),
        search_path=(),
    )


@asynccontextmanager
async def served(
    conversations: StandIn, pipeline: Pipeline | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A running server and a client of it; ended by SIGTERM, as in real life."""
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    ready = asyncio.Event()
    running = asyncio.create_task(
        serve(pipeline or a_pipeline(), conversations, sock, on_ready=ready.set)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        if not running.done() and not conversations.stops:  # a second one would end pytest
            os.kill(os.getpid(), signal.SIGTERM)
        await running


@pytest.fixture
async def conversations() -> StandIn:
    return StandIn()


@pytest.fixture
async def client(conversations: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    async with served(conversations) as client:
        yield client


# Calls


async def test_an_offer_is_passed_on_and_its_answer_returned(client, conversations):
    """What a SmallWebRTC client sends reaches the conversations in snake case."""
    resume = {"conversation": "abc"}
    answer = await client.post("/api/offer", json={**OFFER, "requestData": resume, "new_key": 1})
    assert answer.status_code == 200
    assert answer.json() == {"sdp": "v=0\r\n", "type": "answer", "pc_id": "pc-1"}
    assert conversations.offers == [{**OFFER, "request_data": resume}]


async def test_request_data_may_be_spelled_either_way(client, conversations):
    """Some clients write request_data, some requestData."""
    await client.post("/api/offer", json={**OFFER, "request_data": {"a": 1}})
    assert conversations.offers[0]["request_data"] == {"a": 1}


async def test_candidates_are_passed_on(client, conversations):
    """Trickled ICE candidates reach the conversations."""
    candidate = {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdp_mid": "0"}
    answer = await client.patch("/api/offer", json={"pc_id": "pc-1", "candidates": [candidate]})
    assert answer.status_code == 200
    assert conversations.patches[0]["candidates"][0]["sdp_mid"] == "0"


async def test_busy_says_when_to_try_again(client, conversations):
    """No room is 503 with Retry-After and a sentence for the page."""
    conversations.refusal = Busy(retry_after_s=7.2)
    answer = await client.post("/api/offer", json=OFFER)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    assert "busy" in answer.json()["error"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_the_conversations_cannot_use_is_the_callers_fault(
    client, conversations, method
):
    """A garbage SDP or an unknown pc_id is 422 with the reason."""
    conversations.refusal = BadOffer("the SDP cannot be read")
    body = OFFER if method == "POST" else {"pc_id": "nobody", "candidates": []}
    answer = await client.request(method, "/api/offer", json=body)
    assert (answer.status_code, answer.json()) == (422, {"error": "the SDP cannot be read"})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[]", 422, "object"),
        (b"{}", 422, "sdp"),
        (b'{"sdp": "", "type": "offer"}', 422, "sdp"),
        (b'{"sdp": 3, "type": "offer"}', 422, "sdp"),
        (b'{"sdp": "v=0", "type": "answer"}', 422, "type"),
        (b'{"sdp": "v=0", "type": "offer", "requestData": "x"}', 422, "requestData"),
        (b"[" * 20000, 400, "JSON"),
    ],
)
async def test_a_body_that_is_no_offer_is_refused_in_words(
    client, conversations, body, status, said
):
    """Broken JSON is 400, JSON that is no offer 422; the error names the key."""
    answer = await client.post("/api/offer", content=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert conversations.offers == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_refused_without_being_kept(client, conversations, chunked):
    """10 MB are 413, whether their length is announced or not, and the server goes on."""
    huge = b'{"sdp": "' + b"x" * 10_000_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 100_000):
            yield huge[start : start + 100_000]

    answer = await client.post("/api/offer", content=pieces() if chunked else huge)
    assert answer.status_code == 413
    assert f"{MAX_BODY_BYTES // 1024} KiB" in answer.json()["error"]
    assert (await client.post("/api/offer", json=OFFER)).status_code == 200


async def test_an_error_inside_does_not_reach_the_caller(conversations):
    """A bug is a 500 in words that tell a stranger nothing."""
    conversations.refusal = RuntimeError("secret /home/user/path")
    async with served(conversations) as client:
        answer = await client.post("/api/offer", json=OFFER)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]


# Who may call


async def test_a_page_of_another_origin_cannot_start_a_call(client, conversations):
    """A browser on somebody else's page is refused: it would use the visitor's microphone."""
    answer = await client.post("/api/offer", json=OFFER, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "evil.example" in answer.json()["error"]
    assert conversations.offers == []


async def test_our_own_page_can_start_a_call(client):
    """The origin that the page was loaded from is the one it calls."""
    origin = str(client.base_url).rstrip("/")
    answer = await client.post("/api/offer", json=OFFER, headers={"Origin": origin})
    assert answer.status_code == 200


async def test_a_name_that_was_made_to_point_here_is_refused(client):
    """DNS rebinding: origin and host agree, but neither is a name of this machine's loopback."""
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    answer = await client.post("/api/offer", json=OFFER, headers=headers)
    assert answer.status_code == 403
    assert "allowed_origins" in answer.json()["error"]


async def test_an_allowed_origin_can_start_a_call_and_its_browser_is_told(conversations):
    """server.allowed_origins opens the door, preflight included."""
    origin = "https://shop.example"
    async with served(conversations, a_pipeline(allowed_origins=[origin])) as client:
        preflight = await client.options(
            "/api/offer",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        answer = await client.post("/api/offer", json=OFFER, headers={"Origin": origin})
    assert preflight.status_code == 200
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin


async def test_behind_a_proxy_the_pages_address_is_named(conversations):
    """A proxy on this machine passes the public name on; allowed_origins makes it ours."""
    origin = "https://agent.example"
    async with served(conversations, a_pipeline(allowed_origins=[origin])) as client:
        headers = {"Host": "agent.example", "Origin": origin}
        answer = await client.post("/api/offer", json=OFFER, headers=headers)
    assert answer.status_code == 200


async def test_a_page_of_another_origin_cannot_open_a_websocket(client):
    """A browser asks no server before it opens one; ours says no before it is open."""
    url = str(client.base_url).replace("http", "ws") + "/anything"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    assert b"evil.example" in refused.value.response.body


# The page and health


async def test_the_page_is_served_with_what_keeps_it_safe(client):
    """No code or connection from elsewhere, the microphone allowed, nothing stale."""
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "microphone=(self)" in page.headers["permissions-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


async def test_bundles_are_kept_for_ever_because_their_names_change(client):
    """Every script and style that the page names is there, and cached for good."""
    page = (await client.get("/")).text
    bundles = [part.split('"')[0] for part in page.split('"./')[1:] if part.startswith("assets/")]
    assert bundles
    for bundle in bundles:
        answer = await client.get(f"/{bundle}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_nothing_outside_the_page_is_served(client):
    """A path that climbs out of the folder is not found."""
    for path in ("/../pyproject.toml", "/%2e%2e/pyproject.toml", "/assets/nothing.js"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "immutable" not in answer.headers["cache-control"]


async def test_health_tells_how_the_process_is_doing(client, conversations):
    """Ready, pipeline, sessions, loop lag and memory."""
    conversations.active = 3
    health = (await client.get("/api/health")).json()
    assert health["ready"] is True
    assert health["pipeline"] == "test"
    assert health["sessions"] == {"active": 3, "max": 8}
    assert set(health["loop_lag_ms"]) == {"p50", "p99", "max"}
    assert health["rss_mb"] > 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/offer"), ("POST", "/api/nothing")])
async def test_what_the_api_does_not_have_is_said_in_json(client, method, path):
    """Wrong paths and methods are errors of the same form as all others."""
    answer = await client.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]


# Starting and ending


async def test_at_sigterm_answers_finish_while_new_calls_are_refused(conversations):
    """Draining: health says not ready, offers are 503, and the port closes after the answers."""
    conversations.stop_may_end.clear()
    async with served(conversations) as client:
        os.kill(os.getpid(), signal.SIGTERM)
        while not conversations.stops:
            await client.get("/api/health")
        refused = await client.post("/api/offer", json=OFFER)
        health = await client.get("/api/health")
        conversations.stop_may_end.set()
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert health.json()["ready"] is False
    assert conversations.stops[0] == 10.0


async def test_an_engine_that_does_not_load_ends_the_server_before_the_port_opens(conversations):
    """The error comes out as it is, everything is stopped, and nobody could connect."""
    conversations.start_error = EngineError("the model is missing: run `make it`")
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    with pytest.raises(EngineError, match="make it"):
        await serve(a_pipeline(), conversations, sock)
    assert conversations.stops == [0]
    with pytest.raises(OSError, match=r".*"), socket.create_connection(("127.0.0.1", port)):
        pass


async def test_the_port_is_closed_until_everything_is_loaded(conversations):
    """A taken port that does not listen refuses connections, and nobody else can take it."""
    sock = bind("127.0.0.1", 0)
    with sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_port_in_use_is_named_with_the_way_out():
    """The message names the port and the flag."""
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"port {port} .*--port"):
            bind("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_named():
    """192.0.2.1 is nobody's address; a name that does not resolve is no better."""
    with pytest.raises(PortError, match=r"192\.0\.2\.1.*--host"):
        bind("192.0.2.1", 0)
    with pytest.raises(PortError, match="--host"):
        bind("no.such.host.invalid", 0)


def test_the_offer_that_the_page_sends_fits_with_room_to_spare():
    """64 KiB hold an offer with a hundred candidates."""
    line = "a=candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 0.0.0.0\r\n"
    assert len(json.dumps({**OFFER, "sdp": "v=0\r\n" * 100 + line * 100})) < MAX_BODY_BYTES / 4


def test_pipelines_are_values():
    """A pipeline can be replaced in part, as tests and commands do."""
    assert replace(a_pipeline(), name="other").name == "other"
