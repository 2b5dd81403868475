"""The tables turns are kept in, and how an older file becomes a newer one.

SQLite from the standard library: one file, no server, and in WAL mode readers never make the
writer wait. ``PRAGMA user_version`` counts the migrations done; a library for the three lines that
takes would be one more thing to install.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from voice_agent.trace.errors import StoreError

MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        pipeline TEXT NOT NULL,
        version TEXT NOT NULL,
        started_at REAL NOT NULL,
        alive_at REAL NOT NULL -- written again and again: a run that falls silent has died
    );
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        run TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        transport TEXT NOT NULL,
        caller TEXT, -- JSON object
        started_at REAL NOT NULL,
        ended_at REAL,
        reason TEXT
    );
    CREATE INDEX sessions_by_time ON sessions (started_at);
    CREATE TABLE turns (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL,
        run TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        transport TEXT NOT NULL,
        started_at REAL NOT NULL,
        kind TEXT NOT NULL,
        verdict TEXT,
        v2v_ms REAL, -- ms waited, in all and by stage; NULL: not waited for
        endpoint_ms REAL,
        asr_final_ms REAL,
        llm_first_token_ms REAL,
        llm_first_clause_ms REAL,
        tts_first_audio_ms REAL,
        transport_ms REAL
    );
    CREATE INDEX turns_by_time ON turns (started_at);
    CREATE INDEX turns_by_latency ON turns (v2v_ms);
    CREATE INDEX turns_by_session ON turns (session);
    CREATE INDEX turns_by_run ON turns (run);
    CREATE TABLE documents ( -- apart from the columns, so that a scan of those stays small
        key INTEGER PRIMARY KEY REFERENCES turns ON DELETE CASCADE,
        document TEXT NOT NULL -- the turn as JSON
    );
    CREATE TABLE recordings (
        key INTEGER PRIMARY KEY REFERENCES turns ON DELETE CASCADE,
        wav BLOB NOT NULL
    );
    """,
)
_BUSY_S = 5.0
"""Another process that shares the file may be writing."""


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the file, made or brought up to date where needed; for one thread.

    Raises:
        StoreError: It cannot be opened or is newer than this program; says what to do.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(_cannot(path, error)) from error
    try:
        # Set before the first table: space that was freed can be given back later.
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        # A crash of this process loses nothing that was committed; a power cut may lose seconds.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        _migrate(database, path)
    except sqlite3.Error as error:
        database.close()
        raise StoreError(_cannot(path, error)) from error
    except StoreError:
        database.close()
        raise
    return database


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open the file to read from any one thread.

    Raises:
        StoreError: It is not there or cannot be read; says what to do.
    """
    if not path.is_file():
        raise StoreError(f"there are no traces at {path}: nothing has been traced there yet")
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        (version,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(_cannot(path, error)) from error
    if version != len(MIGRATIONS):
        database.close()
        raise StoreError(_version(path, version))
    return database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    # Several processes may start at once: the first to lock the file does it.
    database.execute("BEGIN IMMEDIATE")
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(_version(path, version))
        for migration in MIGRATIONS[version:]:
            for statement in _statements(migration):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Split a script; ``executescript`` would end the transaction first."""
    statements, lines = [], ""
    for line in script.splitlines(keepends=True):
        lines += line
        if sqlite3.complete_statement(lines):
            statements.append(lines)
            lines = ""
    return statements


def _version(path: Path, version: int) -> str:
    if version > len(MIGRATIONS):
        return (
            f"{path} was written by a newer voice-agent (version {version}, known are up to "
            f"{len(MIGRATIONS)}): update, or set trace.path to another file"
        )
    return (
        f"{path} was written by an older voice-agent; it is brought up to date when a server "
        "that uses it starts"
    )


def _cannot(path: Path, error: Exception) -> str:
    return (
        f"the traces at {path} cannot be used: {error}; set trace.path to a file that can be "
        "written, or trace.enabled=false"
    )
