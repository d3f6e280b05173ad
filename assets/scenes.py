"""Stories in 2D as films, and the training set that is made of stories and matches.

Belongs here: which films and shards there are, their checks, what an analyst sees of them. Does not belong here: how a
story is told, drawn, cut or judged (`pipeline.scenes`).
Concept: https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import dagster as dg
import polars as pl
from pydantic import Field

from assets import reports
from assets.stages import SCHEMA_CHECK, Recipe
from configs.scenes import load_scenes
from pipeline.scenes.dataset import plan, story_shard
from pipeline.scenes.matches import match_samples, source_of
from pipeline.scenes.story import tell, themes
from pipeline.scenes.validation import CHECKS, Finding, findings, object_sizes
from pipeline.tables import SchemaViolation, conform
from pipeline.trajectories.spread import READ, abridged
from resources.settings import Settings
from resources.store import Store
from resources.workers import Workers, cores

GROUP = "scenes"
RECIPE = Recipe(("scenes", "trajectories/samples.py", "events/model.py", "errors.py"), (load_scenes(),))
SIZES_CHECK = "object_sizes"
STORIES, MATCH = "stories-", "match-"
_LONGEST_KEY = 100  # of a part in the store
TABLE = "trajectories"
SHEET = 4  # pictures of a story that the UI shows


class FilmsConfig(dg.Config):
    """Which stories become films.

    Attributes:
        seed: they are drawn from.
        themes: all if none is named.
    """

    seed: int = Field(default=1, ge=0)
    themes: list[str] = Field(default_factory=list)


class TrajectoriesConfig(dg.Config):
    """The training set.

    Attributes:
        samples: of stories; those of matches come on top.
        seed: stories are drawn from.
        processes: how many at once; 0 for one per core.
    """

    samples: int = Field(default=10_000, ge=1)
    seed: int = Field(default=1, ge=0)
    processes: int = Field(default=0, ge=0)


@dg.asset(
    group_name=GROUP,
    kinds={"numpy", "ffmpeg"},
    code_version=RECIPE.code_version,
    check_specs=[
        dg.AssetCheckSpec(SIZES_CHECK, asset="scenes", blocking=True, description="things are as large as their kind")
    ],
)
def scenes(
    context: dg.AssetExecutionContext, config: FilmsConfig, store: dg.ResourceParam[Store]
) -> dg.MaterializeResult:
    """Stories drawn from a seed, one per theme, as animated pictures whose actors move at true speed."""
    from pipeline.scenes.render import contact_sheet, film

    told: reports.Metadata = {}
    judged: list[Finding] = []
    for theme in config.themes or sorted(themes()):
        scene = tell(theme, config.seed)
        judged.append(object_sizes(scene))
        name = f"scenes/{theme}-{config.seed}"
        store.write(f"{name}.json", scene.model_dump_json().encode())
        uri = store.write(f"{name}.webp", film(scene, "webp"))
        sheet = contact_sheet(scene, count=SHEET, columns=2, cell=360)
        told[theme] = reports.picture(sheet, scene.prompt, "image/jpeg")
        context.log.info(f"{scene.prompt} {uri}")
    worst = max(judged, key=lambda finding: finding.value)
    check = dg.AssetCheckResult(
        check_name=SIZES_CHECK,
        asset_key="scenes",
        passed=worst.passed,
        metadata={"worst": worst.where, "m": worst.value},
    )
    return dg.MaterializeResult(metadata=told, check_results=[check])


@dataclass(frozen=True)
class Shard:
    """A shard to be made.

    Attributes:
        key: its name in the store.
        seed: of the data set.
        number: of the shard.
        samples: how many.
        match_id: of the match that it is made of; empty if of stories.
    """

    key: str
    seed: int = 0
    number: int = 0
    samples: int = 0
    match_id: str = ""


@dataclass(frozen=True)
class MadeShard:
    """A shard that stands.

    Attributes:
        key: its name.
        rows: samples.
        size_bytes: of its file.
        reused: whether it stood before.
        findings: of its checks.
        failure: why its rows are not what the table declares; empty if they are.
    """

    key: str
    rows: int
    size_bytes: int
    reused: bool
    findings: tuple[Finding, ...]
    failure: str = ""


def story_shards(samples: int, seed: int) -> list[Shard]:
    """Shards of a data set of so many samples."""
    return [Shard(f"{STORIES}{seed}-{k:05d}", seed, k, count) for k, count in enumerate(plan(samples))]


def match_shards(store: Store) -> list[Shard]:
    """A shard for each match that has tracks and intents, and may be learned from."""
    allowed, _ = analysed_matches(store)
    return [Shard(_match_key(match_id), match_id=match_id) for match_id in allowed]


def analysed_matches(store: Store) -> tuple[list[str], dict[str, str]]:
    """Matches with tracks and intents: those that may be learned from, and the licences of those that may not."""
    ready = sorted(set(store.keys("tracks")) & set(store.keys("intents")) & set(store.keys("matches")))
    sources = {match_id: source_of(match_id) for match_id in ready}
    refused = {match_id: source.licence for match_id, source in sources.items() if not source.trainable}
    return [match_id for match_id in ready if match_id not in refused], refused


def _match_key(match_id: str) -> str:
    """The name of a match's shard; of an id that leaves no room for more, its end becomes its hash."""
    key = f"{MATCH}{match_id}"
    if len(key) <= _LONGEST_KEY:
        return key
    tail = f"-{sha256(match_id.encode()).hexdigest()[:16]}"
    return key[: _LONGEST_KEY - len(tail)] + tail


def shard_maker(environment: Settings) -> Callable[[Shard], MadeShard]:
    """What a process does, prepared once in it: makes a shard, or finds it made, and checks what is stored."""
    from assets.definitions import open_store

    store = open_store(environment)
    return lambda shard: make_shard(store, shard)


def make_shard(store: Store, shard: Shard) -> MadeShard:
    """Makes a shard unless one with its stamp stands, reads it back and checks it."""
    if shard.match_id:
        parts = [store.part(table, shard.match_id).digest for table in ("matches", "tracks", "intents")]
        stamp = RECIPE.stamp(*parts)
    else:
        stamp = RECIPE.stamp(f"{shard.samples} samples of shard {shard.number} from seed {shard.seed}")
    part = store.ensure(TABLE, shard.key, stamp, lambda: _rows(store, shard))
    rows = store.read_table(TABLE, shard.key)
    failure = ""
    try:
        conform(TABLE, rows)
    except SchemaViolation as error:
        failure = str(error)
    judged = tuple(findings(rows)) if rows.height and not failure else ()
    return MadeShard(shard.key, part.rows, part.size_bytes, part.reused, judged, failure)


def _rows(store: Store, shard: Shard) -> pl.DataFrame:
    if not shard.match_id:
        return story_shard(shard.seed, shard.number, shard.samples)
    match, tracks, intents = (store.read_table(table, shard.match_id) for table in ("matches", "tracks", "intents"))
    return match_samples(match, tracks, intents)


def make_shards(shards: list[Shard], environment: Settings, store: Store, *, processes: int = 0) -> Iterator[MadeShard]:
    """Makes shards on all cores, and tells of each as it stands.

    Args:
        shards: which.
        environment: names the store for the processes.
        store: for a single process, which is this one.
        processes: how many; 0 for one per core.

    Raises:
        dg.Failure: naming the first shard that could not be made.
    """
    count = min(processes or cores(), len(shards))
    if count <= 1:
        yield from (make_shard(store, shard) for shard in shards)
        return
    workers: Workers[Shard, MadeShard] = Workers(count, shard_maker, environment)
    for done in workers.run(shards):
        if done.result is None:
            raise dg.Failure(f"shard {done.task.key}: {done.failure}", allow_retries=False)
        yield done.result


def drop_stale(store: Store, kept: Iterable[str]) -> int:
    """Removes shards of other data sets; returns how many."""
    stale = sorted(set(store.keys(TABLE)) - set(kept))
    for key in stale:
        store.delete(store.part_path(TABLE, key))
    return len(stale)


@dg.asset(
    group_name=GROUP,
    deps=["scenes", "matches", "tracks", "intents"],
    kinds={"numpy", "polars"},
    code_version=RECIPE.code_version,
    check_specs=[
        dg.AssetCheckSpec(SCHEMA_CHECK, asset=TABLE, blocking=True, description="shards are what the table declares"),
        *(dg.AssetCheckSpec(name, asset=TABLE, blocking=True, description=what) for name, what in zip(
            CHECKS,
            (
                "the speed of each action of a story is within its share of the table's, and what stays stays",
                "no frame's way is longer than the fastest action allows",
                "whoever moves looks where it goes",
                "bones have constant lengths",
                "feet that stand don't slide",
            ),
            strict=True,
        )),
    ],
)  # fmt: skip
def trajectories(
    context: dg.AssetExecutionContext,
    config: TrajectoriesConfig,
    store: dg.ResourceParam[Store],
    environment: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Samples to learn from: ten seconds of one actor with a caption, of stories and of every match there is."""
    shards = [*story_shards(config.samples, config.seed), *match_shards(store)]
    made = sorted(make_shards(shards, environment, store, processes=config.processes), key=lambda shard: shard.key)
    dropped = drop_stale(store, [shard.key for shard in shards])
    context.log.info(f"{len(made)} shards, {sum(s.reused for s in made)} reused, {dropped} of other data sets removed")
    _, refused = analysed_matches(store)
    for match_id, licence in refused.items():
        context.log.warning(f"{match_id}: its licence ({licence}) does not allow training; it stays out")
    return dg.MaterializeResult(
        metadata={
            **(
                {"refused_matches": ", ".join(f"{name}: {licence}" for name, licence in refused.items())}
                if refused
                else {}
            ),
            "dagster/row_count": sum(shard.rows for shard in made),
            "shards": len(made),
            "reused": sum(shard.reused for shard in made),
            "MB": round(sum(shard.size_bytes for shard in made) / 1e6, 1),
            **distribution(store, [shard.key for shard in made]),
        },
        check_results=_checked(made),
    )


def _checked(made: list[MadeShard]) -> list[dg.AssetCheckResult]:
    broken = [f"{shard.key}: {shard.failure}" for shard in made if shard.failure]
    results = [
        dg.AssetCheckResult(
            check_name=SCHEMA_CHECK, asset_key=TABLE, passed=not broken, metadata={"reason": "; ".join(broken[:3])}
        )
    ]
    for name in CHECKS:
        found = [(f, shard.key) for shard in made for f in shard.findings if f.check == name]
        told: reports.Metadata = {"shards": len(found)}
        if found:
            worst, key = max(found, key=lambda pair: (not pair[0].passed, pair[0].value / pair[0].limit))
            told |= {"worst": worst.value, "limit": worst.limit, "unit": worst.unit, "where": f"{key}: {worst.where}"}
        passed = all(finding.passed for finding, _ in found)
        results.append(dg.AssetCheckResult(check_name=name, asset_key=TABLE, passed=passed, metadata=told))
    return results


def distribution(store: Store, keys: list[str]) -> reports.Metadata:
    """What an analyst sees: how many samples of which theme and split, how fast what is done, how far, how large."""
    rows = pl.concat([abridged(store.read_table(TABLE, key).select(READ)) for key in keys])
    if rows.is_empty():
        return {"samples": 0}
    done = rows.explode("done").unnest("done")
    return {
        "themes": reports.table(
            rows.group_by("source", "theme")
            .agg(samples=pl.len(), train=(pl.col("split") == "train").sum(), captions=pl.col("caption").n_unique())
            .sort("source", "theme")
        ),
        "splits": reports.table(rows.group_by("split").agg(samples=pl.len()).sort("split")),
        "actions": reports.table(
            done.group_by("action")
            .agg(
                hours=(pl.col("frames").sum() / load_scenes().fps / 3600).round(2),
                **{f"p{q:g} m/s": pl.col("mps").quantile(q / 100).round(2) for q in (5, 50, 95)},
            )
            .sort("hours", "action", descending=[True, False])
        ),
        "metres gone in a sample": _quantiles(rows, "way_m"),
        "metres of height": _quantiles(rows, "height_m"),
        "fastest frame of a sample, m/s": reports.table(
            rows.group_by("theme").agg(
                median=pl.col("top_mps").median().round(2), most=pl.col("top_mps").max().round(2)
            ).sort("theme")
        ),
        "captions": reports.table(rows.select("theme", "caption").sample(min(12, rows.height), seed=1)),
    }  # fmt: skip


def _quantiles(rows: pl.DataFrame, column: str) -> dg.MarkdownMetadataValue:
    """How a value of samples is spread, by source and theme."""
    spread = {f"p{q:g}": pl.col(column).quantile(q / 100).round(2) for q in (0, 5, 50, 95, 100)}
    return reports.table(rows.group_by("source", "theme").agg(**spread).sort("source", "theme"))
