"""How right the labels are: `python -m bench.labels` learns the rules' weights, writes docs/labels.md and its pictures.

Belongs here: which matches teach and which judge, the words around the figures, which moments are drawn.
Does not belong here: the rules, the truth, the measures (`pipeline.intents.labels`), how a moment is drawn
(`assets.plots`).
"""

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.plots import Mark, Note, Trail, trails
from bench.workload import SHARED
from configs.base import FOLDER, config_hash
from configs.features import load_features
from configs.intents import IntentsConfig, LabelsConfig, load_intents
from configs.maps import load_maps
from pipeline.events.model import is_attacker
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write
from pipeline.features.match import match_features
from pipeline.intents.labels import RULES, judgement, label
from pipeline.intents.labels.truth import stretches
from pipeline.intents.labels.weights import Judged, judged, learn, records
from pipeline.intents.vocabulary import INTENTS

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURES = DOCS / "labels.md", DOCS / "images" / "intents"
ROUNDS, TEACHING, JUDGING = 24, (0, 1, 2, 3), (100, 101, 102)
BEGIN, END = "  # >>> written by `python -m bench.labels`; do not edit", "  # <<<"
AROUND_MS, RATE = 2000, 4
_ACTOR, _ENEMY, _MATE = "#111111", "#C2410C", "#7BA7D9"
_CLOSE = ("peek",)  # a step, too small to be seen beside an enemy across the yard
_NEAR_M = {"peek": 25.0, "trade": 20.0, "hold": 20.0}
_SHOWN = {"trade": "trade_kill", "peek": "peek_return", "engage": "engage_hit", "retreat": "retreat_enemy"}


@dataclass(frozen=True)
class Case:
    """A match with its tables; `meant` is what simulated players meant."""

    match: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame
    features: pl.DataFrame
    meant: pl.DataFrame | None = None

    @property
    def match_id(self) -> str:
        return str(self.match["match_id"].item())

    def judged(self, config: IntentsConfig) -> Judged:
        return judged(self.events, self.tracks, self.features, config.labels, self.meant)

    def label(self, config: IntentsConfig) -> pl.DataFrame:
        return label(self.events, self.tracks, self.features, config)


def case(log: Path, meant: pl.DataFrame | None = None) -> Case:
    """The one match of a log."""
    (reading,) = read_log(log, log_id="labels").matches.values()
    events, tracks = reading.events.read(), reading.tracks.read()
    return Case(reading.match, events, tracks, match_features(reading.match, events, tracks), meant)


def simulated(folder: Path, seeds: tuple[int, ...]) -> list[Case]:
    """Simulated matches, read like any other log."""
    cases = []
    for seed in seeds:
        match = simulate(rounds=ROUNDS, seed=seed, match_id=f"simulated-{seed}")
        cases.append(case(write(folder, match)[0], match.truth))
    return cases


def weighing(config: IntentsConfig, weights: dict[str, float]) -> IntentsConfig:
    """The configuration with these weights."""
    return config.model_copy(update={"labels": config.labels.model_copy(update={"weights": weights})})


def block(taught: list[Judged], config: LabelsConfig) -> str:
    """The weights as they stand in `intents.yaml`, with what they were learned from."""
    weights = learn(taught)
    recorded = [match.match_id for match in taught if (match.meant < 0).all()]
    lines = [
        BEGIN,
        f"  # learned from the logs of {', '.join(recorded)}",
        f"  # and from simulated players, seeds {TEACHING[0]} to {TEACHING[-1]}, {ROUNDS} rounds each; comments: what",
        "  # one vote alone is worth; how often the rule was right where logs knew, and where simulated players knew.",
        f"  weights_for: {config_hash(config.rules)}  # hash of the rules above",
        "  weights:",
    ]
    for record in records(taught):
        weight = weights[record.rule]
        alone = np.exp(weight) / (np.exp(weight) + len(INTENTS) - 1)
        lines.append(
            f"    {record.rule}: {weight}  # {alone:.2f} alone; {_right(record.told_right, record.told)} by logs, "
            f"{_right(record.meant_right, record.meant)} by players"
        )
    return "\n".join([*lines, END])


def mute(weights: dict[str, float], least: float) -> list[str]:
    """The intents that no vote alone would make a label: with such weights nothing would be trained on them."""
    heard = {
        rule.intent for rule in RULES if (odds := math.exp(weights[rule.name])) / (odds + len(INTENTS) - 1) >= least
    }
    return [intent for intent in INTENTS if intent not in heard]


def _right(right: int, of: int) -> str:
    return f"{right} of {of}" if of else "none"


def with_block(text: str, written: str) -> str:
    """The YAML text with what stands between the markers replaced."""
    before, _, rest = text.partition(BEGIN)
    return before + written + rest.partition(END)[2]


def page(recorded: list[Case], taught: list[Judged], judging: list[Case], config: IntentsConfig) -> Iterator[str]:
    """The page, line by line."""
    yield from (
        "# How right the labels are",
        "",
        "Written by `make docs` (`python -m bench.labels`) where the recorded matches are at hand; do not edit. "
        "What the nine intents mean is in [intents.md](intents.md).",
        "",
        "A label is what rules say in hindsight, so agreement between a model and labels proves little by itself. This "
        "page holds the labels against truth that no rule made: what logs tell, and what simulated players meant.",
        "",
    )
    yield from _against_logs(recorded, taught, config)
    yield from _against_players(judging, config)
    yield from _answers(recorded, judging, config)
    yield from _record(taught, config)
    yield from _limits()


def _against_logs(recorded: list[Case], taught: list[Judged], config: IntentsConfig) -> Iterator[str]:
    window = config.labels.rules.trade_kill.window_ms / 1000
    yield from (
        "## Against the logs of recorded matches",
        "",
        f"{len(recorded)} matches. A reader of the log marks each plant and defuse from its logged start (else back "
        "from its completion for the time it takes with the kit that the player has), and each trade: from a death by "
        f"an enemy to the kill of the killer by a teammate of the dead within {window:g} s. Each match is labelled "
        "with weights learned without it. "
        "*Seen*: the player has an instant of the grid inside. *Found*: an instant inside has the label. Recall is of "
        "the instants inside, precision of all instants with the label, those broken off counted as right.",
        "",
        "| match | kind | marked | seen | found | recall | other intent | precision |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    )
    parts, broken, claims = [], [0, 0], {"trade_kill": 0, "trade_hit": 0, "trade_fire": 0}
    for each in recorded:
        others = weighing(config, learn([match for match in taught if match.match_id != each.match_id]))
        labels, marked = each.label(others), stretches(each.events, each.tracks, config.labels)
        found = judgement.found(labels, marked)
        parts.append(found)
        for row in found.iter_rows(named=True):
            yield _found(each.match_id, row)
        broken = [a + b for a, b in zip(broken, judgement.broken(labels, marked), strict=True)]
        for names, count in labels.filter(pl.col("intent") == "trade").group_by("rules").len().iter_rows():
            best = next(name for name in claims if name in names)
            claims[best] += count
    total = pl.concat(parts).group_by("kind", maintain_order=True).sum()
    for row in total.iter_rows(named=True):
        yield _found("**all**", row)
    trades = sum(claims.values())
    yield from (
        "",
        f"Plants and defuses that were begun and broken off (only `cs2-am-inferno` logs beginnings): {broken[1]} of "
        f"{broken[0]} with an instant inside are labelled as such while they lasted.",
        "",
        f"A trade is meant before it succeeds, and not each one does: of {trades} instants with the label "
        f"{claims['trade_kill'] / trades:.0%} lead to the kill of the killer, {claims['trade_hit'] / trades:.0%} to no "
        f"more than a hit, {claims['trade_fire'] / trades:.0%} to aimed shots that missed. The precision above counts "
        "the last two as wrong.",
        "",
    )


def _found(name: str, row: dict[str, int]) -> str:
    of, claimed = row["instants"], row["claimed"]
    return (
        f"| {name} | {row['kind']} | {row['stretches']} | {row['seen']} | {row['found']} "
        f"| {_share(row['labelled'], of)} | {_share(row['other'], of)} | {_share(row['right'], claimed)} |"
    )


def _share(part: int, of: int) -> str:
    return f"{part / of:.1%}" if of else ""


def _against_players(judging: list[Case], config: IntentsConfig) -> Iterator[str]:
    counts = None
    for each in judging:
        assert each.meant is not None
        found = judgement.confusion(each.label(config), each.meant)
        counts = found if counts is None else counts.with_columns(counts[n] + found[n] for n in found.columns[1:])
    assert counts is not None
    yield from (
        "## Against what simulated players meant",
        "",
        f"{len(judging)} simulated matches of {ROUNDS} rounds (seeds {', '.join(map(str, JUDGING))}), none of which "
        "taught a weight. Rows are what the player meant, columns what the label says, in percent of the row.",
        "",
        "| meant (instants) | " + " | ".join(INTENTS) + " | abstained |",
        "|---|" + "---:|" * (len(INTENTS) + 1),
    )
    for truth, *row in counts.iter_rows():
        of = sum(row)
        yield f"| {truth} ({of:,}) | " + " | ".join(f"{100 * c / of:.0f}" if c else "" for c in row) + " |"
    yield from ("", "| intent | precision | recall | F1 |", "|---|---:|---:|---:|")
    scores = judgement.scores(counts)
    for intent, _, *figures in scores.iter_rows():
        yield f"| {intent} | " + " | ".join("" if f is None else f"{f:.2f}" for f in figures) + " |"
    labelled = counts.select(pl.sum_horizontal(*INTENTS).sum()).item()
    right = sum(counts[intent][place] for place, intent in enumerate(INTENTS))
    every = counts.select(pl.sum_horizontal(pl.exclude("truth")).sum()).item()
    macro = sum(f or 0 for f in scores["f1"]) / len(INTENTS)
    yield from (
        "",
        f"Labelled: {labelled / every:.1%} of {every:,} instants; of those {right / labelled:.1%} right. Macro-F1 "
        f"{macro:.2f}, abstentions counted as misses.",
        "",
    )


def _answers(recorded: list[Case], judging: list[Case], config: IntentsConfig) -> Iterator[str]:
    yield from (
        "## How far the rules answer",
        "",
        "Coverage: share of instants with a label. Overlap: two rules or more voted. Conflict: for different intents.",
        "",
        "| match | instants | coverage | overlap | conflict |",
        "|---|---:|---:|---:|---:|",
    )
    frames = []
    for each in [*recorded, *judging]:
        labels = each.label(config)
        shares = judgement.shares(labels)
        if each.meant is None:
            frames.append(labels)
        yield (
            f"| {each.match_id} | {labels.height:,} | {shares['coverage']:.1%} | {shares['overlap']:.1%} "
            f"| {shares['conflict']:.1%} |"
        )
    yield from (
        "",
        "Of each rule, over the recorded matches; *won*: the label is what the rule voted for.",
        "",
        "| rule | intent | votes | overlap | conflict | won |",
        "|---|---|---:|---:|---:|---:|",
    )
    together = pl.concat(frames)
    for rule, intent, votes, *figures in judgement.rule_shares(together).iter_rows():
        yield f"| `{rule}` | {intent} | {votes:,} | " + " | ".join(f"{f:.1%}" for f in figures) + " |"
    balance = together.drop_nulls("intent").group_by("intent").len()
    counts = dict(balance.with_columns(pl.col("intent").cast(pl.String)).iter_rows())
    total = sum(counts.values())
    yield from (
        "",
        "Labels of the recorded matches: " + ", ".join(f"{i} {counts.get(i, 0) / total:.1%}" for i in INTENTS) + ".",
        "",
    )


def _record(taught: list[Judged], config: IntentsConfig) -> Iterator[str]:
    yield from (
        "## What a vote is worth",
        "",
        "Weights in `configs/intents.yaml`, fitted together (`pipeline.intents.labels.weights`) to the logs of the "
        f"recorded matches and to simulated players (seeds {TEACHING[0]} to {TEACHING[-1]}), which have the same say "
        "in total. *Alone*: probability of the rule's intent where no other rule votes. *By logs*, *by players*: how "
        "often the rule was right where that source knew. A rule of an intent that no log tells of can't be right by "
        "logs: those columns show how often it spoke in the middle of a fight, a plant or a trade.",
        "",
        "| rule | weight | alone | right by logs | right by players |",
        "|---|---:|---:|---:|---:|",
    )
    for record in records(taught):
        weight = config.labels.weights[record.rule]
        alone = np.exp(weight) / (np.exp(weight) + len(INTENTS) - 1)
        yield (
            f"| `{record.rule}` | {weight:.2f} | {alone:.2f} "
            f"| {_share(record.told_right, record.told)} of {record.told:,} "
            f"| {_share(record.meant_right, record.meant)} of {record.meant:,} |"
        )
    yield ""


def _limits() -> Iterator[str]:
    yield from (
        "## What this does not show",
        "",
        "- Advance, retreat, hold, peek and rotate of recorded players have no truth but people. The weights of their "
        "rules come from simulated players, and carry over only as far as those resemble recorded ones.",
        "- What simulated players mean is drawn by the lines of intents.md, but from what they know: they *retreat* "
        "from enemies whom they only heard, *peek* at where nobody was, *trade* from the moment they set out, *engage* "
        "while they see an enemy, and *hold* while they walk about the place they keep. Recall of those is low where "
        "nothing in the log tells of it, and the rules abstain.",
        "- The logs' truth about plants, defuses and trades is close to the rules: both read the same events. It shows "
        "that the votes win where they must, and nothing about what a player meant before the event could be foreseen.",
    )


# --- pictures


def pictures(cases: list[Case], config: IntentsConfig) -> Iterator[tuple[str, bytes]]:
    """One moment per intent, each from the next match."""
    for place, intent in enumerate(INTENTS):
        turn = place % len(cases)
        drawn = (moment(each, intent, config) for each in [*cases[turn:], *cases[:turn]])
        yield intent, next(png for png in drawn if png is not None)


def moment(each: Case, intent: str, config: IntentsConfig) -> bytes | None:
    """Of the surer half of an intent's stretches that have an enemy near, the one of median length."""
    step, wanted = load_features().grid_ms, _SHOWN.get(intent)
    near = each.features.select("player", "t_ms", "nearest_enemy_m")
    labels = each.label(config).with_columns(pl.col("intent").cast(pl.String)).join(near, on=["player", "t_ms"])
    runs = (
        labels.sort("player", "t_ms")
        .with_columns(run=pl.col("intent").eq_missing(intent).rle_id().over("player"))
        .filter(pl.col("intent") == intent)
        .group_by("player", "round", "run")
        .agg(
            from_ms=pl.col("t_ms").min(),
            to_ms=pl.col("t_ms").max() + step,
            rows=pl.len(),
            sure=pl.col(f"p_{intent}").mean().round(6),
            enemy_m=pl.col("nearest_enemy_m").min(),
            by=pl.col("rules").list.contains(wanted).any() if wanted else pl.lit(True),
        )
        .filter(pl.col("to_ms") - pl.col("from_ms") == pl.col("rows") * step, pl.col("rows") >= RATE, "by")
        .filter(pl.col("enemy_m") <= _NEAR_M.get(intent, 30.0))
        .sort("rows", "sure", "player", "from_ms")
    )
    if runs.is_empty():
        return None
    surer = runs.filter(pl.col("sure") >= runs["sure"].median())
    return draw(each, intent, surer.row(surer.height // 2, named=True))


def draw(each: Case, intent: str, run: dict[str, Any]) -> bytes:
    """A stretch from above, with everybody from a few seconds before to a few after."""
    who, first, last = run["player"], run["from_ms"], run["to_ms"]
    begin, end = first - AROUND_MS, last + AROUND_MS
    within = pl.col("t_ms").is_between(begin, end) & (pl.col("round") == run["round"])
    here = each.tracks.filter(within).sort("player", "t_ms")
    dead = set(each.events.filter(within, pl.col("event_type") == "PLAYER_KILLED")["target"])
    mine = here.filter(pl.col("player") == who)
    side = mine["side"][0]
    ways = []
    for player in [who, *sorted(set(here["player"]) - {who})]:
        frame = here.filter(pl.col("player") == player)
        t, place = frame["t_ms"].to_numpy(), frame.select("x_mm", "z_mm").to_numpy() / 1000
        start, stop = np.searchsorted(t, (first, last)).clip(0, len(t) - 1).tolist()
        yaw = frame["yaw_mdeg"][start]
        colour = _ACTOR if player == who else _MATE if frame["side"][0] == side else _ENEMY
        facing = None if yaw is None else float(np.radians(yaw / 1000))
        ways.append(Trail("", colour, place[:, 0], place[:, 1], (start, stop), facing, player in dead))
    t = mine["t_ms"].to_numpy()
    start, stop = ways[0].stretch or (0, 0)
    notes: list[Note] = [(0, start, "begins"), (0, stop, f"ends after {(last - first) / 1000:g} s")]
    marks: list[Mark] = [
        (objective.id.replace("bombsite_", "site ").upper(), objective.pos[0], objective.pos[2])
        for objective in load_maps().objectives(each.match["map"].item())
    ]
    shown = list(zip(ways[0].x[start : stop + 1].tolist(), ways[0].z[start : stop + 1].tolist(), strict=True))
    foes = [(float(way.x[i]), float(way.z[i])) for way in ways if way.colour == _ENEMY for i in way.stretch or ()]
    nearest = min(foes, key=lambda at: min(math.dist(at, mine_) for mine_ in shown))
    role = {True: "an attacker", False: "a defender", None: "a player"}[is_attacker(side)]
    return trails(
        ways,
        marks,
        f"{intent}: {role} on {each.match['map'].item()}, round {run['round']}",
        notes,
        [("who it is about", _ACTOR), ("teammates", _MATE), ("enemies", _ENEMY)],
        shown=shown if intent in _CLOSE else [*shown, nearest],
        step_s=float(np.median(np.diff(t))) / 1000,
    )


def main() -> int:
    """Learns, writes the weights, then the page and the pictures; leaves all as it is where the matches are absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data")) / "cs2"
    logs = sorted(shared.glob("*.jsonl.gz"))
    if not logs:
        print(f"weights and {PAGE.name} stay as they are: no recorded match found (set {SHARED})")
        return 0
    config = load_intents()
    with tempfile.TemporaryDirectory() as scratch:
        recorded = [case(log) for log in logs]
        taught = [each.judged(config) for each in [*recorded, *simulated(Path(scratch), TEACHING)]]
        judging = simulated(Path(scratch), JUDGING)
    weights = learn(taught)
    if lost := mute(weights, config.labels.least_probability):
        print(f"weights and {PAGE.name} stay as they are: by what was learned nobody would ever {', '.join(lost)}")
        return 1
    written = block(taught, config.labels)
    settings = FOLDER / "intents.yaml"
    settings.write_text(with_block(settings.read_text(encoding="utf-8"), written), encoding="utf-8")
    config = weighing(config, weights)
    PAGE.write_text("\n".join(page(recorded, taught, judging, config)) + "\n")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for intent, png in pictures(recorded, config):
        (PICTURES / f"{intent}.png").write_bytes(png)
    print(f"weights written to {settings.name}, figures to {PAGE}, pictures to {PICTURES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
