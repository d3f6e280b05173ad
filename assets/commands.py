"""The command line: the same jobs as Dagster runs, on the same store and the same instance.

Belongs here: arguments, progress, tables for people. Does not belong here: anything a job does.
Concept: https://typer.tiangolo.com
"""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from assets import (
    evaluation_commands,
    live_commands,
    model_commands,
    motion_server,
    review_commands,
    scene_commands,
    search_commands,
    trajectory_commands,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="What every player of a recorded match meant to do, and 3D motion that shows it.",
)
app.add_typer(review_commands.app, name="review")
app.add_typer(model_commands.app, name="models")
app.add_typer(scene_commands.app, name="scenes")
app.add_typer(trajectory_commands.app, name="trajectories")
app.command()(trajectory_commands.generate)
app.command()(evaluation_commands.evaluate)
app.command()(live_commands.agent)
app.command()(live_commands.replay)
app.command()(live_commands.metrics)
app.add_typer(live_commands.dlq, name="dlq")
app.command()(motion_server.motion_server)
app.command()(search_commands.search)
# What is printed holds names from logs and messages about them: none of it may be read as markup.
console = Console(markup=False, highlight=False)

HOME = Path(".dagster")
CONFIG = Path(__file__).resolve().parent.parent / "dagster.yaml"
STATE_COLOURS = {"ok": "green", "fallback": "yellow", "failed": "red"}


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's instance: the one of DAGSTER_HOME, or `.dagster` here, which is what `make dev` serves."""
    if "DAGSTER_HOME" not in os.environ:
        HOME.mkdir(exist_ok=True)
        shutil.copyfile(CONFIG, HOME / "dagster.yaml")
        os.environ["DAGSTER_HOME"] = str(HOME.resolve())
    with dg.DagsterInstance.get() as instance:
        yield instance


def _definitions() -> dg.Definitions:
    from assets.definitions import defs

    return defs


def _store() -> Any:
    from assets.definitions import open_store
    from resources.settings import settings

    return open_store(settings())


def _studio() -> Any:
    return _definitions().resources["studio"]  # type: ignore[index]


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _execute(
    instance: dg.DagsterInstance, job: str, ops: dict[str, Any] | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """One run of a job in this process, recorded in the instance as any other; its log is there, not here."""
    run_config = {"ops": ops or {}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    runnable = _definitions().resolve_job_def(job)
    return runnable.execute_in_process(instance=instance, raise_on_error=False, run_config=run_config, **options)


def _failure(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, in the words of its deepest cause."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            error, data = event.step_failure_data.error, event.step_failure_data.user_failure_data
            while error.cause:
                error = error.cause
            name, _, words = error.message.strip().partition(": ")
            return (data.description if data and data.description else words) or name
    return "a blocking check failed; the run's page in the UI says which"


def _warnings(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What a run warned of, in its own words."""
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.level == logging.WARNING]


def _tell_once(warnings: list[str]) -> None:
    for warning in dict.fromkeys(warnings):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)


def _scan(instance: dg.DagsterInstance, paths: list[Path], *, replace: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Scan each log; returns a row per log, and what failed or was refused."""
    store = _store()
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    warnings: list[str] = []
    with _progress() as progress:
        task = progress.add_task("scan", total=len(paths))
        for path in paths:
            progress.update(task, description=f"scan {path.name}")
            # Not the landing folder: its sensor would scan the same file at the same time.
            inbox = f"ingest/{path.name}"
            store.put(path, inbox)
            config = {"path": inbox, "replace": replace}
            result = _execute(instance, "scan_log", ops={"scanned_log": {"config": config}})
            warnings += _warnings(instance, result.run_id)
            if result.success:
                metadata = result.asset_materializations_for_node("scanned_log")[0].metadata
                row: dict[str, Any] = {"file": path.name} | {key: value.value for key, value in metadata.items()}
                rows.append(row)
                refused = row["refused_matches"]
                failures += [f"{path.name}: {match_id} stands from another log (--replace)" for match_id in refused]
            else:
                store.delete(inbox)
                failures.append(f"{path.name}: {_failure(result)}")
            progress.advance(task)
    _tell_once(warnings)
    return rows, failures


def _analyse(
    instance: dg.DagsterInstance, matches: list[str], chosen: list[dg.AssetKey] | None = None, **options: Any
) -> tuple[dict[str, float], list[str]]:
    """Run the analysis of each match, all of it or these assets; returns the seconds it took, and what failed."""
    seconds: dict[str, float] = {}
    failures: list[str] = []
    warnings: list[str] = []
    with _progress() as progress:
        task = progress.add_task("analyse", total=len(matches))
        for match_id in matches:
            progress.update(task, description=f"analyse {match_id}")
            begin = time.perf_counter()
            result = _execute(instance, "analyse_match", partition_key=match_id, asset_selection=chosen, **options)
            seconds[match_id] = time.perf_counter() - begin
            warnings += _warnings(instance, result.run_id)
            if not result.success:
                failures.append(f"{match_id}: {_failure(result)}")
            progress.advance(task)
    _tell_once(warnings)
    return seconds, failures


def _report(failures: list[str]) -> None:
    """Names what failed and ends with exit code 1 if anything did."""
    for failure in failures:
        console.print(f"failed: {failure}", style="red", soft_wrap=True)
    if failures:
        raise typer.Exit(1)


def _columns_per(name: str, rows: list[dict[str, Any]]) -> Table:
    """A table with a column per log or match, as there are more figures than a terminal is wide."""
    view = Table("", *(row[name] for row in rows))
    for figure in [key for key in (rows[0] if rows else ()) if key != name]:
        view.add_row(
            figure, *(f"{row[figure]:,}" if isinstance(row[figure], int) else str(row[figure]) for row in rows)
        )
    return view


def _scan_table(rows: list[dict[str, Any]]) -> Table:
    figures = ("source_events", "converted", "merged", "reverted", "duplicate", "quarantined", "derived_positions")
    shown = [
        {"log": row["file"], "matches": ", ".join(row["matches"])} | {name: row[name] for name in figures}
        for row in rows
    ]
    return _columns_per("log", shown)


def _match_table(matches: list[str], seconds: dict[str, float]) -> Table:
    from assets.summary import match_summary

    store = _store()
    rows = [match_summary(store, match_id) | {"seconds": round(seconds[match_id], 1)} for match_id in matches]
    return _columns_per("match", rows)


@app.command()
def simulate(
    rounds: Annotated[int, typer.Option(help="Rounds to play.", min=1, max=60)] = 24,
    seed: Annotated[int, typer.Option(help="The same seed gives the same match.", min=0)] = 1,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("simulated"),
) -> None:
    """Play a match: the same one as canonical log, as GRID log, and the true intent of each player."""
    from pipeline.events.sources.simulator import simulate as play
    from pipeline.events.sources.simulator import write

    with console.status(f"playing {rounds} rounds"):
        paths = write(out, play(rounds=rounds, seed=seed))
    for path in paths:
        console.print(f"{path}  ({path.stat().st_size / 1e6:.2f} MB)")


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Logs: .jsonl, .jsonl.gz, .zip.", exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option(help="Take the place of another log of the same match.")] = False,
) -> None:
    """Read logs, account for each of their events, and register their matches."""
    with _instance() as instance:
        rows, failures = _scan(instance, paths, replace=replace)
    if rows:
        console.print(_scan_table(rows))
        if found := " ".join(match for row in rows for match in row["matches"]):
            console.print(f"Next: gridmotion run {found}", soft_wrap=True)
    _report(failures)


@app.command()
def run(
    matches: Annotated[list[str], typer.Argument(help="Match ids, as ingest printed them.")],
) -> None:
    """Analyse matches: events, features, labels, intents, segments, clips, and what people are asked about them."""
    from assets.partitions import register

    with _instance() as instance:
        known = set(_store().keys("matches"))
        unknown = [match_id for match_id in matches if match_id not in known]
        if unknown:
            _report([f"{match_id}: no such match; ingest its log first" for match_id in unknown])
        register(instance, matches)  # an instance that is younger than the store has not heard of them
        seconds, failures = _analyse(instance, matches)
    failed = {failure.partition(":")[0] for failure in failures}
    done = [match_id for match_id in matches if match_id not in failed]
    if done:
        console.print(_match_table(done, seconds))
    _report(failures)


@app.command(name="backfill")
def analyse_many(
    matches: Annotated[list[str] | None, typer.Argument(help="Match ids, as ingest printed them; or --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every match that was ingested.")] = False,
    processes: Annotated[int, typer.Option(help="Matches at once; 0 is one per core.", min=0)] = 0,
) -> None:
    """Analyse many matches, a process per core: events, features, labels, intents, segments; for clips: run."""
    from assets.backfill import JOB
    from assets.partitions import register

    if bool(matches) == every:
        _report(["name the matches, or take --all"])
    known = _store().keys("matches")
    chosen = known if every else list(dict.fromkeys(matches or []))
    unknown = set(chosen) - set(known)
    _report([f"{match_id}: no such match; ingest its log first" for match_id in chosen if match_id in unknown])
    watcher = _Watcher(len(chosen))
    with _instance() as instance, watcher.shown():
        register(instance, chosen)
        config = {"matches": chosen, "processes": processes}
        result = _execute(instance, JOB, ops={"analyse_matches": {"config": config}}, resources={"watcher": watcher})
        warnings = _warnings(instance, result.run_id)
    _tell_once(warnings)
    console.print(watcher.summary())
    _report(watcher.failures or ([] if result.success else [_failure(result)]))


class _Watcher:
    """Shows how far a backfill is, and remembers what failed."""

    def __init__(self, total: int) -> None:
        self.failures: list[str] = []
        self._done, self._total = 0, total
        self._begin = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """With a bar, the rate and the time left, as long as the context lasts."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as self._bars:
            self._bar = self._bars.add_task("analyse", total=self._total, rate="")
            self._begin = time.monotonic()
            yield

    def finished(self, match_id: str, failure: str | None) -> None:
        """One match more."""
        self._done += 1
        if failure:
            self.failures.append(f"{match_id}: {failure}")
        state = f"analyse, {len(self.failures)} failed" if self.failures else "analyse"
        self._bars.update(self._bar, advance=1, rate=f"{self._rate:,.0f} matches/h", description=state)

    def summary(self) -> str:
        """What was done, how fast."""
        return f"{self._done - len(self.failures)} of {self._total} matches analysed, {self._rate:,.0f} matches/h"

    @property
    def _rate(self) -> float:
        return 3600 * self._done / (time.monotonic() - self._begin)


@app.command()
def train() -> None:
    """Train the intent model on every labelled match, register it, promote it if it passes the gate."""
    with _instance() as instance, console.status("training"):
        result = _execute(instance, "retrain")
    trained = result.asset_materializations_for_node("models__intent")
    for name in ("model_version", "matches", "rows", "reused", "verdict", "why") if trained else ():
        console.print(f"{name}: {trained[0].metadata[name].value}", soft_wrap=True)
    if not result.success:
        _report([_failure(result)])
    answers = result.asset_materializations_for_node("models__champion")[0].metadata
    console.print(f"promoted: {answers['promoted'].value}")
    console.print(f"answers from the next match on: {answers['model_version'].value}")


@app.command()
def clips(
    match: Annotated[str, typer.Argument(help="Match id.")],
    segment: Annotated[str | None, typer.Option(help="Make the clip of this segment (or how its id begins).")] = None,
    round_number: Annotated[
        int | None, typer.Option("--round", help="Make a moment of this round, with everyone.")
    ] = None,
    from_s: Annotated[float, typer.Option("--from", help="Seconds since the round went live.")] = 0.0,
    to_s: Annotated[float | None, typer.Option("--to", help="Likewise; five seconds after --from if left out.")] = None,
) -> None:
    """List a match's clips, make the clip of one more segment, or a moment of a round with everyone in it."""
    from assets.partitions import register
    from assets.summary import whole_segment_id

    if round_number is not None:
        _moment(match, round_number, from_s, from_s + 5.0 if to_s is None else to_s)
        return
    store = _store()
    wished = None if segment is None else whole_segment_id(store, match, segment)
    if wished is not None:
        with _instance() as instance, console.status("making the clip"):
            register(instance, [match])
            ops = {"clips": {"config": {"also": [wished]}}}
            result = _execute(instance, "make_clips", ops=ops, partition_key=match)
        if not result.success:
            _report([_failure(result)])
    frame = store.read_table("clips", match)
    if wished is not None:
        frame = frame.filter(frame["segment_id"] == wished)
    view = Table("segment", "intent", "why", "player", "round", "from s", "s", "file, or why there is none")
    for row in frame.iter_rows(named=True):
        view.add_row(
            row["segment_id"],
            row["intent"],
            row["interest"],
            row["player"],
            str(row["round"] or ""),
            f"{row['from_ms'] / 1000:.1f}",
            f"{(row['to_ms'] - row['from_ms']) / 1000:.1f}",
            row["uri"] if row["feasible"] else row["reason"],
        )
    console.print(view)
    console.print(f"Files are below {store.url}; every segment of the match is in {store.part('segments', match).uri}")


def _moment(match: str, round_number: int, from_s: float, to_s: float) -> None:
    import json

    from assets import moments

    config = {"match_id": match, "round": round_number, "from_s": from_s, "to_s": to_s}
    with _instance() as instance, console.status("making the moment"):
        result = _execute(instance, moments.JOB, ops={"made_moment": {"config": config}})
    if not result.success:
        _report([_failure(result)])
    told = result.asset_materializations_for_node("made_moment")[0].metadata
    store = _store()
    made = json.loads(store.read(str(told["record"].value)))
    cast = moments.cast_of(made)
    view = Table(*cast[0])
    for row in cast:
        view.add_row(*row.values())
    console.print(view)
    for player, why in sorted(made["scene"]["absent"].items()):
        console.print(f"not shown: {player}: {why}", style="yellow", soft_wrap=True)
    console.print(f"{store.uri(made['uri'])}\n{store.uri(made['preview_uri'])}", soft_wrap=True)


@app.command()
def embed() -> None:
    """Embed what is new of captions, prompts and moments, and build the index that search asks."""
    with _instance() as instance, console.status("embedding"):
        result = _execute(instance, "embed_texts")
        warnings = _warnings(instance, result.run_id)
    _tell_once(warnings)
    if not result.success:
        _report([_failure(result)])
    _told_of(result, "embeddings", ("encoder", "embedded_now", "known"))
    _told_of(result, "moment_index", ("matches", "moments"))
    console.print("Next: gridmotion search 'a defender falls back after losing a teammate'")


def _told_of(result: dg.ExecuteInProcessResult, asset: str, names: tuple[str, ...]) -> None:
    metadata = result.asset_materializations_for_node(asset)[0].metadata
    told = ", ".join(f"{name} {metadata[name].value}" for name in names)
    console.print(f"{asset}: {told}", soft_wrap=True)


@app.command()
def doctor() -> None:
    """Say what is configured, what answers, and what is used instead."""
    from assets.definitions import open_registry, open_store
    from resources.health import examine
    from resources.settings import settings

    environment = settings()
    view = Table("service", "configured", "state", "detail")
    failed = False
    for finding in examine(environment, open_store(environment), open_registry(environment)):
        failed |= finding.state == "failed"
        state = Text(finding.state, style=STATE_COLOURS[finding.state])
        view.add_row(finding.service, finding.configured, state, finding.detail)
    console.print(view)
    raise typer.Exit(1 if failed else 0)


@app.command()
def fetch(
    series: Annotated[
        list[str] | None, typer.Argument(help="Ids of GRID series; those that configs/grid.yaml follows if none.")
    ] = None,
) -> None:
    """Fetch event logs and end states from GRID; logs wait in the store's landing folder."""
    with _instance() as instance:
        with console.status("fetching"):
            result = _execute(instance, "fetch_grid", ops={"grid_series": {"config": {"series": series or []}}})
        if not result.success:
            _report([_failure(result)])
    metadata = result.asset_materializations_for_node("grid_series")[0].metadata
    told: dict[str, Any] = {name: value.value for name, value in metadata.items()}
    for name in ("series", "events_fetched", "events_known", "MB", "waiting", "left_for_the_next_tick"):
        console.print(f"{name}: {told[name] or 0}")
    if told["events_fetched"]:
        landed = _store().uri("landing")
        console.print(f"Next: the logs are in {landed}; make dev scans them there, gridmotion ingest by hand")
    _report([f"{what}: {why}" for what, why in told["failed"].items()])


@app.command()
def demo() -> None:
    """Simulate matches, train on some, analyse another, and say where everything is."""
    from assets.analysis import SPECS
    from assets.demo import compiling_ahead, tiny_model
    from assets.summary import pictures
    from configs.demo import load_demo
    from pipeline.events.sources.simulator import simulate as play
    from pipeline.events.sources.simulator import write
    from resources.settings import settings

    folder = Path(_store().url if _store().is_local else "data") / "simulated"
    shown_of = load_demo()
    games = [*shown_of.training, shown_of.analysed]
    logs = []
    with compiling_ahead(), _instance() as instance:
        with _progress() as progress:
            for game in progress.track(games, description="simulate"):
                logs.append(write(folder, play(rounds=game.rounds, seed=game.seed))[0])
        rows, failures = _scan(instance, logs, replace=False)
        _report(failures)
        *training, shown = [match for row in rows for match in row["matches"]]
        _, failures = _analyse(instance, training, [spec.key for spec in SPECS])
        _report(failures)
        with console.status("training"):
            result = _execute(instance, "retrain")
        if not result.success:
            _report([_failure(result)])
        with console.status("a small training set"):
            result = _execute(
                instance,
                "training_set",
                ops={"trajectories": {"config": {"samples": shown_of.samples, "processes": 1}}},
                asset_selection=[dg.AssetKey("trajectories")],
            )
        if not result.success:
            _report([_failure(result)])
        with tiny_model(_store(), settings(), shown_of.movement) as moves:
            studio = _studio().with_budget(shown_of.clips)
            seconds, failures = _analyse(instance, [shown], resources={"studio": studio})
            _report(failures)
            with console.status("embedding"):
                found_by = [dg.AssetKey(name) for name in ("moments", "embeddings", "moment_index")]
                result = _execute(instance, "embed_texts", asset_selection=found_by)
            if not result.success:
                _report([_failure(result)])
            _told_of(result, "embeddings", ("encoder", "embedded_now", "known"))
            with console.status("a tiny model of movement"):
                moved = moves()
        with console.status("a film of a sentence"):
            result = _execute(
                instance,
                "train_trajectories",
                ops={"text_films": {"config": {"prompts": [shown_of.movement.film], "version": moved.version}}},
                asset_selection=[dg.AssetKey("text_films")],
            )
        if not result.success:
            _report([_failure(result)])
        made = result.asset_materializations_for_node("text_films")[0].metadata
        console.print(f"model of movement {moved.said}", soft_wrap=True)
    store = _store()
    console.print(_scan_table(rows[-1:]))
    console.print(_match_table([shown], seconds))
    drawn = pictures(store, shown, _studio())
    console.print(f"gridmotion search {shown_of.search!r}")
    search_commands.search(shown_of.search, limit=3)
    for what, where in {
        "events": store.uri(store.part_path("events", shown)),
        "features": store.uri(store.part_path("features", shown)),
        "intents": store.uri(store.part_path("intents", shown)),
        "segments": store.uri(store.part_path("segments", shown)),
        "clips": store.uri(store.part_path("clips", shown)),
        "motion (GLB)": store.uri("motion"),
        "training set": store.uri("trajectories"),
        "film of a sentence": f"{made[shown_of.movement.film].value}  ({shown_of.movement.film!r}, by the tiny model)",
        **{f"{name} (picture)": where for name, where in drawn.items()},
    }.items():
        console.print(f"{what:>18}  {where}", soft_wrap=True)
    console.print("Say what it is not sure of: gridmotion review next")
    console.print("Find a moment by words: gridmotion search 'an attacker dies at site A'", soft_wrap=True)
    console.print("Look at all of it in the browser: make dev")
    console.print("Look into the tables: notebooks/match_explorer.ipynb and notebooks/intent_errors.ipynb")


def main() -> None:
    """Entry point; a known error becomes one line and exit code 1, anything else a traceback."""
    from pydantic import ValidationError

    from configs import ConfigError
    from pipeline.errors import PipelineError
    from resources.errors import ResourceError

    # A run's warnings are printed once, after its progress bar.
    logging.getLogger("resources").setLevel(logging.ERROR)
    try:
        app()
    except (PipelineError, ResourceError, ConfigError, ValidationError, OSError) as error:
        console.print(f"{type(error).__name__}: {error}", style="red", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
