"""What lies between the stages that have an area of their own: labels in hindsight, predictions to segments."""

from bench.measure import Figure, interleaved
from bench.workload import Workload
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment


def figures(load: Workload) -> list[Figure]:
    """Rates of labelling and of cutting segments."""
    tables, model = load.tables(), PriorModel.configured()
    features = match_features(tables.match, tables.events, tables.tracks)
    intents, rows = predict(features, model), float(features.height)

    def cut() -> object:
        return segment(intents, features, model_version=model.version, review_threshold=0.6)

    return [
        interleaved(
            "labels in hindsight", lambda: label(tables.events, tables.tracks, features), None, "", rows, "rows"
        ),
        interleaved("intents → segments", cut, None, "", rows, "rows"),
    ]
