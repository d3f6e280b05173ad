"""A street: people walk, meet, wait at the curb and hurry after a bus that isn't there.

Belongs here: houses, cars, pavements and who is on them. Does not belong here: how to go around a lamp (paths).
"""

from collections.abc import Sequence

from pipeline.scenes.schema import Throw
from pipeline.scenes.story import Stage


def street(stage: Stage) -> Sequence[str]:
    """Walkers on the pavement, two who meet and talk, and one who jogs past."""
    stage.ground = "concrete"
    stage.paint((-90, 3.0), (90, 3.0), (90, 10.0), (-90, 10.0), color="#6d7176", width_m=None)
    for k in range(-14, 15):
        stage.paint((6.0 * k, 6.5), (6.0 * k + 2.5, 6.5), color="#e9e9e2", width_m=0.14)
    for k in range(5):
        stage.put("building", (-34.0 + 17.0 * k, -14.0), color=stage.pick("#9a8f86", "#8e8f98", "#a7947c", "#7f8a94"))
    for k in range(4):
        stage.put("lamp", (-21.0 + 14.0 * k, 1.9))
    speed = stage.uniform(*stage.config.themes.car_mps)
    far = (-60.0 + 40.0 * speed, 0.0, 5.0)
    drive = Throw(begin=0.0, end=40.0, start=(-60.0, 0.0, 5.0), target=far, flies=False)
    stage.put("car", (-60.0, 5.0), color=stage.pick("#c0392b", "#2e5e9e", "#4a4a4a"), throws=(drive,))

    lane = stage.uniform(-2.8, -2.2)
    left = stage.cast("pedestrian", (stage.uniform(-16, -12), lane))
    right = stage.cast("pedestrian", (stage.uniform(10, 14), lane))
    meeting = 0.5 * (left.at[0] + right.at[0])
    for cast, side in ((left, -1), (right, 1)):
        cast.do("stand", stage.uniform(0.2, 1.0)).go((meeting + 0.6 * side, lane), action="walk")
    met = max(left.time, right.time)
    for cast, other in ((left, right), (right, left)):
        cast.until(met, "wave").face(other.at)
    chat = stage.uniform(3.0, 6.0)
    left.do("talk", chat).go((meeting, lane + 0.6), (meeting + 24.0, lane + 0.8), action="walk")
    right.do("look", 0.5 * chat).do("talk", 0.5 * chat)
    right.go((meeting, lane - 0.6), (meeting - 24.0, lane - 0.9), action="walk")
    hurry = stage.cast("commuter", (stage.uniform(-26, -22), stage.uniform(-0.6, 0.4)))
    hurry.do("look", stage.uniform(1.0, 4.0)).go((stage.uniform(14, 20), 0.9), action=stage.pick("run", "jog"))
    hurry.do("wave", 2.0).do("stand", 1.5).go((hurry.at[0] - 9.0, -0.6), action="walk")
    walker = stage.cast("pedestrian", (stage.uniform(18, 24), stage.uniform(-1.6, -0.9)))
    walker.go((-30.0, stage.uniform(-1.8, 0.9)), action="walk")
    stage.follow = (left.id, right.id, hurry.id)
    stage.ends(max(left.time, hurry.time))
    return [
        "Two people meet on the pavement, wave and talk, while a commuter hurries past.",
        "On a city street two pedestrians walk towards each other, stop for a chat and part again.",
        "A commuter runs along the street; two walkers greet each other under the lamps.",
        "People walk in front of tall buildings, some stop to talk and one is in a hurry.",
    ]
