"""No backend hears of a sensitive segment before people have accepted it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import configs.base
from assets.definitions import build_defs, open_store
from assets.reviews import open_reviews
from pipeline.events.sources.simulator import simulate, write
from resources.clips import ClipStudio
from resources.motion_backends.hymotion_cli import HyMotionCli
from resources.motion_backends.hymotion_rest import HyMotionRest
from resources.motion_backends.local import LocalBackend
from resources.motion_backends.mmcp import MmcpBackend, skeleton
from resources.reviews import Decision
from resources.settings import Settings

SENSITIVE = "plant"


@pytest.fixture
def cautious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An operator who calls planting sensitive, and wants one opinion of each."""
    folder = Path(shutil.copytree(configs.base.FOLDER, tmp_path / "configs", ignore=shutil.ignore_patterns("*.py")))
    text = (folder / "review.yaml").read_text()
    for old, new in (
        ("sensitive: []", f"sensitive: [{SENSITIVE}]"),
        ("second_review_share: 0.1", "second_review_share: 0"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "review.yaml").write_text(text)
    monkeypatch.setattr(configs.base, "FOLDER", folder)
    configs.base._read.cache_clear()
    yield
    configs.base._read.cache_clear()


def test_no_backend_hears_of_a_sensitive_segment_before_its_review_accepts_it(
    cautious: None, tmp_path: Path, serve: Any, tasks: Any, reply: Any, settled: Any
) -> None:
    model = {
        "id": "m",
        "fps": 30,
        "canonical_skeleton": skeleton(),
        "supported_segments": ["text"],
        "supported_constraints": [],
    }
    speaks = {"protocol_version": "1.4", "models": [model]}
    mmcp = serve(lambda seen: reply(body=speaks) if seen.path == "/capabilities" else reply(500, {}))
    rest = serve(tasks(tasks=lambda _: reply(500, {})))
    home = tmp_path / "hymotion"
    home.mkdir()
    shutil.copy(Path(__file__).with_name("local_infer.py"), home)
    (home / "fault").write_text("exit")
    config = settled(breaker={"failures": 1000}, mmcp={"model": "m"})
    command = HyMotionCli(home, home, sys.executable, config)
    backends = (MmcpBackend(mmcp.url, None, config), HyMotionRest(rest.url, None, config), command)
    environment = Settings(gridmotion_store=str(tmp_path / "store"))
    store, reviews = open_store(environment), open_reviews(environment)
    studio = ClipStudio(store, LocalBackend(), 3, backends)

    def heard() -> tuple[set[str], set[str], list[str]]:
        segments = [
            {s.headers["X-Gridmotion-Segment"] for s in server.seen if s.method == "POST"} for server in (mmcp, rest)
        ]
        return segments[0], segments[1], (home / "lines.txt").read_text().splitlines()

    with dg.DagsterInstance.ephemeral() as instance:
        definitions = build_defs(environment, store=store, studio=studio, reviews=reviews)

        def run(job: str, **options: Any) -> dg.ExecuteInProcessResult:
            return definitions.resolve_job_def(job).execute_in_process(
                instance=instance, raise_on_error=False, **options
            )

        log = write(tmp_path / "log", simulate(rounds=2, seed=11))[0]
        store.put(log, f"landing/{log.name}")
        scan = {"ops": {"scanned_log": {"config": {"path": f"landing/{log.name}"}}}}
        assert run("scan_log", run_config=scan).success
        (match_id,) = store.keys("matches")
        instance.add_dynamic_partitions("match_id", [match_id])
        assert run("analyse_match", partition_key=match_id).success

        plants = store.read_table("segments", match_id).filter(pl.col("intent") == SENSITIVE)["segment_id"].to_list()
        clips = store.read_table("clips", match_id)
        assert clips.height == 3 and clips["fallback"].is_not_null().sum() == clips["feasible"].sum() > 0
        by_mmcp, by_rest, by_cli = heard()
        feasible = set(clips.filter("feasible")["segment_id"])
        assert by_mmcp == by_rest == feasible and len(by_cli) == len(feasible)
        assert plants and not feasible & set(plants)
        assert set(clips["model_version"]) and clips["features_hash"].str.len_chars().to_list() == [16] * 3

        ask = {"ops": {"clips": {"config": {"also": [plants[0]]}}}}
        assert not run("make_clips", partition_key=match_id, run_config=ask).success  # nobody has accepted it
        assert heard() == (by_mmcp, by_rest, by_cli)

        claim = reviews.next("ann")
        while claim.job["segment_id"] != plants[0]:
            reviews.decide(Decision(claim.job["job_id"], "ann", "accept", None, token=claim.token))
            claim = reviews.next("ann")
        reviews.decide(Decision(claim.job["job_id"], "ann", "accept", None, token=claim.token))
        assert run("make_clips", partition_key=match_id, run_config=ask).success
        after_mmcp, after_rest, after_cli = heard()
        assert plants[0] in after_mmcp and plants[0] in after_rest
        made = store.read_table("clips", match_id).filter("feasible")
        assert plants[0] in set(made["segment_id"]) and len(after_cli) == len(by_cli) + made.height
        assert not (after_mmcp | after_rest) & (set(plants) - _accepted(reviews, match_id))


def _accepted(reviews: Any, match_id: str) -> set[str]:
    return set(reviews.reviews(match_id).filter(pl.col("verdict") == "accept")["segment_id"])
