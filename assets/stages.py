"""What every stage has in common: its recipe, its part in the store, its schema check, its metadata.

Belongs here: the glue that would otherwise stand in each asset. Does not belong here: what any one stage computes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from assets.partitions import matches, one_match_per_run
from configs import Config, config_hash
from pipeline.tables import TABLES, SchemaViolation, conform
from pipeline.versions import code_version, input_hash
from resources.store import Part, PartDamaged, PartMissing, Stamp, Store

SCHEMA_CHECK = "schema"


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


def schema_spec(table: str) -> dg.AssetCheckSpec:
    """The blocking check that a written part is what its table declares."""
    return dg.AssetCheckSpec(
        SCHEMA_CHECK, asset=table, blocking=True, description="the stored part satisfies the table's declaration"
    )


def match_stage(
    recipe: Recipe, *, group: str, deps: Sequence[str | dg.AssetKey], kinds: set[str], pool: str | None = None
) -> Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]:
    """Decorator of an asset that is one table of one match: partition, backfill policy, code version, schema check.

    Args:
        recipe: what decides its content.
        group: the asset's group.
        deps: the assets it reads.
        kinds: what it is made with.
        pool: of runs that may not all run at once.
    """

    def decorate(function: Callable[..., dg.MaterializeResult]) -> dg.AssetsDefinition:
        decorator = dg.asset(
            group_name=group,
            partitions_def=matches,
            backfill_policy=one_match_per_run,
            deps=deps,
            kinds=kinds,
            pool=pool,
            code_version=recipe.code_version,
            check_specs=[schema_spec(function.__name__)],
        )
        return decorator(function)

    return decorate


def schema_result(store: Store, table: str, *keys: str) -> dg.AssetCheckResult:
    """Reads parts back and holds them against their table's declaration."""
    try:
        rows = sum(conform(table, store.read_table(table, key)).height for key in keys)
    except (SchemaViolation, PartDamaged, PartMissing) as error:
        return dg.AssetCheckResult(
            check_name=SCHEMA_CHECK, asset_key=table, passed=False, metadata={"reason": str(error)}
        )
    return dg.AssetCheckResult(
        check_name=SCHEMA_CHECK,
        asset_key=table,
        passed=True,
        metadata={"rows": rows, "columns": len(TABLES[table].column_names())},
    )


def result(
    store: Store,
    table: str,
    key: str,
    part: Part,
    metadata: Mapping[str, Any] | None = None,
    checks: list[dg.AssetCheckResult] | None = None,
) -> dg.MaterializeResult:
    """What an asset returns for a part: where it lies, what made it, what an analyst wants to see, its checks."""
    return dg.MaterializeResult(
        asset_key=table,
        data_version=dg.DataVersion(part.digest[:16]),
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
        check_results=[schema_result(store, table, key), *(checks or [])],
    )


def ensure(
    context: dg.AssetExecutionContext,
    store: Store,
    table: str,
    key: str,
    stamp: Stamp,
    compute: Callable[[], pl.DataFrame],
) -> Part:
    """The part with this stamp, computed only if the one in the store was made otherwise; says which."""
    part = store.ensure(table, key, stamp, compute)
    context.log.info(
        f"{table} of {key}: {'reused' if part.reused else 'wrote'} {part.rows} rows, {part.size_bytes} bytes"
    )
    return part
