"""The connection to the review database: one way to begin a transaction on SQLite and on PostgreSQL.

Belongs here: engine, transactions, the database's clock, migration to the newest schema, errors without secrets.
Does not belong here: what is written (`jobs`).

PostgreSQL is reached by psycopg2, which Dagster's and MLflow's storages speak too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.functions import FunctionElement

from resources.reviews.errors import DatabaseUnusable

VERSION_TABLE = "review_schema_version"  # Dagster and MLflow keep theirs in `alembic_version`
_SCRIPTS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = int.from_bytes(b"gmreview")  # any number that no other program locks


class now_ms(FunctionElement[int]):
    """Milliseconds since 1970 by the database's clock, when the statement runs and not when its transaction began."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"  # 2440587.5 is 1970


@compiles(now_ms, "postgresql")
def _now_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


class Database:
    """A database whose schema is the newest by the time anybody sees it.

    Args:
        url: `sqlite:///file` or `postgresql://…`.
        wait_s: how long to wait for another writer of SQLite, or for a connection to PostgreSQL.
    """

    def __init__(self, url: str, wait_s: float) -> None:
        self._url, self._wait_s = url, wait_s  # parsed when it is used: a location with a bad one still loads
        self._opening = Lock()  # sensors are evaluated in threads

    def __str__(self) -> str:
        """The address without user, password and options."""
        url = _parsed(self._url)
        return sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()

    @property
    def is_unwritten(self) -> bool:
        """Whether it is an SQLite file that nobody has written yet."""
        url = _parsed(self._url)
        return url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and changes nothing.

        Raises:
            DatabaseUnusable: if the database does not answer.
        """
        with self._told(), self._opened.execution_options(begins="BEGIN").connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end of the block, or leaves nothing.

        On SQLite it is the only one that writes, from its beginning; on PostgreSQL it locks the rows it asks to.

        Raises:
            DatabaseUnusable: if the database does not answer.
        """
        with self._told(), self._opened.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Brings the schema to the newest version, whole or not at all; several processes may do so at once.

        Raises:
            DatabaseUnusable: if the database does not answer, or has a version that is newer than this program.
        """
        with self._told():
            _ = self._opened

    @cached_property
    def _opened(self) -> sa.Engine:
        with self._opening:
            if "_opened" in self.__dict__:  # another thread was faster
                return self.__dict__["_opened"]  # type: ignore[no-any-return]
            engine = self._engine()
            _migrate(engine)
            self.__dict__["_opened"] = engine
            return engine

    def _engine(self) -> sa.Engine:
        url = _parsed(self._url)
        if url.get_backend_name() == "postgresql":
            arguments = {"connect_timeout": max(1, round(self._wait_s)), "application_name": "gridmotion reviews"}
            return sa.create_engine(
                url,
                hide_parameters=True,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",  # what is read after a lock was waited for is what stands then
                connect_args=arguments,
            )
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args={"timeout": self._wait_s})
        sa.event.listen(engine, "connect", _connected)
        sa.event.listen(engine, "begin", _begun)
        return engine

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:  # what was written contradicts what stands: no fault of the database
            raise
        except (sa.exc.DatabaseError, ImportError, OSError) as error:
            reason = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            text = (str(reason).strip() or type(error).__name__).splitlines()[0]
            if secret := _parsed(self._url).password:
                text = text.replace(secret, "***")
            # A traceback of the cause could show what the text hides.
            raise DatabaseUnusable(f"review database {self}: {text}; check DATABASE_URL") from None


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:  # its own words quote what was given
        raise DatabaseUnusable("DATABASE_URL is no database address") from None
    known = parsed.drivername in ("sqlite", "postgresql", "postgresql+psycopg2")
    if not known or (parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:")):
        raise DatabaseUnusable("DATABASE_URL is sqlite:///<file> or postgresql://<host>/<database>")
    return parsed


def _connected(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # pysqlite would begin transactions of its own, and too late
    connection.execute("PRAGMA foreign_keys = ON")


def _begun(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begins", "BEGIN IMMEDIATE"))


def _migrate(engine: sa.Engine) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    scripts = ScriptDirectory(str(_SCRIPTS))
    options: dict[str, Any] = {"version_table": VERSION_TABLE}
    with engine.execution_options(begins="BEGIN").connect() as connection:
        if MigrationContext.configure(connection, opts=options).get_current_revision() == scripts.get_current_head():
            return

    def steps(revision: Any, context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        with EnvironmentContext(Config(), scripts, fn=steps) as environment:
            environment.configure(connection=connection, transactional_ddl=True, **options)
            try:
                environment.run_migrations()
            except CommandError as error:
                raise DatabaseUnusable(f"the review database was made by a newer version: {error}") from error
