"""The asset graph is pinned: a changed graph shows as a readable diff. And loading it stays light."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

from assets.definitions import build_defs
from resources.settings import Settings

SNAPSHOT = Path(__file__).with_name("graph.json")


def _graph(definitions: dg.Definitions) -> dict[str, object]:
    assets = definitions.resolve_asset_graph()
    return {
        "assets": {
            node.key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
                "group": node.group_name,
                "owners": sorted(node.owners),
                "kinds": sorted(node.kinds),
                "partitions": node.partitions_def.name if node.partitions_def else None,
                "blocking checks": sorted(key.name for key in node.check_keys if assets.get(key).blocking),
                "described": bool(node.description),
            }
            for node in sorted(assets.asset_nodes, key=lambda node: node.key.to_user_string())
        },
        "jobs": sorted(job.name for job in definitions.jobs),
        "schedules": {schedule.name: schedule.cron_schedule for schedule in definitions.schedules},
        "sensors": sorted(sensor.name for sensor in definitions.sensors),
    }


def test_the_asset_graph_is_the_pinned_one(tmp_path: Path) -> None:
    graph = _graph(build_defs(Settings(gridmotion_store=str(tmp_path))))
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(graph, indent=1, sort_keys=True) + "\n")
    assert graph == json.loads(SNAPSHOT.read_text()), "if meant: UPDATE_SNAPSHOTS=1 pytest tests/dagster/test_graph.py"


def test_each_asset_has_an_owner_a_group_a_kind_and_a_description(tmp_path: Path) -> None:
    graph = _graph(build_defs(Settings(gridmotion_store=str(tmp_path))))["assets"]
    assert len(graph) >= 12
    for key, node in graph.items():
        assert node["owners"], key
        assert node["kinds"], key
        assert node["described"], key
        assert node["group"] != "default", key


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    heavy = ["torch", "sentence_transformers", "matplotlib", "mlflow", "lightgbm", "sklearn", "pandas"]
    code = f"import assets.definitions, sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
