"""Dashboard and alerts ask only for what an agent, or the page of the runs that make motion, tells."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml

from resources.live_metrics import LiveMetrics
from resources.logs import to_stderr
from resources.motion_figures import COUNTERS, MotionFigures

OPS = Path(__file__).parents[2] / "ops"
_WORDS = frozenset(("absent", "by", "count", "histogram_quantile", "increase", "max", "or", "rate", "sum"))


def expressions():
    rules = yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]
    alerts = [rule["expr"] for group in rules for rule in group["rules"]]
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    return alerts + [target["expr"] for panel in panels for target in panel["targets"]]


def told():
    """Every name on an agent's page and on that of the runs."""
    names = {}
    for metric in [*LiveMetrics().registry.collect(), *MotionFigures().registry.collect()]:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        names |= {metric.name + suffix: metric for suffix in suffixes}
    return names


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_of_an_expression_is_on_a_page(expression):
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", " ", expression)
    names = set(re.findall(r"[a-z_]{3,}", bare)) - _WORDS
    assert names and names <= told().keys()
    page = LiveMetrics().page().decode() + MotionFigures().page().decode()
    assert all(re.sub(r"_bucket$", "", name).removesuffix("_total") in page for name in names)


@pytest.mark.parametrize("expression", expressions())
def test_every_label_of_an_expression_is_one_of_its_metrics(expression):
    shown = set(re.findall(r"by \(([^)]*)\)", expression)) | set(re.findall(r"\{([a-z_]+)[=~!]", expression))
    asked = {label.strip() for labels in shown for label in labels.split(",")} - {"le"}
    names = set(re.findall(r"[a-z_]{3,}", expression)) & told().keys()
    assert asked <= set().union(*(labels_of(name) for name in names))


def labels_of(name):
    counters = {f"{metric}_total": labels for metric, _, labels in COUNTERS.values()}
    if name in counters or name.startswith("motion_latency"):
        return set(counters.get(name, ()))
    metrics = [value for value in vars(LiveMetrics()).values() if hasattr(value, "_labelnames")]
    return next(set(m._labelnames) for m in metrics if name in (m._name, f"{m._name}_total", f"{m._name}_bucket"))


def test_an_unknown_metric_would_be_found():
    assert "live_lag_entries" in told() and "live_nothing_total" not in told()


def test_a_shard_counts_from_0_and_how_it_stands_goes_with_its_owner():
    metrics = LiveMetrics()
    metrics.begin("3")
    for gauge in (metrics.lag, metrics.matches, metrics.held):
        gauge.labels("3").set(7)
    metrics.lost.labels("3").inc(2)
    before = metrics.page().decode()
    metrics.forget("3")
    metrics.forget("4")
    page = metrics.page().decode()
    for name in ("live_late_or_duplicate_events_total", "live_duplicate_events_total", "live_dlq_total"):
        assert f'{name}{{shard="3"}} 0.0' in page
    assert 'live_lost_entries_total{shard="3"} 2.0' in page and 'live_lease_changes_total{change="lost"} 0.0' in page
    for name in ("live_lag_entries", "live_matches", "live_held_events"):
        assert f'{name}{{shard="3"}} 7.0' in before and f"{name}{{" not in page


def test_every_alert_says_what_to_do():
    for group in yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"] and rule["annotations"]["what_to_do"], rule["alert"]
            assert rule["labels"]["severity"] in ("page", "ticket")
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12


def test_a_line_of_the_log_is_json_that_tells_match_and_shard(capsys):
    before = logging.getLogger().handlers, logging.getLogger().level, logging.getLogger("resources").level
    try:
        logging.getLogger("resources").setLevel(logging.ERROR)  # as the command line has it
        to_stderr()
        logging.getLogger("resources.agent").info("taken with %d", 3, extra={"shard": 1, "match_id": "m"})
        logging.getLogger("another").info("is not told")
        (line,) = capsys.readouterr().err.splitlines()
    finally:
        logging.getLogger().handlers, logging.getLogger().level = before[:2]
        logging.getLogger("resources").setLevel(before[2])
    told = json.loads(line)
    assert (told["says"], told["shard"], told["match_id"], told["level"]) == ("taken with 3", 1, "m", "INFO")
    assert told["from"] == "resources.agent" and told["at"].endswith("+00:00")
