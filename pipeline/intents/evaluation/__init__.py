"""How good predictions are, against labels, against the log's own events, and against simpler ways to predict.

Belongs here: the protocol, measures, baselines and the report of an evaluation. Does not belong here: training
(`pipeline.intents.training`), what is promoted.

`measures` and `baselines` know no training; `protocol` and what builds on it train models of their own.
"""

from pipeline.intents.evaluation.baselines import majority
from pipeline.intents.evaluation.figures import confusion_figure, importance_figure, reliability_figure
from pipeline.intents.evaluation.measures import Reliability, Scores, reliabilities, score

__all__ = [
    "Reliability",
    "Scores",
    "confusion_figure",
    "importance_figure",
    "majority",
    "reliabilities",
    "reliability_figure",
    "score",
]
