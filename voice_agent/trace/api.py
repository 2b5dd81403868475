"""``/api/traces``: what was traced, for the dashboard and for programs.

Everything is read from the file by another process, so that no call waits for a dashboard; only
the live feed comes straight from the conversations.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from voice_agent.trace.access import COOKIE, Access
from voice_agent.trace.errors import NotTraced, StoreError
from voice_agent.trace.live import Live
from voice_agent.trace.model import TOTAL, BudgetKey, Session, Turn
from voice_agent.trace.store.export import as_csv, as_json
from voice_agent.trace.store.queries import Filter, Sort, Traces, summary
from voice_agent.trace.store.reader import Reader
from voice_agent.trace.store.statistics import compare_runs, stats

HEARTBEAT_S = 15.0
"""A comment goes out on a silent feed this often, so that proxies keep it and lost ones end."""
MAX_TOKEN_BYTES = 4096

ParametersT = TypeVar("ParametersT", bound=BaseModel)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FilterParameters(_Parameters):
    """Which turns."""

    pipeline: str | None = None
    transport: str | None = None
    verdict: str | None = None
    kind: str | None = None
    session: str | None = None
    run: str | None = None
    since: float | None = None
    until: float | None = None

    def filter(self) -> Filter:
        """Return them as the store knows them."""
        given = self.model_dump(include=set(FilterParameters.model_fields))
        return Filter(**{name: value for name, value in given.items() if value != ""})


class PageParameters(FilterParameters):
    """Which page of them."""

    sort: Sort = "recent"
    stage: BudgetKey = TOTAL
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, pattern=r"^[0-9.e+-]+_[0-9]+$")


class StatsParameters(FilterParameters):
    """How fine."""

    buckets: int = Field(default=60, ge=1, le=1000)


class ExportParameters(FilterParameters):
    """In what form."""

    format: str = Field(default="json", pattern="^(json|csv)$")


class TracesApi:
    """The routes; see the module's docstring.

    Args:
        reader: Reads what is stored.
        live: What happens now.
        access: Who may read.
    """

    def __init__(self, reader: Reader, live: Live, access: Access) -> None:
        self._reader = reader
        self._live = live
        self._access = access

    def routes(self) -> list[BaseRoute]:
        """Return what is served."""
        read: dict[str, Callable[[Request], Any]] = {
            "/turns": self.turns,
            "/turns/{id}": self.turn,
            "/turns/{id}/audio": self.audio,
            "/sessions": self.sessions,
            "/stats": self.stats,
            "/compare": self.compare,
            "/runs": self.runs,
            "/facets": self.facets,
            "/export": self.export,
            "/live": self.live,
        }
        routes: list[BaseRoute] = [
            Route(f"/api/traces{path}", self._guarded(answer), methods=["GET"])
            for path, answer in read.items()
        ]
        return [*routes, Route("/api/traces/token", self.show_token, methods=["POST"])]

    async def turns(self, request: Request) -> Response:
        """``GET``: summaries of turns, by page."""
        asked = _parameters(PageParameters, request)
        page = await self._reader.ask(
            Traces.turns,
            asked.filter(),
            sort=asked.sort,
            stage=asked.stage,
            limit=asked.limit,
            cursor=asked.cursor,
        )
        return JSONResponse({"turns": page.rows, "next": page.next, "total": page.total})

    async def turn(self, request: Request) -> Response:
        """``GET``: one turn with everything."""
        return JSONResponse(await self._reader.ask(Traces.turn, request.path_params["id"]))

    async def audio(self, request: Request) -> Response:
        """``GET``: a turn's recording, the user left and the agent right."""
        wav = await self._reader.ask(Traces.recording, request.path_params["id"])
        return _ranged(request, wav)

    async def sessions(self, request: Request) -> Response:
        """``GET``: sessions, by page."""
        asked = _parameters(PageParameters, request)
        page = await self._reader.ask(
            Traces.sessions, asked.filter(), limit=asked.limit, cursor=asked.cursor
        )
        return JSONResponse({"sessions": page.rows, "next": page.next})

    async def stats(self, request: Request) -> Response:
        """``GET``: percentiles by stage, over time, and distributions."""
        asked = _parameters(StatsParameters, request)
        return JSONResponse(await self._reader.ask(stats, asked.filter(), asked.buckets))

    async def compare(self, request: Request) -> Response:
        """``GET``: two runs side by side."""
        a, b = request.query_params.get("a"), request.query_params.get("b")
        if not a or not b:
            raise HTTPException(400, "name two runs: /api/traces/compare?a=<run>&b=<run>")
        asked = _parameters(StatsParameters, request)
        made = await self._reader.ask(compare_runs, a, b, asked.filter(), asked.buckets)
        return JSONResponse(made)

    async def runs(self, _request: Request) -> Response:
        """``GET``: the lives of processes."""
        return JSONResponse({"runs": await self._reader.ask(Traces.runs)})

    async def facets(self, _request: Request) -> Response:
        """``GET``: what there is to filter by."""
        return JSONResponse(await self._reader.ask(Traces.facets))

    async def export(self, request: Request) -> Response:
        """``GET``: every turn that is meant, streamed as a file."""
        asked = _parameters(ExportParameters, request)
        if asked.format == "csv":
            lines = as_csv(self._reader.traces.rows(asked.filter()))
        else:
            lines = as_json(self._reader.traces.documents(asked.filter()))
        # Asked for the first line here, so that an error is an answer and not a broken file.
        first = await run_in_threadpool(next, lines)

        async def content() -> AsyncIterator[str]:
            yield first
            async for line in iterate_in_threadpool(lines):
                yield line

        name = f'attachment; filename="voice-agent-turns.{asked.format}"'
        kind = "text/csv" if asked.format == "csv" else "application/json"
        return StreamingResponse(content(), media_type=kind, headers={"Content-Disposition": name})

    async def live(self, _request: Request) -> Response:
        """``GET``: turns and sessions as they happen, as server-sent events."""
        return StreamingResponse(
            self._feed(),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},  # nginx would keep them back
        )

    async def show_token(self, request: Request) -> Response:
        """``POST``: show the token for a cookie."""
        body = await request.body() if _length(request) <= MAX_TOKEN_BYTES else b""
        try:
            shown = json.loads(body)["token"]
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPException(400, 'should be {"token": "..."}') from error
        if not isinstance(shown, str) or not self._access.is_token(shown):
            raise HTTPException(403, "that is not the token; the server's start says which it is")
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            shown,
            path="/api/traces",
            httponly=True,
            secure=request.url.scheme == "https",
            samesite="strict",
        )
        return answer

    # ----- within -----

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._access.foreign(request):
                raise HTTPException(403, "this server only answers to localhost")
            if not self._access.allowed(request):
                why = "a token is needed to read traces; the server's start says which, or how"
                return JSONResponse(
                    {"error": why, "token": True}, 401, {"WWW-Authenticate": "Bearer"}
                )
            try:
                response: Response = await answer(request)
            except NotTraced as error:
                raise HTTPException(404, str(error)) from error
            except StoreError as error:
                raise HTTPException(503, str(error)) from error
            return response

        return guarded

    async def _feed(self) -> AsyncIterator[str]:
        with self._live.watch() as watcher:
            yield ": watching\n\n"
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        told = await watcher.next()
                except TimeoutError:
                    yield ": still watching\n\n"
                    continue
                match told:
                    case Turn():
                        yield _event("turn", summary(told))
                    case Session():
                        yield _event("session", await self._session(told))
                    case int():
                        yield _event("lost", {"dropped": told})
                    case None:
                        return

    async def _session(self, session: Session) -> dict[str, Any]:
        try:
            stored = await self._reader.ask(Traces.session, session.id)
        except (NotTraced, StoreError):
            stored = {"turns": 0, "missed": 0, "p50_ms": None, "p95_ms": None}
        return {**stored, **session.to_dict()}


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _parameters(kind: type[ParametersT], request: Request) -> ParametersT:
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise HTTPException(400, f"{first['loc'][0]}: {first['msg']}") from error


def _length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else MAX_TOKEN_BYTES + 1


def _ranged(request: Request, content: bytes) -> Response:
    """Answer with all of it or the range asked for: players seek by ranges (RFC 9110, 14.2)."""
    headers = {"Accept-Ranges": "bytes"}
    unit, _, spans = request.headers.get("range", "").partition("=")
    first, dash, last = spans.partition("-")
    if unit != "bytes" or not dash or "," in spans or not first.isdecimal():
        return Response(content, media_type="audio/wav", headers=headers)
    begin = int(first)
    end = min(int(last) if last.isdecimal() else len(content) - 1, len(content) - 1)
    if begin > end:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return Response(status_code=416, headers=headers)
    headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
    return Response(content[begin : end + 1], 206, headers, media_type="audio/wav")


def untraced(_request: Request) -> Response:
    """Say that tracing is off."""
    return JSONResponse({"error": "tracing is off; set trace.enabled=true"}, 404)
