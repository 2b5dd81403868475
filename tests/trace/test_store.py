"""Turns on disk: written in batches, kept through crashes, deleted in time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trace.made import BEGAN, a_session, a_turn, many
from voice_agent.trace.errors import NotTraced, StoreError
from voice_agent.trace.model import Run, Verdict
from voice_agent.trace.store import schema
from voice_agent.trace.store import writer as store
from voice_agent.trace.store.queries import Filter, Traces
from voice_agent.trace.store.retention import CHUNK, Retention
from voice_agent.trace.store.schema import open_to_write
from voice_agent.trace.store.writer import Recording, Store

RUN = Run("r1", "fixed-latency", "0.1.0", BEGAN)
FOR_EVER = Retention(1e6, 1e6)


@contextmanager
def writing(path: Path, retention: Retention = FOR_EVER, run: Run = RUN) -> Iterator[Store]:
    """A store that has written everything when the block is left."""
    writer = Store(path, run, retention)
    writer.open()
    try:
        yield writer
    finally:
        writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "traces.db"


def test_what_was_put_is_read_back_whole(path: Path) -> None:
    """Every field of a turn and of its session."""
    turn = a_turn().judged(Verdict("missed", "endpoint", {"endpoint": 100.0}, 30.0))
    caller = {"call": "CA1"}
    with writing(path) as writer:
        writer.session(a_session(transport="twilio", caller=caller))
        writer.turn(turn)
    assert Traces(path).turn(turn.id) == turn.to_dict()
    [session] = Traces(path).sessions(Filter()).rows
    assert session["caller"] == caller
    assert (session["turns"], session["missed"], session["p50_ms"]) == (1, 1, 250.0)
    assert Traces(path).runs()[0]["turns"] == 1


def test_a_turn_that_goes_on_replaces_what_was_written_of_it(path: Path) -> None:
    """Open, heard, answered: one turn."""
    with writing(path) as writer:
        writer.turn(a_turn(kind="open", v2v_ms=None, segments=()))
        writer.turn(a_turn(kind="open"))
    with writing(path, run=replace(RUN, id="r2")) as writer:
        writer.turn(a_turn(kind="answered"))
    assert [turn["kind"] for turn in Traces(path).turns(Filter()).rows] == ["answered"]


def test_what_does_not_fit_is_dropped_and_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs costs traces, never a call or all the memory."""
    monkeypatch.setattr(store, "QUEUE_MAX", 3)
    hanging, hang = threading.Event(), threading.Event()
    write = store._write_item

    def hang_first(database: sqlite3.Connection, item: Any) -> None:
        hanging.set()
        hang.wait(10)
        write(database, item)

    monkeypatch.setattr(store, "_write_item", hang_first)
    with writing(path) as writer:
        writer.turn(a_turn(1))
        assert hanging.wait(10)
        for number in range(2, 8):
            writer.turn(a_turn(number))
        assert writer.dropped == 3
        hang.set()
    assert len(Traces(path).turns(Filter()).rows) == 4


def test_a_disk_that_refuses_is_said_and_survived(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is counted; what comes later is written."""
    write, refused = store._write_item, threading.Event()

    def refuse_first(database: sqlite3.Connection, item: Any) -> None:
        if not refused.is_set():
            refused.set()
            raise sqlite3.OperationalError("database or disk is full")
        write(database, item)

    monkeypatch.setattr(store, "_write_item", refuse_first)
    with writing(path) as writer:
        writer.turn(a_turn(1))
        assert refused.wait(10)
        writer.turn(a_turn(2))
    assert writer.dropped == 1
    assert [turn["turn"] for turn in Traces(path).turns(Filter()).rows] == [2]


def test_turns_are_deleted_by_age(path: Path) -> None:
    """With their recordings and sessions; the younger stay."""
    day = 86_400.0
    with writing(path) as writer:
        for number in (1, 2, 3):
            began = BEGAN + number * day
            writer.session(a_session(f"s{number}", started_at=began, ended_at=began + 60))
            writer.turn(a_turn(1, session=f"s{number}", started_at=began))
            writer.recording(Recording(f"s{number}-1", lambda: b"wav"))
    retention = Retention(1.5, 1e6, clock=lambda: BEGAN + 4 * day)
    with writing(path, retention, replace(RUN, id="r2")):
        pass
    kept = Traces(path)
    assert [turn["id"] for turn in kept.turns(Filter()).rows] == ["s3-1"]
    assert [session["id"] for session in kept.sessions(Filter()).rows] == ["s3"]
    with pytest.raises(NotTraced):
        kept.recording("s1-1")
    assert kept.recording("s3-1") == b"wav"


def test_the_oldest_turns_go_when_the_file_grows_too_large(path: Path) -> None:
    """And the file becomes smaller again."""
    with writing(path) as writer:
        for turn in many(4 * CHUNK):
            writer.turn(turn)
    full = path.stat().st_size
    with writing(path, Retention(1e6, full / 2 / 2**20), replace(RUN, id="r2")):
        pass
    left = Traces(path).turns(Filter(), limit=1000)
    assert left.total is not None
    assert CHUNK <= left.total < 3 * CHUNK
    assert left.rows[0]["started_at"] == BEGAN + (4 * CHUNK - 1) * 26.0
    assert path.stat().st_size <= 0.6 * full


def test_what_a_killed_process_left_open_is_closed_by_another(path: Path) -> None:
    """Its session is lost, its open turn failed; a process that lives is left alone."""
    killed = Store(path, RUN, FOR_EVER)
    killed._begin()  # no thread: nothing says any more that it lives
    assert killed._database is not None
    with killed._database as database:
        for item in (a_session("s1"), a_turn(1, kind="open"), a_turn(2, kind="answered")):
            store._write_item(database, item)
        (alive_at,) = database.execute("SELECT alive_at FROM runs").fetchone()
    for later_s, kinds in ((10, ["answered", "open"]), (1000, ["answered", "failed"])):
        retention = Retention(1e6, 1e6, clock=lambda later_s=later_s: alive_at + later_s)  # type: ignore[misc]
        with writing(path, retention, Run(f"r{later_s}", "p", "0", BEGAN)):
            pass
        assert [turn["kind"] for turn in Traces(path).turns(Filter()).rows] == kinds
    [session] = Traces(path).sessions(Filter()).rows
    assert (session["reason"], session["ended_at"]) == ("lost", alive_at)
    assert Traces(path).turn("s1-1")["kind"] == "failed"
    killed._database.close()


def test_two_processes_may_share_a_file(path: Path) -> None:
    """Each writes its own turns; either reads all."""
    with writing(path) as one, writing(path, run=replace(RUN, id="r2")) as other:
        for number in range(50):
            one.turn(a_turn(number, session="a"))
            other.turn(a_turn(number, session="b", run="r2"))
    assert Traces(path).turns(Filter()).total == 100
    assert {run["id"]: run["turns"] for run in Traces(path).runs()} == {"r1": 50, "r2": 50}
    assert (one.dropped, other.dropped) == (0, 0)


def test_an_older_file_is_brought_up_to_date_and_keeps_its_turns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration runs once, in order; a reader says why it cannot read before that."""
    with writing(path) as writer:
        writer.turn(a_turn())
    later = (*schema.MIGRATIONS, "ALTER TABLE turns ADD COLUMN x;", "UPDATE turns SET x = 7;")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with pytest.raises(StoreError, match="older voice-agent"):
        Traces(path).turns(Filter())
    for _ in range(2):
        with open_to_write(path) as database:
            assert database.execute("SELECT x FROM turns").fetchall() == [(7,)]
            assert database.execute("PRAGMA user_version").fetchone() == (3,)
        database.close()
    assert Traces(path).turn("s1-1")["kind"] == "answered"


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a migration would be a file that no version can read."""
    with writing(path) as writer:
        writer.turn(a_turn())
    broken = "ALTER TABLE turns ADD COLUMN x;\nALTER TABLE nowhere ADD COLUMN y;"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(StoreError, match="nowhere"):
            open_to_write(path)
    assert Traces(path).turn("s1-1")["kind"] == "answered"


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    """The message says what to do."""
    with writing(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer voice-agent"):
        open_to_write(path)
    with pytest.raises(StoreError, match="newer voice-agent"):
        Traces(path).turns(Filter())


@pytest.mark.parametrize("content", [b"this is no database, not at all.", None])
def test_a_file_that_cannot_be_used_is_said_with_what_to_do(
    path: Path, content: bytes | None
) -> None:
    """Not a database, or a folder."""
    path.parent.mkdir(parents=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content * 100)
    with pytest.raises(StoreError, match=r"trace\.path"):
        Store(path, RUN, FOR_EVER).open()


def test_reading_where_nothing_was_traced_says_so(path: Path) -> None:
    """And makes no file."""
    with pytest.raises(StoreError, match="no traces"):
        Traces(path).turns(Filter())
    assert not path.exists()
