"""The tables of a project file, their version, and the steps from older versions.

One row of ``nuclei`` holds a page of up to 1,024 nuclei as a blob, see
`napari_nucbudget.project.table`; everything else has one row a thing.
``edits`` and ``changes`` are append-only, which triggers enforce.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from napari_nucbudget.errors import ProjectError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "VERSION", "create", "migrate", "stored_version"]

APPLICATION_ID = 0x4E554342
"""``NUCB``: tells a project from other SQLite files."""

VERSION = 2

_CHECKS = """
CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    detector TEXT NOT NULL,
    detector_sha256 TEXT,
    classifier TEXT NOT NULL,  -- '': none
    classifier_sha256 TEXT,
    figures TEXT NOT NULL  -- JSON
)"""


def _add_checks(connection: sqlite3.Connection) -> None:
    connection.execute(_CHECKS)


MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _add_checks}
"""From a version to the next one; runs in the transaction that sets the new version."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE annotators (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE origins (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE classes (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    color TEXT NOT NULL,
    shortcut TEXT NOT NULL,
    position INTEGER  -- NULL: removed from the scheme
);
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    path TEXT,      -- relative to the project where possible; NULL: an image without a file
    absolute TEXT,  -- where it was when it was added or relinked
    header_sha256 TEXT,
    bytes INTEGER,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    mpp REAL,
    patient TEXT NOT NULL,
    tissue TEXT NOT NULL,
    split TEXT NOT NULL
);
CREATE TABLE nuclei (
    image INTEGER NOT NULL REFERENCES images(id),
    page INTEGER NOT NULL,
    count INTEGER NOT NULL,
    data BLOB NOT NULL,
    classes INTEGER NOT NULL,  -- columns of prob
    prob BLOB,
    crc INTEGER NOT NULL,
    PRIMARY KEY (image, page)
);
CREATE TABLE fields (
    id INTEGER PRIMARY KEY,
    image INTEGER NOT NULL REFERENCES images(id),
    y INTEGER NOT NULL,
    x INTEGER NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    annotator INTEGER NOT NULL REFERENCES annotators(key),
    time REAL NOT NULL,
    alive INTEGER NOT NULL
);
CREATE TABLE edits (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,  -- edits with the same step are undone together
    kind TEXT NOT NULL CHECK (kind IN ('edit', 'undo', 'redo')),
    target INTEGER,         -- the step that an undo or redo is of
    label TEXT NOT NULL,
    annotator INTEGER NOT NULL REFERENCES annotators(key),
    time REAL NOT NULL
);
CREATE INDEX edits_by_step ON edits (step);
CREATE TABLE changes (
    edit INTEGER NOT NULL REFERENCES edits(id),
    part INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('nuclei', 'field', 'classes')),
    image INTEGER,
    payload BLOB NOT NULL,
    PRIMARY KEY (edit, part)
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    annotator INTEGER NOT NULL REFERENCES annotators(key),
    started REAL NOT NULL,
    ended REAL
);
CREATE TABLE time_spent (
    id INTEGER PRIMARY KEY,
    annotator INTEGER NOT NULL REFERENCES annotators(key),
    image INTEGER REFERENCES images(id),
    seconds REAL NOT NULL,
    time REAL NOT NULL
);
CREATE TABLE models_used (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    task TEXT NOT NULL,
    path TEXT,
    weights_sha256 TEXT,
    time REAL NOT NULL,
    UNIQUE (name, task, path, weights_sha256)
);
CREATE TABLE training_runs (
    id INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    ended REAL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
    folder TEXT NOT NULL,
    config TEXT NOT NULL,  -- JSON
    result TEXT NOT NULL   -- JSON
);
CREATE TRIGGER edits_stay BEFORE UPDATE ON edits BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER edits_last BEFORE DELETE ON edits BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER changes_stay BEFORE UPDATE ON changes
    BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER changes_last BEFORE DELETE ON changes
    BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of a new project, in the open transaction."""
    for statement in (*_statements(_TABLES), _CHECKS):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('writes', '0')")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def stored_version(connection: sqlite3.Connection, path: Path) -> int:
    """Schema version of a project; 0 for a database without any table.

    Raises
    ------
    ProjectError
        Where it is the database of another program, or of a newer version of this one.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        return 0
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise ProjectError(
            f"{path} is a database of another program, not a nucbudget project. "
            "Choose a .nucbudget file, or another name for a new project."
        )
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise ProjectError(
            f"{path} was written by a newer napari-nucbudget (project version {version}, this one "
            f"reads up to {VERSION}). Update napari-nucbudget to open it; it was not changed."
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` to `VERSION`, one committed step after the other."""
    while version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[version](connection)
            version += 1
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> list[str]:
    """The statements of a script; those of a trigger hold semicolons themselves."""
    statements, current = [], ""
    for part in script.split(";"):
        current += part + ";"
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
