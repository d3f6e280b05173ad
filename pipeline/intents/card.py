"""What is kept beside a model for people and programs that never saw its training.

Belongs here: the model card (Mitchell et al. 2019, Model Cards for Model Reporting) and the signature.
Does not belong here: the figures themselves (`training`, `promotion`).
"""

import json
from collections.abc import Mapping

from pipeline.intents.model import BoosterModel
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
