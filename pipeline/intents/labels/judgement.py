"""How far the rules answer, how far they differ, and how right the labels are.

Belongs here: counts over labels, alone or beside a truth. Does not belong here: the truth (`truth`, the simulator),
words around the figures (`bench.labels`).
"""

import polars as pl

from pipeline.intents.labels.rules import RULES
from pipeline.intents.vocabulary import INTENTS

FOUND = {
    "kind": pl.String,
    "stretches": pl.Int64,
    "seen": pl.Int64,
    "found": pl.Int64,
    "instants": pl.Int64,
    "labelled": pl.Int64,
    "other": pl.Int64,
    "claimed": pl.Int64,
    "right": pl.Int64,
}
_SPEAKS_FOR = {rule.name: rule.intent for rule in RULES}


def shares(labels: pl.DataFrame) -> dict[str, float]:
    """How far the rules answer and differ, as shares of all rows (Ratner et al. 2017, Snorkel, for all rules together).

    Args:
        labels: table `labels`, of one match or more.

    Returns:
        `coverage`: an intent won. `voted`: some rule spoke. `overlap`: two rules or more did. `conflict`: for different
        intents. All 0 without rows.
    """
    counts = _sets(labels)
    rows = max(sum(count for _, count in counts), 1)
    return {
        "coverage": (labels.height - labels["intent"].null_count()) / rows,
        "voted": sum(count for names, count in counts if names) / rows,
        "overlap": sum(count for names, count in counts if len(names) > 1) / rows,
        "conflict": sum(count for names, count in counts if _differ(names)) / rows,
    }


def rule_shares(labels: pl.DataFrame) -> pl.DataFrame:
    """The same of each rule: `rule`, `intent`, `votes` (rows) and, of its votes, `overlap`, `conflict`, `won`.

    `won`: the row's label is what the rule voted for.
    """
    rows = {rule.name: [0, 0, 0, 0] for rule in RULES}
    for names, count in _sets(labels):
        for name in names:
            for place, holds in enumerate((True, len(names) > 1, _differ(names))):
                rows[name][place] += count * holds
    won = labels.drop_nulls("intent").group_by("rules", "intent").len()
    for names, intent, count in won.iter_rows():
        for name in names:
            rows[name][3] += count * (_SPEAKS_FOR[name] == intent)
    found = [
        (name, _SPEAKS_FOR[name], votes, *(part / max(votes, 1) for part in parts))
        for name, (votes, *parts) in rows.items()
    ]
    columns = {"rule": pl.String, "intent": pl.String, "votes": pl.Int64}
    return pl.DataFrame(found, orient="row", schema=columns | dict.fromkeys(("overlap", "conflict", "won"), pl.Float64))


def confusion(labels: pl.DataFrame, meant: pl.DataFrame) -> pl.DataFrame:
    """Where each true intent's rows went: `truth`, then the count of each label, then `abstained`.

    Args:
        labels: table `labels`.
        meant: `player`, `t_ms`, `intent` of the same match or matches, and `match_id` if there are several.
    """
    keys = [name for name in ("match_id", "player", "t_ms") if name in meant.columns]
    named = labels.with_columns(pl.col("intent").cast(pl.String).fill_null("abstained"))
    both = named.join(meant.select(*keys, pl.col("intent").alias("truth")), on=keys)
    counts = {(truth, label): count for truth, label, count in both.group_by("truth", "intent").len().iter_rows()}
    rows = [[intent, *(counts.get((intent, label), 0) for label in (*INTENTS, "abstained"))] for intent in INTENTS]
    schema = {"truth": pl.String} | dict.fromkeys((*INTENTS, "abstained"), pl.Int64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def scores(counts: pl.DataFrame) -> pl.DataFrame:
    """From a confusion: `intent`, `rows` (true), `precision`, `recall`, `f1`; null where that is nothing by nothing."""
    table = counts.select(*INTENTS).to_numpy()
    true, claimed, hit = counts.select(pl.sum_horizontal(pl.exclude("truth"))).to_series(), table.sum(axis=0), table
    rows = []
    for place, intent in enumerate(INTENTS):
        right, of, said = int(hit[place, place]), int(true[place]), int(claimed[place])
        f1 = 2 * right / (of + said) if of + said else None
        rows.append((intent, of, right / said if said else None, right / of if of else None, f1))
    columns = {"intent": pl.String, "rows": pl.Int64}
    return pl.DataFrame(rows, orient="row", schema=columns | dict.fromkeys(("precision", "recall", "f1"), pl.Float64))


def found(labels: pl.DataFrame, marked: pl.DataFrame) -> pl.DataFrame:
    """What became of the plants, defuses and trades that a reader of the log would mark.

    Args:
        labels: table `labels` of one match.
        marked: stretches of that match, as `truth.stretches` returns them.

    Returns:
        For `plant`, `defuse`, `trade`: `stretches`; `seen`, those with an instant at which the player is alive and
        labelled or not; `found`, those with an instant that has the label; `instants` in them, `labelled` right, and
        with an `other` intent (the rest abstains); instants `claimed` by the label anywhere, and `right` ones among
        them, which are inside such a stretch or one that was broken off.
    """
    rows = labels.select("player", "round", "t_ms", pl.col("intent").cast(pl.String)).with_row_index("row")
    result = []
    for kind in ("plant", "defuse", "trade"):
        spans = marked.filter(pl.col("kind") == kind)
        inside, broken = _inside(rows, spans), _inside(rows, marked.filter(pl.col("kind") == f"{kind}_broken"))
        also = broken.filter(pl.col("intent") == kind).join(inside, on="row", how="anti")
        hit = inside.filter(pl.col("intent") == kind)
        instants = inside.unique("row")
        result.append(
            (
                kind,
                spans.height,
                inside["span"].n_unique(),
                hit["span"].n_unique(),
                instants.height,
                hit["row"].n_unique(),
                instants.filter(pl.col("intent").is_not_null() & (pl.col("intent") != kind)).height,
                rows.filter(pl.col("intent") == kind).height,
                hit["row"].n_unique() + also["row"].n_unique(),
            )
        )
    return pl.DataFrame(result, schema=FOUND, orient="row")


def broken(labels: pl.DataFrame, marked: pl.DataFrame) -> tuple[int, int]:
    """How many plants and defuses that were broken off have an instant, and how many of those one with the label."""
    rows = labels.select("player", "round", "t_ms", pl.col("intent").cast(pl.String)).with_row_index("row")
    inside = _inside(rows, marked.filter(pl.col("kind").str.ends_with("_broken")))
    named = inside.filter(pl.col("kind") == pl.col("intent") + "_broken")
    return inside["span"].n_unique(), named["span"].n_unique()


def _inside(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Rows beside each stretch that holds them, numbered `span`."""
    return (
        spans.with_row_index("span")
        .join(rows, on=["player", "round"], nulls_equal=True)
        .filter(pl.col("t_ms").is_between("from_ms", "to_ms", closed="left"))
    )


def _sets(labels: pl.DataFrame) -> list[tuple[list[str], int]]:
    return list(labels.group_by("rules").len().iter_rows())


def _differ(names: list[str]) -> bool:
    return len({_SPEAKS_FOR[name] for name in names}) > 1
