"""A park: joggers on a round path among trees, somebody on a bench, a walk in between.

Belongs here: trees, benches and who enjoys them. Does not belong here: how to go around a tree (paths).
"""

import math
from collections.abc import Sequence

from pipeline.scenes.story import Spot, Stage


def park(stage: Stage) -> Sequence[str]:
    """A jogger's rounds, a walker among trees, and somebody who sits and looks."""
    stage.ground = "grass"
    wide, deep = stage.uniform(11, 15), stage.uniform(7, 9)

    def ring(angle: float, more: float = 0.0) -> Spot:
        return ((wide + more) * math.cos(angle), (deep + more) * math.sin(angle))

    stage.paint(*[ring(k * math.pi / 36) for k in range(72)], color="#c9b48a", width_m=1.8, closed=True)
    bench = (stage.uniform(-3, 3), -deep - 2.2)
    stage.put("bench", bench)
    for _ in range(int(stage.rng.integers(6, 10))):
        stage.put("tree", stage.spot((-6, 6), (-3.5, 3.5)) if stage.rng.random() < 0.4 else
                  stage.spot((-26, 26), (-deep - 16, -deep - 6)), scale=stage.uniform(0.5, 1.1))  # fmt: skip
    turn = stage.pick(1.0, -1.0)
    for k in range(int(stage.rng.integers(1, 3))):
        begin = stage.uniform(0, 2 * math.pi)
        rounds = int(stage.rng.integers(10, 15))
        jogger = stage.cast("jogger", ring(begin, 0.5 - k))
        jogger.do("look", stage.uniform(0.4, 2.0))
        jogger.go(
            *[ring(begin + turn * (j + 1) * math.pi / 6, 0.5 - k) for j in range(rounds)], action="jog", free=False
        )
        jogger.do("stand", 3.0)
    walker = stage.cast("walker", stage.spot((-14, -9), (-2, 4)))
    walker.go(stage.spot((7, 10), (-3, 4)), action="walk").do("look", 2.0).go(
        (bench[0] + 1.3, bench[1] + 0.9), action="walk"
    )
    walker.face(bench).do("wave", 1.6).do("talk", 4.0)
    sitter = stage.cast("reader", (bench[0], bench[1] + 0.05))
    sitter.heading = stage.pick(-0.3, math.pi + 0.3)
    sitter.do("sit", 12.0).do("eat", 6.0).do("sit", 60.0)
    stage.follow = ("jogger0", walker.id)
    stage.ends(max(cast.time for cast in stage.casts if cast is not sitter))
    return [
        "A jogger runs around a park path while somebody walks among the trees to a bench.",
        "In the park one person jogs in circles, another strolls between trees, a third sits on a bench.",
        "Somebody jogs around the lawn; a walker passes the trees and talks to a reader on a bench.",
        "People spend a quiet day in the park, jogging, walking and sitting.",
    ]
