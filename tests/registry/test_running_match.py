"""A rollback while matches are analysed: who began with a model ends with it, and each row says who decided it."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.analysis import TABLES
from assets.definitions import build_defs, open_store
from assets.many import Task, analyst
from pipeline.events.sources.simulator import simulate, write
from pipeline.intents.prediction import MODEL, RULE
from resources.registry import ModelRegistry
from resources.settings import Settings
from resources.store import Store


@pytest.fixture
def scanned(tmp_path: Path) -> Store:
    """Two simulated matches that nobody has analysed yet."""
    environment = Settings(gridmotion_store=str(tmp_path / "store"), _env_file=None)
    store = open_store(environment)
    definitions = build_defs(environment, store=store)
    with dg.DagsterInstance.ephemeral() as instance:
        for seed in (1, 2):
            log = write(tmp_path, simulate(rounds=1, seed=seed))[0]
            store.put(log, f"landing/{log.name}")
            config = {"path": f"landing/{log.name}", "replace": False}
            runnable = definitions.resolve_job_def("scan_log")
            runnable.execute_in_process(instance=instance, run_config={"ops": {"scanned_log": {"config": config}}})
    return store


class Rolling:
    """A registry in which somebody rolls the champion back right after it was handed out for a match."""

    def __init__(self, registry: ModelRegistry, after: int) -> None:
        self.registry, self.left, self.handed = registry, after, list[str]()

    def champion(self) -> Any:
        found = self.registry.champion()
        self.handed.append(found.version)
        self.left -= 1
        if not self.left:
            self.registry.rollback("sees peeks everywhere")
        return found


def test_a_rollback_takes_effect_with_the_next_match_and_every_row_says_which_version_decided_it(
    scanned, registry, model
):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(old)
    registry.promote(new)
    rolling = Rolling(registry, after=1)
    matches = scanned.keys("matches")
    analysis = build_defs(Settings(_env_file=None), store=scanned).get_assets_def("segments")

    def analyse(models: Any) -> None:
        resources = {"store": scanned, "models": models, "environment": Settings(_env_file=None)}
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("match_id", matches)
            for match_id in matches:
                assert dg.materialize(
                    [analysis], instance=instance, resources=resources, partition_key=match_id
                ).success

    analyse(rolling)
    assert rolling.handed == [new, old]
    for match_id, version in zip(matches, [new, old], strict=True):
        intents, segments = (scanned.read_table(table, match_id) for table in ("intents", "segments"))
        modelled = intents["decided_by"].str.starts_with(MODEL)
        assert set(intents["decided_by"].filter(modelled)) == {f"{MODEL}{version}"}
        assert intents["decided_by"].filter(~modelled).str.starts_with(RULE).all()
        assert set(segments["model_version"]) == {version}
        assert scanned.part("intents", match_id).stamp.model_version == version

    before = scanned.part("intents", matches[1])
    analyse(registry)  # scores again what the model decided that was rolled back, and nothing else
    assert [scanned.part("intents", match_id).stamp.model_version for match_id in matches] == [old] * 2
    assert scanned.part("intents", matches[1]) == before


def test_a_backfill_asks_anew_with_each_match(scanned, registry, model, monkeypatch):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(old)
    registry.promote(new)
    monkeypatch.setattr("assets.definitions.open_registry", lambda environment: registry)
    work = analyst(
        Settings(gridmotion_store=scanned.url, _env_file=None), {"models/champion": "NULL"}, frozenset(TABLES)
    )
    first, second = scanned.keys("matches")
    assert work(Task(first, {})).failure is None
    registry.rollback("sees peeks everywhere")
    assert work(Task(second, {})).failure is None
    assert [scanned.part("intents", match_id).stamp.model_version for match_id in (first, second)] == [new, old]
