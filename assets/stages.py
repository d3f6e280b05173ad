"""What every stage has in common: its recipe, its part in the store, its schema check, its metadata.

Belongs here: the glue that would otherwise stand in each stage. Does not belong here: what any one stage computes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from configs import Config, config_hash
from pipeline.tables import TABLES, SchemaViolation, conform
from pipeline.versions import code_version, input_hash
from resources.parquet import Stamp
from resources.store import Part, PartDamaged, PartMissing, Rows, Store

SCHEMA_CHECK = "schema"

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """The source and the configuration that decide what a stage computes.

    Attributes:
        rooms: folders or modules of `pipeline` whose source counts.
        configs: configuration objects whose values count.
    """

    rooms: tuple[str, ...]
    configs: tuple[Config, ...]

    @property
    def code_version(self) -> str:
        """Name of the source, which is also Dagster's code version of the asset."""
        return code_version("tables.py", *self.rooms)

    def stamp(self, *input_digests: str, model_version: str = "") -> Stamp:
        """What a part made by this recipe from these inputs carries."""
        return Stamp(self.code_version, config_hash(*self.configs), input_hash(*input_digests), model_version)


class MatchTables:
    """The tables of one match while its stages run: each is read at most once, however many stages look at it.

    Args:
        store: holds them.
        match_id: the match.
        warn: told what somebody should know of this match.
    """

    def __init__(self, store: Store, match_id: str, warn: Warn) -> None:
        self.store = store
        self.match_id = match_id
        self.warn = warn
        self._parts: dict[str, Part] = {}
        self._frames: dict[str, pl.DataFrame] = {}

    def part(self, table: str) -> Part:
        """What is stored of a table.

        Raises:
            PartMissing: if its stage has not run.
            PartDamaged: if it cannot be read.
        """
        if table not in self._parts:
            self._parts[table] = self.store.part(table, self.match_id)
        return self._parts[table]

    def read(self, table: str) -> pl.DataFrame:
        """The rows of a table.

        Raises:
            PartMissing: if its stage has not run.
            PartDamaged: if it cannot be read.
        """
        if table not in self._frames:
            self._frames[table] = self.store.read_table(table, self.match_id)
        return self._frames[table]

    def ensure(self, table: str, stamp: Stamp, compute: Callable[[], Rows]) -> Part:
        """The part with this stamp, computed only if the one in the store was made otherwise."""

        def computed() -> Rows:
            rows = compute()
            if isinstance(rows, pl.DataFrame):
                self._frames[table] = rows
            return rows

        self._parts[table] = part = self.store.ensure(table, self.match_id, stamp, computed)
        return part

    def write(self, table: str, frame: pl.DataFrame, stamp: Stamp) -> None:
        """Write a part whatever stands there."""
        self._frames[table] = frame
        self._parts[table] = self.store.write_table(table, self.match_id, frame, stamp)

    def made(
        self,
        table: str,
        report: Callable[[], Mapping[str, Any]] = dict,
        checks: Callable[[], list[dg.AssetCheckResult]] = list,
    ) -> "Made":
        """What a stage yields for a table once its part stands.

        Args:
            table: the table.
            report: what an analyst wants to see of it; called only if somebody is told.
            checks: what else was looked at, besides its schema; likewise.
        """
        return Made(self, table, report, checks)


@dataclass(frozen=True)
class Made:
    """A table whose part stands, and how to tell of it.

    Attributes:
        tables: the match's.
        table: which of them.
        report: its metadata for analysts.
        checks: its checks besides the schema.
    """

    tables: MatchTables
    table: str
    report: Callable[[], Mapping[str, Any]]
    checks: Callable[[], list[dg.AssetCheckResult]]

    @property
    def part(self) -> Part:
        """What stands in the store."""
        return self.tables.part(self.table)

    def result(self) -> dg.MaterializeResult:
        """For Dagster: see `result`. A part that was reused is read back for its schema check."""
        read, part = partial(self.tables.read, self.table), self.part
        schema = _read_back(self.table, read) if part.reused else _held(self.table, part.rows)
        # No report of a part that may not be what its table declares.
        return _result(self.table, part, schema, self.report() if schema.passed else {}, self.checks())


def data_version(part: Part) -> str:
    """Dagster's name for what a part holds."""
    return part.digest[:16]


def schema_spec(table: str, partitions_def: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
    """The blocking check that a written part is what its table declares.

    Args:
        table: the table.
        partitions_def: what it is judged by, so that one match that passes doesn't hide another that failed.
    """
    return dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=table,
        blocking=True,
        description="the stored part satisfies the table's declaration",
        partitions_def=partitions_def,
    )


def schema_result(store: Store, table: str, *keys: str) -> dg.AssetCheckResult:
    """Reads parts back and holds them against their table's declaration."""
    return _read_back(table, *(partial(store.read_table, table, key) for key in keys))


def result(
    store: Store,
    table: str,
    key: str,
    part: Part,
    metadata: Mapping[str, Any] | None = None,
    checks: list[dg.AssetCheckResult] | None = None,
) -> dg.MaterializeResult:
    """What an asset returns for a part: where it lies, what made it, what an analyst wants to see, its checks.

    The schema check of a part that was reused reads it back. One that was just written passed it on the way in.
    """
    schema = schema_result(store, table, key) if part.reused else _held(table, part.rows)
    return _result(table, part, schema, metadata, checks)


def ensure(
    context: dg.AssetExecutionContext,
    store: Store,
    table: str,
    key: str,
    stamp: Stamp,
    compute: Callable[[], Rows],
) -> Part:
    """The part with this stamp, computed only if the one in the store was made otherwise; says which."""
    part = store.ensure(table, key, stamp, compute)
    context.log.info(
        f"{table} of {key}: {'reused' if part.reused else 'wrote'} {part.rows} rows, {part.size_bytes} bytes"
    )
    return part


def _result(
    table: str,
    part: Part,
    schema: dg.AssetCheckResult,
    metadata: Mapping[str, Any] | None,
    checks: list[dg.AssetCheckResult] | None,
) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        asset_key=table,
        data_version=dg.DataVersion(data_version(part)),
        metadata={
            "dagster/row_count": part.rows,
            "dagster/uri": part.uri,
            "size_kB": round(part.size_bytes / 1000, 1),
            "reused": part.reused,
            "code_version": part.stamp.code_version,
            "config_hash": part.stamp.config_hash,
            "input_hash": part.stamp.input_hash,
            **({"model_version": part.stamp.model_version} if part.stamp.model_version else {}),
            **(metadata or {}),
        },
        check_results=[schema, *(checks or [])],
    )


def _read_back(table: str, *reads: Callable[[], pl.DataFrame]) -> dg.AssetCheckResult:
    """Whether what is stored satisfies its table's declaration."""
    try:
        return _held(table, sum(conform(table, read()).height for read in reads))
    except (SchemaViolation, PartDamaged, PartMissing) as error:
        return dg.AssetCheckResult(
            check_name=SCHEMA_CHECK, asset_key=table, passed=False, metadata={"reason": str(error)}
        )


def _held(table: str, rows: int) -> dg.AssetCheckResult:
    """The check of a part that was just written: the store writes nothing that breaks its table's declaration."""
    return dg.AssetCheckResult(
        check_name=SCHEMA_CHECK,
        asset_key=table,
        passed=True,
        metadata={"rows": rows, "columns": len(TABLES[table].column_names())},
    )
