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


def test_every_alert_says_what_to_do():
    for group in yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"] and rule["annotations"]["what_to_do"], rule["alert"]
            assert rule["labels"]["severity"] in ("page", "ticket")
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
