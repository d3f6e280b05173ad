"""From a segment's path to a body that moves along it, and to the files that show it."""

from bench.measure import Figure, Goal, interleaved
from bench.motion_clips import test_paths
from bench.workload import Workload
from pipeline.features.match import match_features
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.motion.film import film
from pipeline.motion.gltf import glb
from pipeline.motion.moments import choose, clip_request
from pipeline.motion.path import Infeasible
from pipeline.motion.preview import still
from pipeline.motion.scene import Scene
from pipeline.motion.synthesizer import synthesize

CLIPS, QUICK_CLIPS = 20, 4


def figures(load: Workload) -> list[Figure]:
    """Rates of synthesis, GLB, stills and animated previews."""
    tables, model = load.tables(), PriorModel.configured()
    features = match_features(tables.match, tables.events, tables.tracks)
    intents = predict(features, model)
    segments = segment(intents, features, model_version=model.version, review_threshold=0.6)
    moments = choose(segments, tables.tracks, budget=QUICK_CLIPS if load.quick else CLIPS)
    clips = []
    for moment in moments.iter_rows(named=True):
        request = clip_request(moment, tables.tracks)
        try:
            clips.append((request, synthesize(request)))
        except Infeasible:
            continue
    many = float(len(clips))
    walks = [each.request for each in test_paths()][:: 8 if load.quick else 1]
    walk = synthesize(walks[len(walks) // 2])
    return [
        interleaved(
            "path → GLB, test paths of five seconds",
            lambda: [glb(synthesize(request), {}) for request in walks],
            None,
            "",
            float(len(walks)),
            "clips",
            Goal(at_least=200.0),
        ),
        interleaved("path → clip", lambda: [synthesize(request) for request, _ in clips], None, "", many, "clips"),
        interleaved("clip → GLB", lambda: [glb(clip, {}) for _, clip in clips], None, "", many, "clips"),
        interleaved("clip → still", lambda: still(clips[0][1]), None, "", 1.0, "stills"),
        interleaved(
            "clip of five seconds → animated preview",
            lambda: film(Scene.of(walk)),
            None,
            "",
            1.0,
            "previews",
            Goal(at_least=1.0),
        ),
    ]
