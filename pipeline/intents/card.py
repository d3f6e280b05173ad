"""What is kept beside a model for people and programs that never saw its training.

Belongs here: the model card (Mitchell et al. 2019, Model Cards for Model Reporting), the signature, what two trainings
differ in. Does not belong here: the figures themselves (`training`, `promotion`).
"""

import json
from collections.abc import Mapping

from pipeline.intents.model import BoosterModel, Manifest
from pipeline.intents.training import TEST, TRAIN, Trained
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES

CARD, SIGNATURE = "card.md", "signature.json"


def documents(trained: Trained) -> dict[str, bytes]:
    """Card, signature and pictures of a training, by file name."""
    return {CARD: card(trained).encode(), SIGNATURE: signature(trained.model).encode(), **trained.figures}


def signature(model: BoosterModel) -> str:
    """Inputs and outputs as MLflow's schemas write them: the features in order (null where not known), nine numbers."""
    inputs = [{"type": "float", "name": name, "required": False} for name in model.manifest.features]
    outputs = [{"type": "double", "name": name, "required": True} for name in PROBABILITIES]
    return json.dumps({"inputs": inputs, "outputs": outputs}, indent=1) + "\n"


def changes(before: Manifest, after: Manifest) -> list[str]:
    """In what a training differs from an earlier one, in words; nothing if they are the same training.

    Args:
        before: what the earlier one depended on.
        after: what the later one depends on.
    """
    came, went = (sorted(set(one) - set(other)) for one, other in _both_ways(after.matches, before.matches))
    told = [f"new matches ({len(came)}): {_list(came)}"] if came else []
    told += [f"matches gone ({len(went)}): {_list(went)}"] if went else []
    if after.rows != before.rows:
        told.append(f"{after.rows:,} labelled rows, {after.rows - before.rows:+,}")
    elif after.rows_sha256 != before.rows_sha256 and not (came or went):
        told.append("as many labelled rows of the same matches, but other labels or features in them")
    kept, freed = (sorted(set(one) - set(other)) for one, other in _both_ways(after.held_out, before.held_out))
    told += [f"held out from training now: {_list(kept)}"] if kept else []
    told += [f"no longer held out: {_list(freed)}"] if freed else []
    named = {
        "config_hash": "settings of labels, rules or training (configs/intents.yaml)",
        "label_version": "code of the labels",
        "code_version": "code of features, training or calibration",
        "features": "list of features",
        "intents": "list of intents",
        "seed": "seed",
    }
    told += [f"changed: {words}" for name, words in named.items() if getattr(after, name) != getattr(before, name)]
    old, new = before.libraries, after.libraries
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            told.append(f"{name} {old.get(name, 'not used')} → {new.get(name, 'not used')}")
    return told


def _both_ways(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    return (one, other), (other, one)


def _list(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def card(trained: Trained) -> str:
    """The model card, as Markdown."""
    manifest, parts = trained.model.manifest, trained.parts
    return f"""# Intent model {trained.model.version}

What a player means at an instant, as probabilities of {", ".join(INTENTS)}. {len(manifest.features)} features of the
player's last seconds in, nine probabilities out. It looks at nothing later than the instant. Rules of
`configs/intents.yaml` answer before it where they are certain.

**Not for** judging people, and not for games other than those it was trained on.

**Trained on** {parts[TRAIN]:,} rows of {manifest.rows:,} labelled ones of {len(manifest.matches)} matches, judged on
{parts[TEST]:,}. Never learned from: {", ".join(manifest.held_out)}. Labels are the project's own rules in
hindsight, and decisions of reviewers where there are any: every figure below is agreement with these, not truth.

**Probabilities** are calibrated on rows that the calibrating trees had not seen.

{_table(trained.metrics)}

Configuration {manifest.config_hash}, labels {manifest.label_version}, code {manifest.code_version}, seed
{manifest.seed}, {", ".join(f"{name} {number}" for name, number in sorted(manifest.libraries.items()))}.
Matches: {", ".join(manifest.matches)}.
"""


def _table(metrics: Mapping[str, float]) -> str:
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics.items())
    return f"| on held-out rows | |\n|---|---|\n{rows}"
