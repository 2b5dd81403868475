"""The traces over HTTP, on a real socket: filtered, paged, streamed, live, and guarded."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.test_server import StandIn, a_pipeline, served
from tests.trace.made import BEGAN, a_session, a_turn, many
from tests.trace.test_store import FOR_EVER, RUN, writing
from voice_agent.trace.access import Access
from voice_agent.trace.api import TracesApi
from voice_agent.trace.live import WAITING_MAX, Live
from voice_agent.trace.model import Run
from voice_agent.trace.settings import TraceSettings
from voice_agent.trace.store.queries import Filter, Traces
from voice_agent.trace.store.reader import Reader
from voice_agent.trace.store.writer import Recording, Store

COUNT = 400


class Traced(StandIn):
    """Conversations that serve their traces."""

    def __init__(self, reader: Reader, settings: TraceSettings, host: str, *origins: str) -> None:
        super().__init__()
        self.live = Live()
        self.access = Access(settings, host, origins)
        self._api = TracesApi(reader, self.live, self.access)

    def routes(self) -> list[Any]:
        return self._api.routes()

    async def stop(self, *, grace_s: float) -> None:
        await super().stop(grace_s=grace_s)
        self.live.end()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 turns of 20 sessions and two runs; one is recorded."""
    path = tmp_path_factory.mktemp("traces") / "traces.db"
    with writing(path, run=Run("r0", "fixed-latency", "0.1.0", BEGAN)) as writer:
        for turn in many(COUNT):
            writer.turn(turn)
        for number in range(20):
            began = BEGAN + number * 520.0
            run = f"r{number // 10}"
            transport = ("webrtc", "twilio")[number % 2]
            writer.session(a_session(f"s{number}", started_at=began, run=run, transport=transport))
        writer.recording(Recording("s3-4", lambda: b"RIFF" + bytes(996)))
    with writing(path):
        pass
    return path


@pytest.fixture(scope="module")
def reader(file: Path) -> Iterator[Reader]:
    """One process for all tests: it takes a while to start."""
    reading = Reader(file)
    yield reading
    reading.close()


@asynccontextmanager
async def serving(
    reader: Reader, settings: TraceSettings | None = None, host: str = "127.0.0.1", *origins: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Traced]]:
    conversations = Traced(reader, settings or TraceSettings(), host, *origins)
    pipeline = a_pipeline(host=host, allowed_origins=origins)
    async with served(conversations, pipeline) as client:
        yield client, conversations


@pytest.fixture
async def client(reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(reader) as (client, _):
        yield client


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"/api/traces{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_turns_come_newest_first_page_by_page(client: httpx.AsyncClient) -> None:
    """Every one exactly once, without what a list does not show."""
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(client, "/turns", limit=150, **cursor)
        assert page["total"] == COUNT
        seen += page["turns"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len({turn["id"] for turn in seen}) == len(seen) == COUNT
    started = [turn["started_at"] for turn in seen]
    assert started == sorted(started, reverse=True)
    assert not {"spans", "events", "words"} & set(seen[0])
    assert sum(s["ms"] for s in seen[0]["segments"]) == pytest.approx(seen[0]["v2v_ms"])
    assert seen[0]["stages"]["voice_to_voice"] == seen[0]["v2v_ms"]


async def test_the_slowest_come_first_when_asked(client: httpx.AsyncClient) -> None:
    """Over page borders too."""
    first = await get(client, "/turns", sort="slowest", limit=7)
    second = await get(client, "/turns", sort="slowest", limit=7, cursor=first["next"])
    v2v = [turn["v2v_ms"] for turn in first["turns"] + second["turns"]]
    assert v2v == sorted(v2v, reverse=True)
    assert len(v2v) == 14


async def test_the_slowest_of_one_stage_come_first_when_asked(client: httpx.AsyncClient) -> None:
    """By the time waited for that stage, whatever the whole turn took."""
    found = await get(client, "/turns", sort="slowest", stage="asr_final", limit=50)
    waited = [turn["stages"]["asr_final"] for turn in found["turns"]]
    assert waited == sorted(waited, reverse=True)
    assert len(waited) == 50


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transport", "twilio"),
        ("verdict", "missed"),
        ("kind", "interrupted"),
        ("session", "s7"),
        ("run", "r1"),
        ("pipeline", "fixed-latency"),
    ],
)
async def test_turns_are_filtered(client: httpx.AsyncClient, key: str, value: str) -> None:
    """By what they were; the total says how many there are."""
    page = await get(client, "/turns", limit=1000, **{key: value})
    assert page["total"] == len(page["turns"]) > 0
    assert {turn[key] for turn in page["turns"]} == {value}


async def test_turns_are_filtered_by_time(client: httpx.AsyncClient) -> None:
    """From a moment on, and before another."""
    page = await get(client, "/turns", since=BEGAN + 26, until=BEGAN + 26 * 5)
    assert page["total"] == 4


async def test_one_turn_has_everything(client: httpx.AsyncClient) -> None:
    """Spans and events too; one that was recorded says so."""
    turn = await get(client, "/turns/s3-4")
    assert len(turn["spans"]) == 6
    assert len(turn["events"]) == 15
    assert turn["audio"]
    assert not (await get(client, "/turns/s3-5"))["audio"]


async def test_a_recording_is_played_and_sought_in(client: httpx.AsyncClient) -> None:
    """Browsers ask for ranges."""
    whole = await client.get("/api/traces/turns/s3-4/audio")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    assert len(whole.content) == 1000
    for asked, got in (("bytes=0-3", b"RIFF"), ("bytes=996-", bytes(4)), ("bytes=2-2", b"F")):
        part = await client.get("/api/traces/turns/s3-4/audio", headers={"Range": asked})
        assert (part.status_code, part.content) == (206, got)
    beyond = await client.get("/api/traces/turns/s3-4/audio", headers={"Range": "bytes=5000-"})
    assert beyond.status_code == 416


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/turns/nobody-1", 404),
        ("/turns/s3-5/audio", 404),
        ("/turns?limit=0", 400),
        ("/turns?limit=many", 400),
        ("/turns?sort=best", 400),
        ("/turns?cursor=;drop", 400),
        ("/turns?since=yesterday", 400),
        ("/stats?buckets=0", 400),
        ("/export?format=xml", 400),
        ("/compare?a=r0", 400),
        ("/compare?a=r0&b=r9", 404),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_words(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    """With a status and a sentence."""
    answer = await client.get(f"/api/traces{path}")
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_statistics_say_what_the_turns_say(client: httpx.AsyncClient) -> None:
    """Percentiles are those of the answered turns, computed here by hand."""
    stats = await get(client, "/stats", buckets=10)
    turns = (await get(client, "/turns", limit=1000))["turns"]
    answered = sorted(turn["v2v_ms"] for turn in turns if turn["kind"] == "answered")
    total = stats["stages"]["voice_to_voice"]
    assert total["n"] == len(answered)
    assert total["p50"] == pytest.approx(answered[len(answered) // 2], abs=2)
    assert total["p99"] <= answered[-1]
    assert total["budget_ms"] == 400.0
    assert total["over"] == sum(v2v > 400.0 for v2v in answered)
    assert sum(total["histogram"]["counts"]) == total["n"]
    assert len(total["histogram"]["edges"]) == len(total["histogram"]["counts"]) + 1
    assert len(stats["series"]) == 10
    assert sum(point["n"] for point in stats["series"]) == COUNT
    missed = sum(turn["verdict"] == "missed" for turn in turns)
    assert sum(point["missed"] for point in stats["series"]) == missed
    assert stats["verdicts"]["missed"] == missed
    assert sum(stats["kinds"].values()) == COUNT
    assert stats["stages"]["llm_first_clause"]["p50"] == 0.0, "nobody waited for it"
    assert stats["stages"]["llm_first_clause"]["over"] is None, "it has no budget"


async def test_statistics_of_nothing_are_empty(client: httpx.AsyncClient) -> None:
    """No turn of that kind: no figures, no error."""
    stats = await get(client, "/stats", transport="pigeon")
    assert stats["stages"]["endpoint"]["p50"] is None
    assert (stats["series"], stats["kinds"]) == ([], {})


async def test_two_runs_are_compared(client: httpx.AsyncClient) -> None:
    """Made the same way, they cannot be told apart: the interval holds 0."""
    made = await get(client, "/compare", a="r0", b="r1")
    stage = made["stages"]["voice_to_voice"]
    assert stage["a"]["n"] + stage["b"]["n"] > 250
    low, high = stage["ci95"]["p50"]
    assert low <= stage["delta"]["p50"] <= high
    assert low <= 0 <= high
    assert made["a"]["label"] == "fixed-latency 0.1.0"


async def test_sessions_runs_and_what_to_filter_by(client: httpx.AsyncClient) -> None:
    """Each with what a list shows."""
    page = await get(client, "/sessions", limit=15)
    rest = await get(client, "/sessions", limit=15, cursor=page["next"])
    assert len({each["id"] for each in page["sessions"] + rest["sessions"]}) == 20
    assert page["sessions"][0]["turns"] == 20
    assert page["sessions"][0]["p50_ms"] > 0
    runs = (await get(client, "/runs"))["runs"]
    assert {run["id"]: run["turns"] for run in runs} == {"r0": 200, "r1": 200}
    facets = await get(client, "/facets")
    assert (facets["transports"], facets["runs"]) == (["twilio", "webrtc"], ["r0", "r1"])


async def test_turns_are_exported_as_json_and_csv(client: httpx.AsyncClient) -> None:
    """The whole of what was asked for, as a file."""
    answer = await client.get("/api/traces/export", params={"transport": "twilio"})
    turns = json.loads(answer.text)
    assert "attachment" in answer.headers["content-disposition"]
    table = await client.get("/api/traces/export?format=csv&transport=twilio")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == [turn["id"] for turn in turns]
    assert 0 < len(rows) < COUNT
    waited = sum(float(value or 0) for name, value in rows[0].items() if name in STAGE_COLUMNS)
    assert waited == pytest.approx(float(rows[0]["v2v_ms"]))


STAGE_COLUMNS = {
    "endpoint_ms",
    "asr_final_ms",
    "llm_first_token_ms",
    "llm_first_clause_ms",
    "tts_first_audio_ms",
    "transport_ms",
}


async def test_turns_and_sessions_are_told_as_they_happen(reader: Reader) -> None:
    """As server-sent events, until the server ends."""
    async with serving(reader) as (client, conversations):
        async with client.stream("GET", "/api/traces/live") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == ": watching"
            conversations.live.session(a_session("s3"))
            conversations.live.turn(a_turn(kind="open"))
            heard = [line async for line in _until(lines, 'data: {"id":"s1-1"')]
        assert "event: session" in heard
        session = json.loads(next(line for line in heard if '"s3"' in line)[6:])
        assert (session["turns"], session["ended_at"]) == (20, None)
        turn = json.loads(heard[-1][6:])
        assert (turn["kind"], "spans" in turn) == ("open", False)


async def _until(lines: AsyncIterator[str], start: str) -> AsyncIterator[str]:
    async with asyncio.timeout(10):
        async for line in lines:
            yield line
            if line.startswith(start):
                return


async def test_one_who_watches_too_slowly_is_told_what_was_lost() -> None:
    """The queue of one watcher is bounded; the newest are kept."""
    live = Live()
    with live.watch() as watcher:
        for number in range(WAITING_MAX + 5):
            live.turn(a_turn(number))
        live.end()
        assert await watcher.next() == 6
        first = await watcher.next()
        assert getattr(first, "turn", None) == 6
    live.turn(a_turn())  # nobody watches any more


# ----- who may read -----

KEEPS_WORDS = TraceSettings(transcripts=True)


async def status(client: httpx.AsyncClient, **headers: str) -> int:
    return (await client.get("/api/traces/turns", headers=headers)).status_code


async def test_words_are_read_on_this_machine_without_a_token(reader: Reader) -> None:
    """But not through a proxy, and not by a page that calls itself 127.0.0.1."""
    async with serving(reader, KEEPS_WORDS) as (client, conversations):
        assert await status(client) == 200
        assert await status(client, **{"X-Forwarded-For": "203.0.113.9"}) == 401
        assert await status(client, Host="evil.example") == 403
        shown = {"Authorization": f"Bearer {conversations.access.token}"}
        assert await status(client, **{"X-Forwarded-For": "203.0.113.9"}, **shown) == 200


async def test_words_are_read_from_another_machine_with_the_token_only(reader: Reader) -> None:
    """One is made where none is set; a browser shows it once, for a cookie."""
    async with serving(reader, KEEPS_WORDS, "0.0.0.0") as (client, conversations):
        refused = await client.get("/api/traces/turns/s3-4")
        assert (refused.status_code, refused.json()["token"]) == (401, True)
        wrong = await client.post("/api/traces/token", json={"token": "guess"})
        assert wrong.status_code == 403
        right = await client.post("/api/traces/token", json={"token": conversations.access.token})
        assert right.status_code == 204
        assert "httponly" in right.headers["set-cookie"].lower()
        assert (await client.get("/api/traces/turns/s3-4")).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"token": 3}', b"x" * 5000])
async def test_what_is_no_token_is_refused(reader: Reader, body: bytes) -> None:
    """Nothing a stranger sends is more than a no."""
    async with serving(reader, KEEPS_WORDS) as (client, _):
        answer = await client.post("/api/traces/token", content=body)
        assert answer.status_code in (400, 403)


async def test_a_token_that_is_set_is_always_needed(reader: Reader) -> None:
    """On this machine too, and without words."""
    async with serving(reader, TraceSettings(token="open sesame")) as (client, _):
        assert await status(client) == 401
        assert await status(client, Authorization="Bearer open sesame") == 200


async def test_latencies_alone_need_no_token(reader: Reader) -> None:
    """Numbers are read like the health check."""
    async with serving(reader, TraceSettings(), "0.0.0.0") as (client, _):
        assert await status(client) == 200


async def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    """503 with what is wrong, not a crash."""
    reader = Reader(tmp_path / "gone.db")
    async with serving(reader) as (client, _):
        answer = await client.get("/api/traces/turns")
    reader.close()
    assert answer.status_code == 503
    assert "no traces" in answer.json()["error"]


def test_a_closed_store_takes_nothing_more(tmp_path: Path) -> None:
    """What comes after the end is counted as lost, not silently forgotten."""
    writer = Store(tmp_path / "traces.db", RUN, FOR_EVER)
    writer.open()
    writer.close()
    writer.turn(a_turn())
    assert writer.dropped == 1


async def test_a_reading_process_that_was_killed_is_started_again(file: Path) -> None:
    """By the system, when memory is short: whoever asks does not notice."""
    reader = Reader(file)
    try:
        assert (await reader.ask(Traces.turns, Filter())).total == COUNT
        [process] = reader._started()._processes.values()
        process.kill()
        process.join()
        assert (await reader.ask(Traces.turns, Filter())).total == COUNT
    finally:
        reader.close()
