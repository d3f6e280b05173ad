"""The report of an evaluation as Markdown, from its figures alone.

Belongs here: words and tables. Does not belong here: any figure that the JSON does not hold.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.intents.vocabulary import INTENTS

Document = Mapping[str, Any]
_MEASURES = {"macro_f1": "macro-F1", "accuracy": "accuracy", "log_loss": "log-loss", "brier": "Brier"}
_WAYS = {
    "hybrid": "hybrid: rules, then the model",
    "model": "model alone",
    "heuristics": "rules, then the prior",
    "persistence": "persistence: newest label that could be known",
    "majority": "majority: the commonest intent",
}


def markdown(document: Document, pictures: str) -> str:
    """The whole report.

    Args:
        document: `Examination.document`.
        pictures: folder of the pictures, as the report names it.
    """
    found = document["by_series"]
    parts = [
        _opening(document),
        _goals(document),
        _protocol(document),
        _matches(found),
        _ways(document, pictures),
        _per_class(document, pictures),
        _calibration(document, pictures),
        _alarms(document, pictures),
        _rules(found),
        _flips(found),
        _death(document),
        _people(found),
        _groups(document),
        _splits(document),
        _transfer(document),
        _simulated(document),
        _limits(document),
        _versions(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(document: Document) -> str:
    found = document["by_series"]
    what = (
        "Each match is judged by models that never saw its series."
        if document["kind"] == "cross-validation"
        else f"All matches are judged by model `{document['model_version']}`."
    )
    size = f"""{what} {len(found["matches"])} matches, {found["rounds"]} rounds, {found["rows"]:,} instants of
    a player at {1000 // document["grid_ms"]} a second, of which {found["labelled"]:,} have a label. Intervals are
    {100 * document["interval"]:.0f} %."""
    caution = """**Labels are our own rules in hindsight**: agreement with them is not truth. What the log itself tells
    (plants, defuses, trade kills, deaths) is told apart, under *Warnings* and *Death*."""
    head = "# How good the intents are\n\nWritten by `gridmotion evaluate`; do not edit. "
    head += "The figures are in the JSON file of the same name."
    return "\n\n".join([head, _prose(size), _prose(caution), *_seen(document)])


def _seen(document: Document) -> list[str]:
    seen = document.get("seen_in_training")
    if not seen:
        return []
    words = f"""> **These figures flatter.** The model was trained on {", ".join(f"`{name}`" for name in seen)} or other
    matches of the same series: memory, not skill."""
    return [_prose(words, "> ")]


def _goals(document: Document) -> str:
    found = document["by_series"]
    rows = [_goal_hybrid(found, name) for name in found["differences"]]
    rows += _goal_calibration(document)
    rows += _goal_lead(document)
    if "death" in found:
        each, goal = found["death"]["f1"], document["death"]["goal_f1"]
        rows.append((f"death within 3 s: F1 ≥ {goal}", _figure(each), _met(each["value"], goal)))
    return "## Goals\n\n" + _table(("goal", "found", "met"), rows)


def _goal_hybrid(found: Document, other: str) -> tuple[str, str, str]:
    apart = found["differences"][other]["macro_f1"]
    met = apart["excludes_zero"] and (apart["value"] or 0) > 0
    return f"macro-F1: hybrid above {_WAYS[other]}, interval without zero", _figure(apart, signed=True), _yes(met)


def _goal_calibration(document: Document) -> list[tuple[str, str, str]]:
    measure = document["calibration"]
    errors = {
        intent: each["ece"]["value"]
        for intent, each in document["by_series"]["calibration"]["hybrid"].items()
        if each["ece"]["value"] is not None
    }
    if not errors:
        return []
    worst = max(errors, key=lambda intent: errors[intent])
    rows = []
    for name, limit in (("goal", measure["goal"]), ("stretch", measure["stretch"])):
        above = sorted(intent for intent, error in errors.items() if error > limit)
        told = f"{len(errors) - len(above)} of {len(errors)}; worst {worst} {errors[worst]:.3f}"
        by = "; above: " + ", ".join(f"{intent} by {errors[intent] - limit:.3f}" for intent in above) if above else ""
        rows.append((f"calibration error of every class ≤ {limit} ({name})", told + by, _yes(not above)))
    return rows


def _goal_lead(document: Document) -> list[tuple[str, str, str]]:
    each, measure = document["by_series"]["warned"].get("plant", {}), document["alarms"]
    if "median_lead_s" not in each:
        return []
    lead, false = each["median_lead_s"], each["false_per_round"]
    budget = measure["false_per_round"]
    told = f"{_figure(lead, digits=1)} s at {_figure(false, digits=2)} false alarms a round"
    value = lead["value"]
    within = value is not None and value >= measure["lead_goal_s"] and (false["value"] or 0) <= budget
    short, over = max(0.0, measure["lead_goal_s"] - (value or 0.0)), max(0.0, (false["value"] or 0.0) - budget)
    missed = [f", by {short:.1f} s"] * (short > 0) + [f", by {over:.2f} false alarms"] * (over > 0)
    goal = f"median lead before plants ≥ {measure['lead_goal_s']:g} s at ≤ {budget:g} false alarm a round"
    return [(goal, told, _yes(within) + "".join([] if within or value is None else missed))]


def _protocol(document: Document) -> str:
    items = [
        _split(document) if document["kind"] == "cross-validation" else _NO_SPLIT,
        f"""**Rows.** Every {document["grid_ms"]} ms of every living player of a live round. Against labels, only
        rows whose label
        does not abstain; all ways are judged on the same rows. Warnings, flips and death take every row.""",
        """**Ways.** *Hybrid*: what runs (`pipeline.intents.prediction`): a deciding rule, as sure as it
        was found to be where the model was as sure of it, else the
        model, calibrated on rows that no rule decides. *Model alone*. *Rules, then the prior*: where no rule decides,
        the shares of the training's labels.
        *Persistence*: the newest label of that player and round that is known at t. A rule of the labels speaks once
        its own horizon has passed; until those that look farther can speak, their silence counts for nothing, and when
        they do the label is amended. It gets the weight that fits the training matches best, the training's
        shares get the rest; for F1 and accuracy it says that label. *Majority*: the training's shares.""",
        _measures(document),
        f"""**Intervals.** {document["resamples"]:,} replicates: matches drawn with replacement, then the rounds of
        each drawn match
        with replacement, seed {document["seed"]}. Percentiles; for calibration errors, which resampling can only raise,
        reflected at the figure (basic bootstrap) and cut at 0. Differences are taken within each replicate, so they are
        paired. Of one match its rounds are drawn. Counts, floors, the worst match and thresholds have no interval: they
        tell of these matches and estimate nothing beyond them.""",
        _acts(document),
    ]
    return "\n".join(["## Protocol", "", *(_prose(f"{place}. {item}", "   ") for place, item in enumerate(items, 1))])


_NO_SPLIT = """**Split.** None: the model is finished. Matches that it was trained on, or on others of their series,
are named above, if any, as far as ids tell; a recording of one that is not at hand here, under another id, is not
recognised. Of a match recorded twice the sparser recording is left out. Baselines that need a prior take that of
`configs/intents.yaml`, and rules have the probabilities from there."""


def _split(document: Document) -> str:
    training = document["training"]
    if document["by_time"]:
        how = f"""**Split.** By time, as all matches are of one series: trained on the earlier part, tested on the later
        {100 * training["test_share"]:.0f} % (whole games, or the rounds of a single one). {document["purge_ms"]}
        ms before the cut
        (how far the longest label looks ahead) and {document["embargo_ms"]} ms after it (how far a feature looks
        back) belong to
        neither."""
    else:
        how = f"""**Split.** By series: GRID's series number, or a match id without the map at its end, so that
        `x-y-inferno` on `de_inferno` is of series `x-y`; a match recorded twice, told by its kills, makes the series of
        both recordings one. For each series a model is trained on the matches of all
        others.
        The model, its calibration, the rules' probabilities and all baselines are learned without the tested series.
        Not so what people wrote or what was fitted before, with all matches in sight: bounds of rules,
        settings of the trees, and the labels themselves with their weights, see *Limits*. There is no cut within a
        match, so a purge of
        {document["purge_ms"]} ms (the longest horizon of a label) and an embargo of {document["embargo_ms"]} ms
        (how far a
        feature looks back) leave out nothing. *Map*: neither the map nor the series of the tested match is in
        training. *Team*: neither of its teams, nor its
        series.
        *Time*: trained only on series that began before. *One series only*: trained on one series, tested on all
        others. A match recorded twice is one match: its sparser recording is neither trained on nor among the rows, see
        *Transfer*."""
    return f"""{how} Calibration is fitted within the training alone, on scores of models that had not seen
    the rows they score. At most {training["rows_per_match"]:,} labelled rows of a match are trained on, drawn by seed
    {training["seed"]}."""


def _measures(document: Document) -> str:
    measure = document["calibration"]
    return f"""**Measures.** Macro-F1: mean F1 of the labelled classes, by most probable intent. Log-loss:
    natural logarithm, at most −ln 1e-9 a row. Brier: squared distance from the label's corner, 0 to 2. Calibration
    error of a class: over rows where its probability is ≥ {measure["least_probability"]}, in
    {measure["bins"]} bins of equal mass (equal probabilities stay together), the mean over rows of how far the share
    of the class lies from the mean probability in the row's bin;
    *floor* is what a perfectly calibrated class would show: with independent rows, and with whole rounds independent
    (what each round adds to a bin, beyond its share of what the bin is off, gives the variance)."""


def _acts(document: Document) -> str:
    alarms = document["alarms"]
    return f"""**Warnings.** An act is a logged plant or defuse from its start (BOMB_PLANT_STARTED or
    BOMB_DEFUSE_STARTED; else {alarms["plant_ms"]} ms before BOMB_PLANTED, and before BOMB_DEFUSED
    {alarms["defuse_kit_ms"]} ms with a kit or
    {alarms["defuse_ms"]} ms without) to its completion, or a kill of whoever killed a teammate at most
    {alarms["trade_ms"]} ms before. An alarm begins when a player's probability reaches the threshold after
    {alarms["quiet_ms"]} ms below it. It is right if that player's act begins within {alarms["ahead_ms"]} ms or is under
    way, else false: an alarm that is always on is false, so nothing is gained by it. Lead: from the first right
    alarm of
    an act to its start, negative if after. The threshold for a match is the one that warns of most acts of matches of
    *other series* before they begin, of those at and above which in each of these series by itself the upper end of the
    interval of the rate is ≤ {alarms["false_per_round"]:g} false alarm a round; so it is on the safe side where rounds
    are few, and the rate on the match itself may still lie above. The models that judge those may have been trained on
    it. The area
    under precision and recall is over all instants, those of an act being positive (of a trade: from the teammate's
    death to the kill)."""


def _prose(text: str, indent: str = "") -> str:
    """A paragraph, however it is broken here, in lines of at most 120 signs."""
    return textwrap.fill(
        " ".join(text.split()), 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _matches(found: Document) -> str:
    rows = [
        (
            f"`{each['match']}`",
            each["series"],
            each["map"],
            each["source"],
            f"{each['rounds']}",
            f"{each['labelled']:,}",
            _figure(each["hybrid"]["macro_f1"]),
            _figure(each["hybrid"]["log_loss"]),
            f"`{each['model_version']}`",
        )
        for each in found["matches"]
    ]
    head = ("match", "series", "map", "source", "rounds", "labelled rows", "hybrid macro-F1", "log-loss", "model")
    return "## Matches\n\n" + _table(head, rows)


def _ways(document: Document, pictures: str) -> str:
    found = document["by_series"]
    rows = [(_WAYS[name], *(_figure(each[measure]) for measure in _MEASURES)) for name, each in found["ways"].items()]
    apart = [
        (
            _WAYS[name],
            *(
                f"{_figure(each[measure], signed=True)}{'' if each[measure]['excludes_zero'] else ' ○'}"
                for measure in _MEASURES
            ),
            " / ".join(str(each[measure]["better_in_matches"]) for measure in ("macro_f1", "log_loss"))
            + f" of {each['macro_f1']['matches']}",
        )
        for name, each in found["differences"].items()
    ]
    return "\n\n".join(
        [
            "## Against simpler ways",
            _table(("way", *_MEASURES.values()), rows),
            f"![macro-F1 of each way]({pictures}/ways.png)",
            _prose(
                """The hybrid less each other way, on the same rows under the same weights (log-loss and Brier: less is
                better). ○: the interval holds zero, so nothing is shown either way. Last: in how many matches the
                hybrid
                is the better one, by macro-F1 and by log-loss."""
            ),
            _table(("hybrid less", *_MEASURES.values(), "better in"), apart),
        ]
    )


def _per_class(document: Document, pictures: str) -> str:
    found = document["by_series"]
    rows = [
        (intent, f"{found['support'][place]:,}", *(_figure(each[f"f1_{intent}"]) for each in found["ways"].values()))
        for place, intent in enumerate(INTENTS)
    ]
    return "\n\n".join(
        [
            "## Class by class",
            "F1 vs labels.",
            _table(("intent", "labelled rows", *found["ways"]), rows),
            f"![confusion]({pictures}/confusion.png)",
        ]
    )


def _calibration(document: Document, pictures: str) -> str:
    found, measure = document["by_series"]["calibration"], document["calibration"]
    rows = [
        (
            intent,
            f"{found['hybrid'][intent]['rows']:,}",
            _figure(found["hybrid"][intent]["ece"]),
            _number(found["hybrid"][intent]["floor"]),
            _number(found["hybrid"][intent]["floor_by_round"]),
            _met(found["hybrid"][intent]["ece"]["value"], measure["goal"], least=False),
            _number(found["hybrid"][intent]["worst_match"]),
            _figure(found["model"][intent]["ece"]),
            _number(found["model"][intent]["floor_by_round"]),
        )
        for intent in INTENTS
    ]
    head = (
        "intent",
        "rows",
        "hybrid",
        "floor, rows apart",
        "floor, rounds apart",
        f"≤ {measure['goal']}",
        "worst match",
        "model alone",
        "floor, rounds apart",
    )
    return "\n\n".join(
        [
            "## Calibration",
            _prose(
                """Calibration error of each class, all matches together and of the worst match. A floor is what would
                be
                measured if every probability were right: with each row by itself, and with the rows of a round going
                together as much as they do here, which is the true one. A figure at or below it can't be told from
                perfect calibration, and only more rounds would lower it."""
            ),
            _table(head, rows),
            f"![reliability]({pictures}/reliability.png)",
        ]
    )


def _alarms(document: Document, pictures: str) -> str:
    rows = []
    for intent, each in document["by_series"]["warned"].items():
        if "recall" not in each:
            rows.append((intent, str(each["acts"]), *[""] * 7))
            continue
        low, high = min(each["thresholds"]), max(each["thresholds"])
        rows.append(
            (
                intent,
                str(each["acts"]),
                f"{100 * each['base_rate']:.2f} %",
                _figure(each["pr_auc"]),
                _figure(each["recall"], digits=2),
                _figure(each["recall_before_start"], digits=2),
                _figure(each["median_lead_s"], digits=1),
                _figure(each["false_per_round"], digits=2),
                f"{low:.2g}" + (f" to {high:.2g}" if high > low else ""),
            )
        )
    head = (
        "act",
        "acts",
        "instants in an act",
        "area under precision and recall",
        "warned of before it was over",
        "before it started",
        "median lead, s",
        "false alarms a round",
        "threshold",
    )
    words = "Against the log's own events, by the hybrid's probability."
    if any(each.get("threshold_from") == "the series itself" for each in document["by_series"]["warned"].values()):
        words += " **One series only: the threshold was chosen on that series itself, so recall and lead flatter.**"
    return "\n\n".join(["## Warnings", words, _table(head, rows), f"![alarms]({pictures}/alarms.png)"])


def _rules(found: Document) -> str:
    rows = [
        (
            f"`{each['rule']}`",
            each["intent"],
            f"{each['rows']:,}",
            f"{each['labelled']:,}",
            " to ".join(dict.fromkeys(_number(end, 2) for end in each["says"])),
            _number(each["configured"], 2),
            _figure(each["right"], digits=2),
            _figure(each["model_right"], digits=2),
            _figure(each["log_loss_less_model"], signed=True),
        )
        for each in found["rules"]
    ]
    words = """Each rule on the instants that it decides: how often the label is its intent, beside the probability that
    the rule has by itself here (that of the matches trained on, where there are any) and in
    `configs/intents.yaml`, which the model then raises and lowers; how often the model alone would agree there; and the
    log-loss of the hybrid less the model's there. A rule whose last figure is above zero costs more than it brings."""
    head = (
        "rule",
        "intent",
        "instants",
        "labelled",
        "says",
        "configured",
        "right",
        "model right",
        "log-loss less model's",
    )
    return "\n\n".join(["## Rules", _prose(words), _table(head, rows)])


def _flips(found: Document) -> str:
    each = found["flips"]
    rows = [
        ("most probable intent, instant by instant", _figure(each["before"], digits=1)),
        ("after segmentation", _figure(each["after"], digits=1)),
        ("instant by instant, where labels do not abstain", _figure(each["spoken"], digits=1)),
        ("the labels themselves, there", _figure(each["labels"], digits=1)),
    ]
    words = """Changes of intent per player-minute. The last two are over pairs of neighbouring instants that both have
    a label; whether labels change where they abstain nobody knows."""
    return f"## Flips\n\n{_prose(words)}\n\n{_table(('', 'per minute'), rows)}"


def _death(document: Document) -> str:
    found = document["by_series"].get("death")
    if not found:
        return ""
    measure = document["death"]
    rows = [
        (
            _figure(found["f1"]),
            _figure(found["precision"]),
            _figure(found["recall"]),
            _figure(found["pr_auc"]),
            f"{100 * found['base_rate']:.2f} %",
            f"{found['rows']:,}",
        )
    ]
    words = f"""A side task, so that there is one number to hold against others' work: LightGBM on the same features,
    the player's own and what those of the enemies tell at that instant ({measure["rounds"]} trees of
    {measure["leaves"]} leaves), and the same folds. The threshold is the one with the best F1 on training matches, each
    foretold by trees that did not see its series. The public figure on CS:GO is F1
    {measure["public_f1"]} (LSTM; other
    matches, another rate of death, so the two are no race). Goal: ≥ {measure["goal_f1"]}."""
    head = ("F1", "precision", "recall", "area under precision and recall", "instants before a death", "rows")
    return f"## Death within {measure['horizon_ms'] / 1000:g} s\n\n{_prose(words)}\n\n{_table(head, rows)}"


def _people(found: Document) -> str:
    told = found.get("people")
    if told is None:
        return ""
    head = ("answer", "macro-F1", "accuracy", "log-loss")
    parts = ["## Agreement with people"]
    titles = {"judged": "All segments that people judged", "audit": "Of these the random audit, the only fair sample"}
    for name, title in titles.items():
        each = told[name]
        size = f"""**{title}**: {each["segments"]:,} segments, {each["rows"]:,} instants with an intent and
        {each["rows_of_none"]:,} that are none of the nine."""
        parts.append(_prose(size))
        if not each["rows"]:
            continue
        rows = [
            (_WAYS[way], *(_figure(figures[measure]) for measure in ("macro_f1", "accuracy", "log_loss")))
            for way, figures in each["ways"].items()
        ]
        if each["labels_right"]:
            rows.append((f"labels' rules, on {each['labelled']:,} instants", "", _figure(each["labels_right"]), ""))
        parts.append(_table(head, rows))
    return "\n\n".join(parts)


def _groups(document: Document) -> str:
    parts = [
        "## Where the error lies",
        _prose(
            f"""The hybrid's, by group of at least {document["least_rows"]} labelled rows; the majority's in
            brackets. Macro-F1 is over the classes that the group's labels hold, so it compares with the baseline of
            its row, not from row to row."""
        ),
    ]
    for title, found in document["by_series"]["groups"].items():
        parts.append(_table(_group_head(title), [_group(each) for each in found]))
    return "\n\n".join(parts)


def _group_head(title: str) -> tuple[str, ...]:
    return (f"by {title}", "labelled rows", "macro-F1", "log-loss", "accuracy")


def _group(each: Document) -> tuple[str, ...]:
    return (
        str(each["group"]),
        f"{each['rows']:,}",
        f"{_figure(each['macro_f1'])} ({_figure(each['majority']['macro_f1'])})",
        f"{_figure(each['log_loss'])} ({_figure(each['majority']['log_loss'])})",
        _figure(each["accuracy"]),
    )


def _splits(document: Document) -> str:
    splits = document.get("splits")
    if not splits:
        return ""
    rows = []
    for title, found in {"series (the protocol)": document["by_series"], **splits}.items():
        if not found:
            rows.append((title, *[""] * 5))
            continue
        ways = found["ways"]
        rows.append(
            (
                title,
                str(len(found["matches"])),
                _figure(ways["hybrid"]["macro_f1"]),
                _figure(ways["hybrid"]["log_loss"]),
                _figure(ways["model"]["macro_f1"]),
                _figure(ways["majority"]["log_loss"]),
            )
        )
    head = ("held out by", "tests", "hybrid macro-F1", "hybrid log-loss", "model macro-F1", "majority's log-loss")
    each = [
        (
            title,
            f"`{match['match']}`",
            match["map"],
            ", ".join(f"`{name}`" for name in match["trained_on"]),
            _figure(match["hybrid"]["macro_f1"]),
            _figure(match["hybrid"]["log_loss"]),
            _figure(match["majority"]["log_loss"]),
        )
        for title in ("map", *(() if document["teams_apart"] else ("team",)), "one series only")
        for match in (splits[title] or {"matches": []})["matches"]
    ]
    single = ("held out by", "tested", "map", "trained on", "macro-F1", "log-loss", "majority's")
    words = "**Map.** Neither the tested map nor its series was ever seen. **Team.** " + (
        """No team's id appears in two series, so by series every tested team is held out, as far as ids tell, and
        *team* is the same trainings.
        Where a source
        names teams anew in each match, ids tell little: two series may share a team under two names. *One series only*
        shows each pair of series, so whoever knows who played can read off those that have no team in common."""
        if document["teams_apart"]
        else """Some teams play in several series; in *team* neither team of the tested match was ever seen."""
    )
    return "\n\n".join(["## Held out otherwise", _table(head, rows), _prose(words), _table(single, each)])


def _transfer(document: Document) -> str:
    found = document.get("transfer")
    if not found:
        return ""
    parts = ["## Transfer from dense to sparse positions"]
    for name, each in found.items():
        rows = [
            (
                title,
                f"{inputs['labelled']:,}",
                *(_figure(inputs["ways"][way]["macro_f1"]) for way in ("hybrid", "model", "heuristics", "majority")),
                _figure(inputs["ways"]["hybrid"]["log_loss"]),
                _figure(inputs["ways"]["majority"]["log_loss"]),
            )
            for title, inputs in each["inputs"].items()
        ]
        head = (
            "input and labels",
            "labelled rows",
            "hybrid macro-F1",
            "model",
            "rules, then prior",
            "majority",
            "hybrid log-loss",
            "majority's log-loss",
        )
        agree = f"{100 * each['labels_agree']:.1f} %" if each["labels_agree"] is not None else "none"
        words = f"""`{name}` is the match `{each["dense"]}` as another source tells it, with fewer positions. Model
        `{each["model_version"]}` was trained on {len(each["trained_on"])} other matches, none of them sparse, and
        saw neither of
        the two. The first two rows are the same instants with the same labels, those of the dense recording; where both
        recordings have a label, they agree on {agree} of the instants. One match: intervals are over its rounds."""
        parts += [
            _prose(words),
            _table(head, rows),
            _table(
                _group_head("longest gap, sparse input"),
                [_group(group) for group in each["inputs"]["sparse input, dense labels"]["groups"]],
            ),
        ]
    return "\n\n".join(parts)


def _simulated(document: Document) -> str:
    found = document.get("simulated")
    if not found:
        return ""
    names = {"labels": "labels in hindsight", **_WAYS}
    rows = [
        (
            names[name],
            _figure(each["macro_f1"]),
            _figure(each["accuracy"]),
            _figure(found["every"][name]["macro_f1"]) if name in found["every"] else "",
            _figure(found["every"][name]["accuracy"]) if name in found["every"] else "",
        )
        for name, each in found["spoken"].items()
    ]
    single = [
        (intent, *(_figure(found["spoken"][name][f"f1_{intent}"]) for name in ("labels", "hybrid", "heuristics")))
        for intent in INTENTS
    ]
    words = f"""Players of a simulated match know what they mean. A model is trained on the *labels* of
    {", ".join(f"`{name}`" for name in found["taught"])}; labels and predictions of
    {", ".join(f"`{name}`" for name in found["judged"])} are held against what the players truly
    meant. Labels speak of {100 * found["coverage"]:.1f} % of {found["rows"]:,} instants, and
    see what comes after; a prediction does not. Simulated play is simpler than real play, so these figures say how far
    the definitions carry, not how well real players are read."""
    head = ("against the truth", "macro-F1 where labels speak", "accuracy", "macro-F1 everywhere", "accuracy")
    return "\n\n".join(
        [
            "## Against true intent, simulated",
            _prose(words),
            _table(head, rows),
            _table(("F1 where labels speak", "labels", "hybrid", "rules, then the prior"), single),
        ]
    )


def _limits(document: Document) -> str:
    number = len(document["by_series"]["matches"])
    lines = [
        f"""- {number} matches are few. Matches drawn with replacement from {number} give intervals that are too
        narrow; drawing
        rounds within them widens them again, by how much nobody can tell from these data. Look at the single
        matches, and
        at the count of those in which the hybrid is better, before the intervals.""",
        """- The rules' bounds, the thresholds of the labels and the settings of the trees were
        chosen by
        people who looked at recorded matches, these among them. No split undoes that; other recordings would.""",
        """- The weights of the labels' rules were fitted to logs of recorded matches, which are named in
        `configs/intents.yaml`, and to simulated players. Where a match judged here is one of them, the labels that it
        is judged by have seen it. `docs/labels.md` holds labels against logs with weights learned without the
        match.""",
        "- Labels abstain where they are not sure, and such rows are not judged: what is left is the easier part.",
        """- Neighbouring instants say nearly the same; a round, not a row, is what counts once in the intervals.""",
    ]
    lines = [_prose(line, "  ") for line in lines]
    left_out = dict(document["skipped"])
    if document["kind"] == "model":
        left_out |= {name: f"a sparser recording of `{dense}`" for name, dense in document["recorded_twice"].items()}
    skipped = "".join(f"\n- `{name}`: {why}" for name, why in left_out.items())
    return "## Limits\n\n" + "\n".join(lines) + (f"\n\nNot judged:\n{skipped}" if skipped else "")


def _versions(document: Document) -> str:
    rows = [(name, f"`{value}`") for name, value in document["versions"].items()]
    return (
        "## Versions\n\nHashes of source and configuration; the same ones and the same logs give the same report.\n\n"
        + _table(("what", "version"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _figure(each: Mapping[str, float | None], *, digits: int = 3, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if each["value"] is None:
        return ""
    value = f"{each['value']:{sign}.{digits}f}"
    if each["low"] is None or each["high"] is None:
        return value
    return f"{value} [{each['low']:{sign}.{digits}f}, {each['high']:{sign}.{digits}f}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _met(value: float | None, goal: float, *, least: bool = True) -> str:
    if value is None:
        return ""
    short = goal - value if least else value - goal
    return "yes" if short <= 0 else f"**no**, by {short:.3f}"
