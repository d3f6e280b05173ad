"""Dashboard and alerts ask only for what an agent tells."""

import json
import re
from pathlib import Path

import pytest
import yaml

from resources.live_metrics import LiveMetrics

OPS = Path(__file__).parents[2] / "ops"
_WORDS = frozenset(("absent", "by", "count", "histogram_quantile", "increase", "max", "or", "rate", "sum"))


def expressions():
    rules = yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]
    alerts = [rule["expr"] for group in rules for rule in group["rules"]]
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    return alerts + [target["expr"] for panel in panels for target in panel["targets"]]


def told():
    """Every name on an agent's page and the labels of each."""
    names = {}
    for metric in LiveMetrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        names |= {metric.name + suffix: metric for suffix in suffixes}
    return names


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_of_an_expression_is_on_the_page_of_an_agent(expression):
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", " ", expression)
    names = set(re.findall(r"[a-z_]{3,}", bare)) - _WORDS
    assert names and names <= told().keys()
    page = LiveMetrics().page().decode()
    assert all(re.sub(r"_bucket$", "", name).removesuffix("_total") in page for name in names)


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
