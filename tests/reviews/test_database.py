"""The schema, how it comes about, what nobody may change, and what errors tell; on both real servers."""

import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from resources.errors import ResourceError
from resources.reviews import DatabaseUnusable, Decision, Reviews, schema
from resources.reviews.database import VERSION_TABLE, now_ms

TABLES = {"review_jobs", "review_claims", "review_decisions", "review_audit", VERSION_TABLE}
OPENS = "import sys; from resources.reviews import Reviews; Reviews(sys.argv[1]).migrate(); print('open')"


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)


def test_migrations_make_from_nothing_what_the_schema_declares(url):
    Reviews(url).migrate()
    engine = _engine(url)
    assert set(sa.inspect(engine).get_table_names()) == TABLES
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_again_changes_nothing(url, asked, rows):
    Reviews(url).open("m", asked())
    Reviews(url).migrate()
    assert rows("SELECT state FROM review_jobs") == [("open",)]


def test_processes_that_open_an_empty_database_at_once_all_succeed(url, rows):
    started = [
        subprocess.Popen([sys.executable, "-c", OPENS, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in started]
    assert [out for out, _ in told] == [b"open\n"] * 2, told
    assert rows(f"SELECT version_num FROM {VERSION_TABLE}") == [("0001",)]


def test_a_migration_that_is_cut_short_leaves_nothing(url, monkeypatch):
    from resources.reviews.migrations.versions import r0001_jobs

    with monkeypatch.context() as broken:
        # Alembic loads the file itself, so what is broken is what it calls at its end.
        broken.setattr("alembic.op.execute", lambda *_: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(ResourceError, match="cut"):
            Reviews(url).migrate()
    assert sa.inspect(_engine(url)).get_table_names() == []
    assert r0001_jobs.revision == "0001"
    Reviews(url).migrate()
    assert set(sa.inspect(_engine(url)).get_table_names()) == TABLES


def test_tables_of_other_programs_in_the_database_are_left_alone(url):
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('theirs')"))
    Reviews(url).migrate()
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "theirs"


def test_a_database_of_a_newer_version_is_refused(reviews, url, rows):
    reviews.migrate()
    rows(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(DatabaseUnusable, match=r"newer version.*9999"):
        Reviews(url).counts()


@pytest.mark.parametrize("table", ["review_audit", "review_decisions"])
def test_what_was_recorded_can_be_neither_changed_nor_deleted(reviews, asked, rows, url, table):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    reviews.decide(Decision(claim.job["job_id"], "ann", "accept", token=claim.token))
    before = rows(f"SELECT * FROM {table} ORDER BY number")
    assert before
    column = "actor" if table == "review_audit" else "reviewer"
    changes = [f"UPDATE {table} SET {column} = 'eve'", f"DELETE FROM {table}"]
    changes += [f"TRUNCATE {table}"] if url.startswith("postgresql") else [
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            rows(change)
    assert rows(f"SELECT * FROM {table} ORDER BY number") == before


def test_the_database_tells_the_time_and_goes_on_telling_it_within_a_transaction(url, reviews):
    reviews.migrate()
    with reviews._database.writing() as db:
        first = db.execute(sa.select(now_ms())).scalar_one()
        later = first
        while later == first:
            later = db.execute(sa.select(now_ms())).scalar_one()
    assert first > 1_700_000_000_000
    assert 0 < later - first < 60_000


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@127.0.0.1:1/db?password=hunter2",
        "postgres://ann:hunter2@127.0.0.1/db",
        "mysql://ann:hunter2@127.0.0.1/db",
        "ann:hunter2 at the database",
        "sqlite://",
    ],
)
def test_an_unusable_address_is_told_without_its_password(url, caplog):
    with pytest.raises(DatabaseUnusable, match="DATABASE_URL") as told:
        Reviews(url).counts()
    shown = "".join(traceback.format_exception(told.value)) + repr(Reviews(url)) + caplog.text
    assert "hunter2" not in shown.replace(f'Reviews("{url}")', "")


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "reviews.db").write_text("nothing of the kind " * 100)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        Reviews(f"sqlite:///{tmp_path / 'reviews.db'}").counts()


@contextmanager
def _gone(url: str) -> Iterator[None]:
    """The database answers nobody: PostgreSQL lets nobody in and ends whoever is, SQLite's file is held by another."""
    if url.startswith("sqlite"):
        holder = sqlite3.connect(sa.make_url(url).database, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        return
    name = sa.make_url(url).database
    admin = sa.create_engine(
        sa.make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        try:
            yield
        finally:
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


def test_a_database_that_is_gone_between_claim_and_decision_loses_neither(url, asked, config):
    hurried = config.model_copy(update={"queue": config.queue.model_copy(update={"wait_s": 0.2})})
    reviews = Reviews(url, hurried)
    reviews.open("m", asked())
    claim = reviews.next("ann")
    said = Decision(claim.job["job_id"], "ann", "accept", token=claim.token)
    with _gone(url):
        for ask in (lambda: reviews.decide(said), lambda: reviews.next("bob"), lambda: reviews.open("m", asked())):
            with pytest.raises(DatabaseUnusable, match="DATABASE_URL"):
                ask()
    assert [reviews.decide(said).new for _ in range(2)] == [True, False]
    assert reviews.decided() == 1
    assert reviews.counts() == {"closed": 1}
