"""How far people agree.

Belongs here: measures of agreement between reviewers. Does not belong here: where their decisions are kept
(`resources.reviews`), how good a model is (`evaluation`).
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from math import nan

import polars as pl

from pipeline.errors import PipelineError

AGREEMENT = {
    "first": pl.String,
    "second": pl.String,
    "jobs": pl.Int64,
    "agreed": pl.Float64,
    "kappa": pl.Float64,
}


class NotPaired(PipelineError):
    """Two raters did not judge the same number of items."""


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Agreement of two raters beyond chance: (p_o − p_e) / (1 − p_e).

    p_o is the share of items on which they agree, p_e the share on which raters with their frequencies of answers
    would agree by chance (Cohen 1960, A coefficient of agreement for nominal scales).

    Args:
        first: one rater's answers, item by item.
        second: the other's, of the same items.

    Returns:
        1 where they always agree, 0 where as often as by chance, less where more seldom; NaN without items, or where
        both gave one and the same answer to all of them, as then chance explains everything.

    Raises:
        NotPaired: if they differ in length.
    """
    if len(first) != len(second):
        raise NotPaired(f"{len(first)} answers against {len(second)}")
    count = len(first)
    if not count:
        return nan
    mine, theirs = Counter(first), Counter(second)
    chance = sum(mine[answer] * theirs[answer] for answer in mine)  # × count²
    if chance == count * count:
        return nan
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) * count  # × count²
    return (agreed - chance) / (count * count - chance)


def agreement(decisions: pl.DataFrame) -> pl.DataFrame:
    """Agreement of each pair of reviewers over the jobs that both judged.

    Args:
        decisions: `job_id`, `reviewer`, `intent` (null: none of the nine) of every decision, as
            `resources.reviews.Reviews.decisions` gives them; none of a reviewer twice on one job.

    Returns:
        One row per pair with a job in common, sorted: `first`, `second`, `jobs` (in common), `agreed` (share of them),
        `kappa` (null where chance explains everything).
    """
    answers: dict[str, dict[str, str | None]] = {}
    for job, reviewer, intent in decisions.select("job_id", "reviewer", "intent").iter_rows():
        answers.setdefault(reviewer, {})[job] = intent
    rows = []
    for first, second in combinations(sorted(answers), 2):
        common = sorted(answers[first].keys() & answers[second].keys())
        if not common:
            continue
        said = [[answers[who][job] for job in common] for who in (first, second)]
        same = sum(a == b for a, b in zip(*said, strict=True))
        rows.append((first, second, len(common), same / len(common), cohens_kappa(*said)))
    return pl.DataFrame(rows, schema=AGREEMENT, orient="row").with_columns(pl.col("kappa").fill_nan(None))


def mean_kappa(agreed: pl.DataFrame) -> float | None:
    """Cohen's kappa of all pairs of reviewers, each weighing as many jobs as both judged; None if there is none.

    Args:
        agreed: as `agreement` returns it.
    """
    known = agreed.drop_nulls("kappa")
    weighted = known.select((pl.col("kappa") * pl.col("jobs")).sum() / pl.col("jobs").sum())
    return float(weighted.item()) if known.height else None


def with_people(gold: pl.DataFrame) -> dict[str, float]:
    """How often the program was right by what people say, apart from what any rule says.

    Only the audit is a fair sample: whatever else people look at was chosen because it is doubtful.

    Args:
        gold: `predicted`, `intent` (null: none of the nine) and `reasons`, as `resources.reviews.Reviews.gold` gives
            them.

    Returns:
        `judged_by_people` and `judged_in_audit`, numbers of segments, and the share of each in which people say what
        was predicted, `right_by_people` and `right_in_audit`, where there are any.
    """
    right = gold["predicted"].cast(pl.String).eq_missing(gold["intent"].cast(pl.String))
    audited = right.filter(gold["reasons"].list.contains("audit"))
    told: dict[str, float] = {"judged_by_people": right.len(), "judged_in_audit": audited.len()}
    for name, found in {"right_by_people": right, "right_in_audit": audited}.items():
        if found.len():
            told[name] = int(found.sum()) / found.len()
    return told
