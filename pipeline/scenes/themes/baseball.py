"""Baseball: a pitch, a hit, a run around the bases, and fielders who chase the ball.

Belongs here: the diamond and the play. Does not belong here: measures of the field (configuration).
"""

import math
from collections.abc import Sequence

from pipeline.scenes.schema import Throw
from pipeline.scenes.story import Cast, Spot, Stage

HOME = (0.0, 0.0)


def baseball(stage: Stage) -> Sequence[str]:
    """A batter hits a ball and runs home by way of all bases, or as far as the story is long."""
    side = stage.config.themes.base_path_m
    half = side / math.sqrt(2.0)
    first, second, third = (half, -half), (0.0, -2.0 * half), (-half, -half)
    mound = (0.0, -stage.config.themes.mound_m)
    _field(stage, side, (first, second, third), mound)

    batter = stage.cast("batter", (-0.9, 0.2), team="home")
    pitcher = stage.cast("pitcher", mound, team="field")
    catcher = stage.cast("catcher", (0.0, 1.6), team="field")
    posts = {
        "first baseman": (first[0] - 2, first[1] - 3),
        "second baseman": (7.0, second[1] + 3.5),
        "third baseman": (third[0] + 2, third[1] - 3),
        "center fielder": (stage.uniform(-8, 8), -72.0),
    }
    fielders = [stage.cast(name, at, team="field") for name, at in posts.items()]
    for fielder in fielders:
        fielder.face(HOME)
    batter.face(mound)
    pitcher.face(HOME)
    catcher.face(mound)

    wind_up = stage.uniform(0.6, 1.6)
    released = wind_up + 0.5
    met = released + stage.config.themes.mound_m / stage.config.themes.pitch_mps
    hit = _hit(stage)
    landed = met + 1.6 + 0.02 * math.dist(HOME, hit)
    chaser = min(fielders, key=lambda fielder: math.dist(fielder.at, hit))
    thrower_target = (third[0] + 1.0, third[1])
    bases = [first, second, third, HOME, (-3.2, 3.0)]
    reached = stage.pick(1, 2, 4, 4, 4)

    batter.do("stand", wind_up).do("swing", met - wind_up + 0.4)
    if reached == 4:
        batter.go(*bases, action="running_bases").do("celebrate", 4.0)
    else:
        batter.go(*bases[:reached], action="running_bases").do("stand", 2.0)
    pitcher.do("stand", wind_up).do("pitch", 1.0).face(hit).do("look", 3.0)
    catcher.do("crouch", met + 0.5).do("stand", 1.0)
    ways = _fielding(stage, chaser, fielders, hit, met, landed, thrower_target)
    ball = _ball(stage, mound, released, met, hit, landed, ways)
    stage.put("baseball", mound, y=1.6, throws=ball, color="#ffffff")
    catcher.face(HOME).until(batter.time, "look")
    stage.follow, stage.width_m = (batter.id,), 15.0
    stage.ends(batter.time)
    whither = {1: "to first base", 2: "to second base", 4: "around all the bases"}[reached]
    end = "scores a home run" if reached == 4 else f"stops at {('first', 'second')[reached - 1]}"
    return [
        f"A batter hits the ball and runs {whither} while the {chaser.kind} chases it.",
        f"The pitcher throws, the batter swings, runs {whither} and {end}.",
        f"In a baseball game a player bats, then runs {whither}; a fielder goes after the ball.",
        f"Baseball: after the hit the runner {end}, and the {chaser.kind} throws the ball back.",
    ]


def _field(stage: Stage, side: float, bases: tuple[Spot, Spot, Spot], mound: Spot) -> None:
    stage.ground = "diamond"
    first, second, third = bases
    dirt = [(0.0, 5.0), (first[0] + 6, first[1] + 1), (second[0], second[1] - 7), (third[0] - 6, third[1] + 1)]
    stage.paint(*dirt, color="#b98a5a", width_m=None)
    inner = 0.80
    middle = (0.0, second[1] / 2)
    grass = [(middle[0] + inner * (x - middle[0]), middle[1] + inner * (z - middle[1])) for x, z in (HOME, *bases)]
    stage.paint(*grass, color="#6fa35a", width_m=None)
    stage.paint(*[(mound[0] + 2.7 * math.cos(a), mound[1] + 2.7 * math.sin(a)) for a in
                  (k * math.pi / 12 for k in range(24))], color="#b98a5a", width_m=None)  # fmt: skip
    for corner in (first, third):
        stage.paint(HOME, (3.4 * corner[0], 3.4 * corner[1]), color="#ffffff", width_m=0.12)
    for base in (HOME, *bases):
        stage.put("base", base, color="#ffffff")


def _hit(stage: Stage) -> Spot:
    """Where the ball comes down: in the outfield, between the lines."""
    angle = stage.uniform(-0.6, 0.6)
    far = stage.uniform(48.0, 85.0)
    return (far * math.sin(angle), -far * math.cos(angle))


def _fielding(stage: Stage, chaser: Cast, fielders: list[Cast], hit: Spot, met: float, landed: float,
              target: Spot) -> tuple[float, float, Spot]:  # fmt: skip
    """Fielders react; returns when the ball is picked up, when it is thrown, and where to."""
    react = met + stage.uniform(0.25, 0.5)
    chaser.until(react, "crouch").go(hit, action=stage.pick("run", "sprint"))
    caught = max(chaser.time, landed)
    chaser.until(caught, "catch").do("collect", 0.7).face(target).do("pitch", 0.8)
    thrown = chaser.time - 0.3
    for fielder in fielders:
        if fielder is not chaser:
            away = (0.5 * (fielder.at[0] + hit[0] * 0.25), 0.5 * (fielder.at[1] + hit[1] * 0.4))
            fielder.until(react + stage.uniform(0.0, 0.4), "crouch")
            fielder.go(away, action="jog").face(hit).do("look", 2.0).go(fielder.start, action="jog").face(HOME)
            fielder.do("catch", 3.0)
    chaser.do("look", 2.5).go(chaser.start, action="jog")
    return caught + 0.7, thrown, target


def _ball(stage: Stage, mound: Spot, released: float, met: float, hit: Spot, landed: float,
          ways: tuple[float, float, Spot]) -> tuple[Throw, ...]:  # fmt: skip
    picked, thrown, target = ways
    flight = max(math.dist(hit, target) / stage.config.themes.throw_mps, 0.4)
    return (
        Throw(begin=released, end=met, start=(mound[0], 1.6, mound[1]), target=(0.0, 0.9, -0.3)),
        Throw(begin=met, end=landed, start=(0.0, 0.9, -0.3), target=(hit[0], 0.05, hit[1])),
        Throw(begin=picked, end=thrown, start=(hit[0], 0.05, hit[1]), target=(hit[0], 1.7, hit[1]), flies=False),
        Throw(begin=thrown, end=thrown + flight, start=(hit[0], 1.7, hit[1]), target=(target[0], 1.2, target[1])),
    )
