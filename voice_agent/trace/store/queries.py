"""Reading traces back: lists by page, one turn, files of them.

Every method opens the file for itself and is blocking. A server asks through the ``reader``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from voice_agent.trace.errors import NotTraced
from voice_agent.trace.model import STAGES, TOTAL, BudgetKey, Kind, Turn
from voice_agent.trace.store.schema import open_to_read

Sort = Literal["recent", "slowest"]
_ROW = (
    "id", "session", "run", "pipeline", "transport", "started_at", "kind", "verdict", "v2v_ms"
)  # fmt: skip
_FIGURES = (
    "hits", "misses", "wasted_tokens", "wasted_audio_ms", "tokens", "tokens_per_s", "acceptance",
    "rtf", "loop_lag_ms",
)  # fmt: skip
"""What a row of a table has of a turn, beside its number, its guilty stage and ms by stage."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which turns are meant; None means any."""

    pipeline: str | None = None
    transport: str | None = None
    verdict: str | None = None
    kind: str | None = None
    session: str | None = None
    run: str | None = None
    since: float | None = None
    """Wall clock, seconds since 1970."""
    until: float | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return an SQL condition on ``turns`` and its arguments."""
        conditions, arguments = ["true"], []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name == "since":
                conditions.append("started_at >= ?")
            elif field.name == "until":
                conditions.append("started_at < ?")
            elif field.name == "verdict" and value == "none":
                conditions.append("verdict IS NULL")
                continue
            else:
                conditions.append(f"turns.{field.name} = ?")
            arguments.append(value)
        return " AND ".join(conditions), arguments


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows, and where the next one begins."""

    rows: list[dict[str, Any]]
    next: str | None
    total: int | None = None


class Traces:
    """The traces in one file.

    Raises (every method):
        StoreError: The file is not there or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    # ----- turns -----

    def turns(
        self,
        where: Filter,
        *,
        sort: Sort = "recent",
        stage: BudgetKey = TOTAL,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Return summaries of turns, newest first, or those first that waited longest for a stage.

        Raises:
            ValueError: ``cursor`` is not one that a page before this one ended with.
        """
        column = "started_at" if sort == "recent" else column_of(stage)
        condition, arguments = where.where()
        if sort == "slowest":
            condition += f" AND {column} IS NOT NULL"
        with self.open() as database:
            (total,) = database.execute(
                f"SELECT count(*) FROM turns WHERE {condition}", arguments
            ).fetchone()
            if cursor is not None:
                condition += f" AND ({column}, turns.key) < (?, ?)"
                arguments += _position(cursor)
            # The page first: a document is read for each of its rows, not for all that are sorted.
            page = (
                f"SELECT key, {column} AS at FROM turns WHERE {condition} "
                f"ORDER BY {column} DESC, key DESC LIMIT ?"
            )
            rows = database.execute(
                f"SELECT at, turns.key, json_remove(document, '$.spans', '$.events', '$.words'), "
                f"{_RECORDED} FROM ({page}) AS turns JOIN documents USING (key) "
                "ORDER BY at DESC, turns.key DESC",
                [*arguments, limit + 1],
            ).fetchall()
        made = [summary(json.loads(row[2]), recorded=row[3]) for row in rows[:limit]]
        return Page(made, _next(rows, limit), total)

    def turn(self, turn_id: str) -> dict[str, Any]:
        """Return one turn with everything.

        Raises:
            NotTraced: There is none of this id.
        """
        with self.open() as database:
            row = database.execute(
                f"SELECT document, {_RECORDED} FROM turns JOIN documents USING (key) WHERE id = ?",
                (turn_id,),
            ).fetchone()
        if row is None:
            raise NotTraced(f"there is no turn {turn_id!r}; it may have been deleted by its age")
        return {**json.loads(row[0]), "audio": bool(row[1])}

    def find(self, text: str) -> str:
        """Return the id of a turn named by the beginning of its session's, or "last".

        "ab12-3" is turn 3 of the session that begins with ab12, "ab12" the last of its turns.

        Raises:
            NotTraced: None, or several sessions, begin so.
        """
        session, dash, number = text.rpartition("-")
        if not dash:
            session, number = ("" if text == "last" else text), ""
        with self.open() as database:
            found = database.execute(
                "SELECT id, session FROM turns WHERE substr(session, 1, ?) = ? "
                "AND (? = '' OR id = session || '-' || ?) ORDER BY started_at DESC",
                (len(session), session, number, number),
            ).fetchall()
        if not found:
            raise NotTraced(f"there is no turn {text!r}; `voice-agent trace ls` lists them")
        if text != "last" and len({session for _, session in found}) > 1:
            raise NotTraced(f"several sessions begin like {text!r}; write more of it")
        return str(found[0][0])

    def recording(self, turn_id: str) -> bytes:
        """Return a turn's recording, a WAV of two channels: the user and the agent.

        Raises:
            NotTraced: There is no such turn, or it was not recorded.
        """
        with self.open() as database:
            row = database.execute(
                "SELECT wav FROM recordings JOIN turns USING (key) WHERE id = ?", (turn_id,)
            ).fetchone()
        if row is None:
            raise NotTraced(f"there is no recording of turn {turn_id!r}; see trace.audio")
        return bytes(row[0])

    def documents(self, where: Filter) -> Iterator[str]:
        """Yield every turn with everything as JSON, oldest first, without holding them all."""
        yield from (
            document
            for (document,) in self._each(
                where,
                f"CASE WHEN {_RECORDED} THEN json_set(document, '$.audio', json('true')) "
                "ELSE document END",
            )
        )

    def rows(self, where: Filter) -> Iterator[tuple[Any, ...]]:
        """Yield every turn as a row of a table, oldest first; the first row names the columns."""
        extracted = {
            **{name: f"document ->> '$.{name}'" for name in ("turn", "guilty")},
            **{name: f"document ->> '$.figures.{name}'" for name in _FIGURES},
        }
        stages = tuple(f"{stage}_ms" for stage in STAGES)
        names = (*_ROW[:2], "turn", *_ROW[2:-1], "guilty", "v2v_ms", *stages, *_FIGURES)
        yield names
        yield from self._each(where, ", ".join(extracted.get(name, name) for name in names))

    # ----- sessions and runs -----

    def sessions(self, where: Filter, *, limit: int = 100, cursor: str | None = None) -> Page:
        """Return sessions, the latest first, with what their turns were like.

        Raises:
            ValueError: ``cursor`` is not one that a page before this one ended with.
        """
        conditions, arguments = ["true"], []
        for name in ("pipeline", "transport", "run"):
            value = getattr(where, name)
            if value is not None:
                conditions.append(f"{name} = ?")
                arguments.append(value)
        if where.session is not None:
            conditions.append("id = ?")
            arguments.append(where.session)
        for name, sign in (("since", ">="), ("until", "<")):
            value = getattr(where, name)
            if value is not None:
                conditions.append(f"started_at {sign} ?")
                arguments.append(value)
        if cursor is not None:
            conditions.append("(started_at, rowid) < (?, ?)")
            arguments += _position(cursor)
        with self.open() as database:
            rows = database.execute(
                "SELECT started_at, rowid, id, run, pipeline, transport, caller, ended_at, reason "
                f"FROM sessions WHERE {' AND '.join(conditions)} "
                "ORDER BY started_at DESC, rowid DESC LIMIT ?",
                [*arguments, limit + 1],
            ).fetchall()
            made = [_session(database, row) for row in rows[:limit]]
        return Page(made, _next(rows, limit))

    def session(self, session_id: str) -> dict[str, Any]:
        """Return one session.

        Raises:
            NotTraced: There is none of this id.
        """
        page = self.sessions(Filter(session=session_id), limit=1)
        if not page.rows:
            raise NotTraced(f"there is no session {session_id!r}")
        return page.rows[0]

    def runs(self) -> list[dict[str, Any]]:
        """Return the lives of processes that have turns, the latest first."""
        with self.open() as database:
            rows = database.execute(
                "SELECT runs.id, runs.pipeline, runs.version, runs.started_at, count(turns.key) "
                "FROM runs LEFT JOIN turns ON turns.run = runs.id GROUP BY runs.id "
                "ORDER BY runs.started_at DESC"
            ).fetchall()
        names = ("id", "pipeline", "version", "started_at", "turns")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def facets(self) -> dict[str, list[str]]:
        """Return the values there are to filter by."""
        with self.open() as database:
            # Of sessions there are many fewer than of turns.
            pipelines, transports, runs = (
                [row[0] for row in database.execute(f"SELECT DISTINCT {column} FROM sessions")]
                for column in ("pipeline", "transport", "run")
            )
        return {
            "pipelines": sorted(pipelines),
            "transports": sorted(transports),
            "runs": sorted(runs),
            "kinds": list(get_args(Kind)),
            "verdicts": ["ok", "missed", "none"],
        }

    def _each(self, where: Filter, columns: str) -> Iterator[tuple[Any, ...]]:
        condition, arguments = where.where()
        with self.open() as database:
            yield from database.execute(
                f"SELECT {columns} FROM turns JOIN documents USING (key) "
                f"WHERE {condition} ORDER BY started_at, turns.key",
                arguments,
            )

    def open(self) -> closing[sqlite3.Connection]:
        """Open the file to read, for as long as the block lasts."""
        return closing(open_to_read(self._path))


_RECORDED = "EXISTS (SELECT 1 FROM recordings WHERE recordings.key = turns.key)"


def summary(turn: dict[str, Any] | Turn, *, recorded: bool | None = None) -> dict[str, Any]:
    """Return a turn as lists show it: without spans, events and words, with ms by stage."""
    made = turn.to_dict() if isinstance(turn, Turn) else turn
    stages: dict[str, float] = {}
    for segment in made["segments"]:
        ms = stages.get(segment["stage"], 0.0) + segment["ms"]
        stages[segment["stage"]] = round(ms, 1)
    if made["v2v_ms"] is not None:
        stages[TOTAL] = made["v2v_ms"]
    short = {name: made[name] for name in made if name not in ("spans", "events", "words")}
    if recorded is not None:
        short["audio"] = bool(recorded)
    return {**short, "stages": stages}


def _session(database: sqlite3.Connection, row: Sequence[Any]) -> dict[str, Any]:
    started_at, _, session, run, pipeline, transport, caller, ended_at, reason = row
    turns = database.execute(
        "SELECT kind, verdict, v2v_ms FROM turns WHERE session = ?", (session,)
    ).fetchall()
    v2v = [ms for kind, _, ms in turns if kind == "answered" and ms is not None]
    p50, p95 = np.percentile(v2v, [50, 95]).round(1).tolist() if v2v else (None, None)
    return {
        "id": session,
        "run": run,
        "pipeline": pipeline,
        "transport": transport,
        "caller": json.loads(caller) if caller else None,
        "started_at": started_at,
        "ended_at": ended_at,
        "reason": reason,
        "turns": len(turns),
        "missed": sum(verdict == "missed" for _, verdict, _ in turns),
        "p50_ms": p50,
        "p95_ms": p95,
    }


def column_of(stage: BudgetKey) -> str:
    """Return the column of a stage's ms."""
    return f"{'v2v' if stage == TOTAL else stage}_ms"


def _position(cursor: str) -> list[float]:
    value, _, key = cursor.partition("_")
    return [float(value), int(key)]


def _next(rows: Sequence[Sequence[Any]], limit: int) -> str | None:
    """Return the cursor behind ``rows``, of which one more than a page was asked for."""
    return f"{rows[limit - 1][0]}_{rows[limit - 1][1]}" if len(rows) > limit else None
