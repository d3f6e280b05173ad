"""Astronauts on a moon: they leave their ship, collect samples and come back, in bounds.

Belongs here: the landing place and what happens there. Does not belong here: gravity (configuration).
"""

from collections.abc import Sequence

from pipeline.scenes.story import COLORS, Stage


def space(stage: Stage) -> Sequence[str]:
    """Two or three astronauts explore; one plants itself at the ship and talks to them."""
    stage.ground = "moon"
    ship = (stage.uniform(-10, -8), -7.0)
    stage.put("spaceship", ship, scale=stage.uniform(0.6, 0.9))
    stage.put("planet", (stage.uniform(12, 24), -20.0), y=0.0, color=stage.pick("#6a7fd0", "#c58b5a", "#7fb0a0"))
    for _ in range(int(stage.rng.integers(4, 8))):
        stage.put("rock", stage.spot((-3, 20), (-8, 8)))
    crew = int(stage.rng.integers(2, 4))
    names = []
    for k in range(crew):
        samples = [stage.spot((-4, 18), (-6, 6)) for _ in range(int(stage.rng.integers(2, 4)))]
        astronaut = stage.cast("astronaut", (ship[0] + 1.0 + 1.4 * k, ship[1] + 6.6), color=COLORS[(2, 0, 1, 5)[k]])
        names.append(astronaut.id)
        astronaut.do("stand", stage.uniform(0.3, 1.5) + k)
        for at in samples:
            astronaut.go(at, action="lope").do("look", stage.uniform(0.8, 1.6)).do("collect", stage.uniform(1.6, 2.6))
            stage.put("sample", (at[0] + 0.45, at[1]), until_s=astronaut.time)
        astronaut.do("wave", 1.6).go((ship[0] + 1.5 + 1.2 * k, ship[1] + 7.2), action="lope").do("celebrate", 2.5)
    guard = stage.cast("astronaut", (ship[0] - 1.5, ship[1] + 7.4), color=COLORS[4])
    guard.face((8.0, 0.0)).do("look", 4.0).do("talk", 5.0).do("wave", 2.5).do("point", 3.0).do("talk", 60.0)
    stage.follow, stage.width_m = tuple(names), 34.0
    stage.ends(max(cast.time for cast in stage.casts if cast is not guard))
    count = ("Two", "Three")[crew - 2]
    return [
        f"{count} astronauts leave their spaceship, bound over the moon and collect samples.",
        f"On the moon, {count.lower()} explorers go from rock to rock in low gravity and bring samples to the ship.",
        f"{count} figures in space suits explore around a spaceship with long floating steps.",
        f"A crew of {count.lower()} gathers stones under low gravity while another one waits at the ship.",
    ]
