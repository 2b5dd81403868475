"""The trace API over invented turns: great numbers and troubles, which real calls do not show."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import numpy as np
from aiohttp import web

from tests.web.made_turns import BUDGETS, TOTAL_MS, made_turns
from tests.web.stub import DIST

T = TypeVar("T")
FILTERS = ("pipeline", "transport", "verdict", "kind", "session", "run")
STAGES = {**BUDGETS, "voice_to_voice": TOTAL_MS}


class TracesStub:
    """Serves web/dist and the turns it was given; ``publish`` adds one and tells the pages."""

    def __init__(self, turns: Sequence[dict[str, Any]]) -> None:
        self.turns = list(turns)
        self.asked: list[str] = []
        """Paths with queries of all API requests."""
        self.refusal: tuple[int, str] | None = None
        self.url = ""
        self._feeds: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="traces stub")
        self._port = 0

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()
        self._runner = self._wait(self._serve())

    def close_port(self) -> None:
        """Be gone, for as long as ``start`` is not called."""
        self._wait(self._close())

    def stop(self) -> None:
        self.close_port()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def publish(self, turn: dict[str, Any]) -> None:
        self.turns.append(turn)
        self.tell("turn", turn)

    def tell(self, event: str, data: Any) -> None:
        async def put() -> None:
            for feed in self._feeds:
                feed.put_nowait((event, data))

        self._wait(put())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _close(self) -> None:
        for feed in self._feeds:
            feed.put_nowait(None)
        await self._runner.cleanup()

    async def _serve(self) -> web.AppRunner:
        app = web.Application(middlewares=[self._note])
        routes = app.router
        routes.add_get("/api/traces/turns", self._list)
        routes.add_get("/api/traces/turns/{id}", self._turn)
        routes.add_get("/api/traces/sessions", self._sessions)
        routes.add_get("/api/traces/stats", self._stats)
        routes.add_get("/api/traces/compare", self._compare)
        routes.add_get("/api/traces/runs", self._runs)
        routes.add_get("/api/traces/facets", self._facets)
        routes.add_get("/api/traces/live", self._live)
        routes.add_get("/", self._index)
        routes.add_get("/traces/", self._page)
        routes.add_static("/", DIST)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._port = runner.addresses[0][1]
        self.url = f"http://localhost:{self._port}/traces/"
        return runner

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            self.asked.append(request.path_qs)
            if self.refusal:
                return web.json_response({"error": self.refusal[1]}, status=self.refusal[0])
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _index(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(DIST / "index.html")

    async def _page(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(DIST / "traces" / "index.html")

    def _chosen(self, request: web.Request) -> list[dict[str, Any]]:
        query = request.query
        since, until = float(query.get("since", 0)), float(query.get("until", "inf"))
        return [
            turn
            for turn in self.turns
            if all(turn[key] == query[key] for key in FILTERS if query.get(key))
            and since <= turn["started_at"] < until
        ]

    async def _list(self, request: web.Request) -> web.Response:
        chosen = self._chosen(request)
        if request.query.get("sort") == "slowest":
            stage = request.query.get("stage", "voice_to_voice")
            chosen = [t for t in chosen if _value(t, stage) is not None]
            chosen.sort(key=lambda turn: -(_value(turn, stage) or 0.0))
        else:
            chosen.sort(key=lambda turn: -float(turn["started_at"]))
        at, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 100))
        page = [_summary(turn) for turn in chosen[at : at + limit]]
        more = str(at + limit) if at + limit < len(chosen) else None
        return web.json_response({"turns": page, "next": more, "total": len(chosen)})

    async def _turn(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for turn in self.turns:
            if turn["id"] == wanted:
                ids = [t["id"] for t in self.turns if t["session"] == turn["session"]]
                at = ids.index(wanted)
                beside = {
                    "previous": ids[at - 1] if at else None,
                    "next": ids[at + 1] if at + 1 < len(ids) else None,
                }
                return web.json_response(turn | beside)
        return web.json_response({"error": "no such turn"}, status=404)

    async def _sessions(self, request: web.Request) -> web.Response:
        by_session: dict[str, list[dict[str, Any]]] = {}
        for turn in self._chosen(request):
            by_session.setdefault(turn["session"], []).append(turn)
        rows = sorted(
            (_session(turns) for turns in by_session.values()), key=lambda row: -row["started_at"]
        )
        at, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 100))
        more = str(at + limit) if at + limit < len(rows) else None
        return web.json_response({"sessions": rows[at : at + limit], "next": more})

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(_stats(self._chosen(request), int(request.query["buckets"])))

    async def _compare(self, request: web.Request) -> web.Response:
        sides = {
            side: [turn for turn in self.turns if turn["run"] == request.query[side]]
            for side in ("a", "b")
        }
        stages: dict[str, Any] = {}
        for stage in STAGES:
            a, b = (_values(sides[side], stage) for side in ("a", "b"))
            if not len(a) or not len(b):
                continue
            low = float(np.percentile(b, 50) - np.percentile(a, 50))
            stages[stage] = {
                "a": _percentiles(a) | {"n": len(a)},
                "b": _percentiles(b) | {"n": len(b)},
                "delta": {"p50": low, "p95": float(np.percentile(b, 95) - np.percentile(a, 95))},
                "ci95": {"p50": [low - 12, low + 11], "p95": [low - 40, low + 50]},
            }
        answer: dict[str, Any] = {"stages": stages}
        for side in ("a", "b"):
            name = request.query[side]
            answer[side] = {"run": name, "label": name, "stats": _stats(sides[side], 10)}
        return web.json_response(answer)

    async def _runs(self, request: web.Request) -> web.Response:
        counts = Counter(turn["run"] for turn in self.turns)
        began: dict[str, float] = {}
        for turn in self.turns:
            began.setdefault(turn["run"], turn["started_at"])
        runs = [
            {
                "id": r,
                "pipeline": "embedded",
                "started_at": began[r],
                "version": "0.1.0",
                "turns": n,
            }
            for r, n in counts.items()
        ]
        return web.json_response({"runs": sorted(runs, key=lambda run: -run["started_at"])})

    async def _facets(self, request: web.Request) -> web.Response:
        def values(key: str) -> list[str]:
            return sorted({turn[key] for turn in self.turns if turn[key]})

        return web.json_response(
            {
                "pipelines": values("pipeline"),
                "transports": values("transport"),
                "runs": values("run"),
                "kinds": values("kind"),
                "verdicts": values("verdict"),
            }
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b": here\n\n")
        feed: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
        self._feeds.add(feed)
        try:
            while (item := await feed.get()) is not None:
                text = f"event: {item[0]}\ndata: {json.dumps(item[1])}\n\n"
                await answer.write(text.encode())
        finally:
            self._feeds.discard(feed)
        return answer


def _summary(turn: dict[str, Any]) -> dict[str, Any]:
    return {key: turn[key] for key in turn if key not in ("spans", "events", "words")}


def _value(turn: dict[str, Any], stage: str) -> float | None:
    if stage == "voice_to_voice":
        v2v: float | None = turn["v2v_ms"]
        return v2v
    return next((s["ms"] for s in turn["segments"] if s["stage"] == stage), None)


def _values(turns: Sequence[dict[str, Any]], stage: str) -> np.ndarray:
    counted = [turn for turn in turns if turn["kind"] == "answered"]
    return np.array([v for turn in counted if (v := _value(turn, stage)) is not None])


def _percentiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95, 99)}


def _session(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first, last = turns[0], turns[-1]
    values = _values(turns, "voice_to_voice")
    figures = _percentiles(values) if len(values) else {}
    ended = last["started_at"] + 9 if last["started_at"] < time.time() - 60 else None
    return {
        "id": first["session"],
        "run": first["run"],
        "pipeline": first["pipeline"],
        "transport": first["transport"],
        "started_at": first["started_at"],
        "ended_at": ended,
        "reason": "gone" if ended else None,
        "turns": len(turns),
        "missed": sum(turn["verdict"] == "missed" for turn in turns),
        "p50_ms": figures.get("p50"),
        "p95_ms": figures.get("p95"),
    }


def _stats(turns: Sequence[dict[str, Any]], buckets: int) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    for stage, budget in STAGES.items():
        values = _values(turns, stage)
        if not len(values):
            continue
        counts, edges = np.histogram(values, bins=40)
        stages[stage] = {
            "budget_ms": budget,
            **_percentiles(values),
            "n": len(values),
            "over": int((values > budget).sum()),
            "histogram": {"edges": edges.round(1).tolist(), "counts": counts.tolist()},
        }
    series: list[dict[str, Any]] = []
    if turns:
        first, last = turns[0]["started_at"], turns[-1]["started_at"]
        step = max(1.0, (last - first) / buckets)
        by_bucket: dict[int, list[dict[str, Any]]] = {}
        for turn in turns:
            by_bucket.setdefault(int((turn["started_at"] - first) / step), []).append(turn)
        for bucket, inside in sorted(by_bucket.items()):
            row: dict[str, Any] = {
                "t": first + bucket * step,
                "n": len(inside),
                "missed": sum(turn["verdict"] == "missed" for turn in inside),
            }
            for stage in STAGES:
                values = _values(inside, stage)
                if len(values):
                    row[stage] = _percentiles(values)
            series.append(row)
    return {
        "stages": stages,
        "series": series,
        "kinds": Counter(turn["kind"] for turn in turns),
        "verdicts": Counter(turn["verdict"] for turn in turns if turn["verdict"]),
    }


if __name__ == "__main__":
    import sys

    stub = TracesStub(made_turns(int(sys.argv[1]), now=time.time()))
    stub._port = 8099
    stub.start()
    print(stub.url, flush=True)
