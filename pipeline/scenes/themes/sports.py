"""A sports field: sprints over a hundred metres, or a ball passed on towards a goal.

Belongs here: the field and the play. Does not belong here: how fast a sprint is (configuration).
"""

from collections.abc import Sequence

from pipeline.scenes.schema import Throw
from pipeline.scenes.story import Stage


def sports(stage: Stage) -> Sequence[str]:
    """A race, or a football attack."""
    return _race(stage) if stage.rng.random() < 0.5 else _attack(stage)


def _race(stage: Stage) -> Sequence[str]:
    stage.ground = "pitch"
    lanes = int(stage.rng.integers(3, 6))
    length = stage.pick(60.0, 100.0)
    stage.paint(
        (-8, -0.7),
        (length + 22, -0.7),
        (length + 22, 1.3 * lanes - 0.6),
        (-8, 1.3 * lanes - 0.6),
        color="#b5553d",
        width_m=None,
    )
    for lane in range(lanes + 1):
        z = 1.3 * lane - 0.65
        stage.paint((-8.0, z), (length + 22, z), color="#ffffff", width_m=0.06)
    for x in (0.0, length):
        stage.paint((x, -0.65), (x, 1.3 * lanes - 0.65), color="#ffffff", width_m=0.12)
    start = stage.uniform(1.5, 3.0)
    for lane in range(lanes):
        runner = stage.cast("sprinter", (-0.3, 1.3 * lane))
        runner.heading = 0.0
        runner.do("crouch", start + stage.uniform(0.12, 0.25))
        runner.go(
            (length + 12.0, 1.3 * lane),
            action="elite_sprint" if lane == 1 and length == 100.0 else "sprint",
            free=False,
        )
        runner.do(stage.pick("celebrate", "stand"), 2.5).go((length - 2.0, 1.3 * lane), action="walk")
    starter = stage.cast("starter", (-3.5, -1.8)).face((10.0, 0.0))
    starter.do("stand", start - 0.8).do("point", 1.5).do("look", 20.0)
    stage.follow = tuple(cast.id for cast in stage.casts if cast is not starter)
    stage.ends(26.0)
    metres = round(length)
    return [
        f"{lanes} sprinters race over {metres} metres and slow down behind the line.",
        f"On a track {lanes} runners crouch, sprint {metres} m and celebrate.",
        f"A {metres} metre race: the runners start on the signal and dash down their lanes.",
        "Athletes run side by side as fast as they can; somebody gives the start.",
    ]


def _attack(stage: Stage) -> Sequence[str]:
    stage.ground = "pitch"
    half, wide = 45.0, 30.0
    stage.paint((-half, -wide), (half, -wide), (half, wide), (-half, wide), width_m=0.14, closed=True)
    stage.paint((0.0, -wide), (0.0, wide), width_m=0.14)
    stage.paint((half, -10), (half - 16.5, -10), (half - 16.5, 10), (half, 10), width_m=0.14)
    stage.put("goal", (half, 0.0))
    first = stage.cast("midfielder", (stage.uniform(-6, 2), stage.uniform(-8, -2)), team="red", color="#d1495b")
    wing = stage.cast("winger", (stage.uniform(2, 8), stage.uniform(9, 14)), team="red", color="#d1495b")
    striker = stage.cast("striker", (stage.uniform(8, 14), stage.uniform(-4, 3)), team="red", color="#d1495b")
    keeper = stage.cast("goalkeeper", (half - 1.0, 0.0), team="blue", color="#00798c")
    defender = stage.cast("defender", (stage.uniform(22, 26), stage.uniform(-3, 3)), team="blue", color="#00798c")
    begin = stage.uniform(0.8, 2.0)
    wing_to, box = (stage.uniform(26, 30), stage.uniform(12, 16)), (stage.uniform(33, 37), stage.uniform(-4, 4))
    wing.do("stand", begin).go(wing_to, action="run")
    cross = max(wing.time, begin + 2.0)
    striker.do("look", begin + 0.5).go(box, action=stage.pick("run", "jog"))
    shot = max(cross + 1.2, striker.time + 0.2)
    scored = bool(stage.rng.random() < 0.6)
    target = (half + 0.2, stage.uniform(-3.0, 3.0))
    ahead, foot = _low((wing.start[0] + 5, wing.start[1])), (box[0] + 0.4, 0.2, box[1])
    ball = (
        Throw(begin=begin, end=begin + 1.6, start=_low((first.at[0] + 0.4, first.at[1])), target=ahead, flies=False),
        Throw(begin=begin + 1.6, end=cross, start=ahead, target=_low(wing_to), flies=False),
        Throw(begin=cross, end=shot - 0.1, start=_low(wing_to), target=foot),
        Throw(begin=shot, end=shot + 0.6, start=foot, target=(target[0], 0.4, target[1]), flies=False),
    )
    stage.put("ball", (first.at[0] + 0.4, first.at[1]), throws=ball)
    wing.do("swing", 1.0).do("look", 2.0)
    striker.until(shot - 0.3, "look").do("swing", 0.9).do("celebrate" if scored else "stand", 3.0)
    first.do("swing", begin + 0.6).go((stage.uniform(18, 24), stage.uniform(-8, -3)), action="jog").do("look", 3.0)
    defender.do("crouch", begin + 0.8).go((box[0] - 1.5, box[1] + 1.2), action="run").do("look", 3.0)
    keeper.face(first.at).do("crouch", shot).do("catch", 1.2).do("stand" if scored else "celebrate", 4.0)
    if scored:
        wing.go((box[0] - 1.0, box[1] + 1.6), action="jog").do("celebrate", 3.0)
    stage.follow = (striker.id, wing.id, keeper.id)
    stage.ends(max(cast.time for cast in stage.casts))
    end = "scores" if scored else "the goalkeeper holds the ball"
    return [
        f"A winger runs down the side, crosses to the striker and {end}.",
        f"A football attack: pass, run, cross, shot, and {end}.",
        "Football players run towards the goal and pass the ball to the striker, who shoots.",
        "A team in red attacks over the wing against a defender and a goalkeeper.",
    ]


def _low(at: tuple[float, float]) -> tuple[float, float, float]:
    return at[0], 0.0, at[1]
