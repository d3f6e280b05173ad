"""One colour per intent, for whatever draws them.

Belongs here: the colours. Does not belong here: any drawing (`assets/plots.py`, `pipeline.intents.evaluation.figures`).
"""

from pipeline.intents.vocabulary import INTENTS

# Colour-blind safe (Okabe-Ito), in the vocabulary's order.
INTENT_COLOURS: dict[str, str] = dict(
    zip(
        INTENTS,
        ("#0072B2", "#56B4E9", "#999999", "#F0E442", "#D55E00", "#009E73", "#CC79A7", "#7A4FBF", "#B22222"),
        strict=True,
    )
)
