"""Dagster's event log in SQLite, written by the page.

Belongs here: how events reach the disk. Does not belong here: which events there are (`assets/analysis.py`), and other
databases than SQLite, which need none of this. `dagster.yaml` names the instance; the files are those of Dagster's own.

Dagster's class makes an engine, opens a connection, looks whether its tables exist and commits, all of it several times
per event: the statement is compiled anew each time, every commit waits for the disk, and SQLite folds its write-ahead
log back into the database whenever the last connection closes. A run over 200 matches has 1,400 events before it starts
and 3,200 while it lasts.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import dagster as dg
import yaml
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.legacy_storage import CompositeStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, StaticPool, create_engine

_BATCH_VARIABLE, _BATCH = "DAGSTER_EVENT_BATCH_SIZE", "10000"
"""Dagster hands over what belongs together only if it is told how much that may be.

It asks its environment, at each event, and knows no other place for it; whatever opens the instance tells of events, so
the log itself sets it.
"""

Page = Callable[[], AbstractContextManager[None]]
"""Events told within it are written together; nothing that takes long may happen in between, as others wait.

A generator must not yield within it: whoever asked it might never ask again, and the page would stay open.
"""


class _Mine(threading.local):
    """What a thread has open.

    Attributes:
        connections: by database; None where each is closed after use.
        in_page: whether a page is being written.
        spoilt: what failed in a page within it, whose events it has in part; None if nothing did.
    """

    connections: dict[str, Connection] | None = None
    in_page: bool = False
    spoilt: BaseException | None = None


class PagedEventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with pages."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens or makes the log below a folder."""
        self._mine = _Mine()
        super().__init__(base_dir, inst_data)
        self.has_table = cache(super().has_table)  # type: ignore[method-assign]
        os.environ.setdefault(_BATCH_VARIABLE, _BATCH)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PagedEventLog":
        """The log in the folder that the configuration names."""
        return cls(config_value["base_dir"], inst_data)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keeps one connection to each database, for this thread and as long as the context lasts."""
        if self._mine.connections is not None:
            yield
            return
        kept: dict[str, Connection] = {}
        self._mine.connections = kept
        try:
            yield
        finally:
            self._mine.connections = None
            for connection in kept.values():
                connection.close()
                connection.engine.dispose()

    @contextmanager
    def page(self) -> Iterator[None]:
        """What this thread tells is committed at the end, or none of it if anything but the end ends the context.

        That is also an interrupt, and an error in a page within this one, whoever caught it. The run's own database is
        committed before the one that all runs share, as there is no commit of both. If the second one fails, the run's
        page lists events that nothing else knows: the next run tells them again, and if Dagster tells them again one by
        one, as it does with what a run plans, that page lists them twice.
        """
        mine = self._mine
        if mine.in_page:
            try:
                yield
            except BaseException as error:
                mine.spoilt = error
                raise
            return
        # Held throughout: who holds it waits for the databases, which are this page's.
        with self.kept_open(), self._db_lock:
            mine.in_page, mine.spoilt = True, None
            try:
                yield
                if mine.spoilt:
                    raise mine.spoilt
                self._each(Connection.commit)
            except BaseException:
                self._each(Connection.rollback)
                raise
            finally:
                mine.in_page, mine.spoilt = False, None

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Writes events on one page."""
        with self.page():
            super().store_event_batch(events)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        kept = self._mine.connections
        if kept is None:
            with super()._connect(shard) as connection:
                yield connection
        elif self._mine.in_page:
            connection = self._connection(shard, kept)
            if not connection.in_transaction():  # else Dagster would begin one, and end it
                connection.begin()
            yield connection
        else:
            with self._db_lock:
                connection = self._connection(shard, kept)
                with connection.begin():
                    yield connection

    def _each(self, end: Callable[[Connection], None]) -> None:
        """Ends what is open, the database that all runs share last."""
        kept = self._mine.connections or {}
        for shard in sorted(kept, key=INDEX_SHARD_NAME.__eq__):
            end(kept[shard])

    def _connection(self, shard: str, kept: dict[str, Connection]) -> Connection:
        if shard not in kept:
            options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
            engine = create_engine(self.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=options)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            kept[shard] = engine.connect()
        return kept[shard]


class Instance(dg.DagsterInstance):
    """Dagster's instance, whose event log has pages unless `dagster.yaml` names another storage.

    Dagster tells an instance's class, and nobody else, in which folder the instance lies: DAGSTER_HOME, or a temporary
    one where that is not set.
    """

    @staticmethod
    def config_schema() -> Mapping[str, dg.Field]:
        """Nothing to choose."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Dagster's own defaults but for the event log."""
        defaults = dict(InstanceRef.config_defaults(base_dir))
        own = {name: defaults[name] for name in ("run_storage", "event_log_storage", "schedule_storage")}
        parts = {
            name: {"module_name": data.module_name, "class_name": data.class_name, "config_yaml": data.config_yaml}
            for name, data in own.items()
            if data is not None
        }
        parts["event_log_storage"] |= {"module_name": __name__, "class_name": PagedEventLog.__name__}
        return defaults | {
            "event_log_storage": ConfigurableClassData(**parts["event_log_storage"]),
            "storage": ConfigurableClassData(
                CompositeStorage.__module__, CompositeStorage.__name__, yaml.safe_dump(parts)
            ),
        }


@contextmanager
def many_events(instance: dg.DagsterInstance) -> Iterator[Page]:
    """How a run that tells of thousands of events writes them: by the page where the log has pages, else one by one."""
    log = instance.event_log_storage
    if isinstance(log, PagedEventLog):
        with log.kept_open():
            yield log.page
    else:
        yield nullcontext
