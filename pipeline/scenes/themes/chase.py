"""A chase: somebody runs off with something, somebody else after them, around whatever stands there.

Belongs here: who runs from whom. Does not belong here: how to go around a house (paths).
"""

from collections.abc import Sequence

from pipeline.scenes.story import Stage


def chase(stage: Stage) -> Sequence[str]:
    """A thief sprints away, an officer runs after; a bystander points."""
    stage.ground = stage.pick("street", "grass", "concrete")
    for _ in range(int(stage.rng.integers(5, 9))):
        kind = stage.pick("tree", "car", "rock", "tree")
        stage.put(kind, stage.spot((-16, 40), (-9, 9)), scale=stage.uniform(0.5, 1.0) if kind == "tree" else None)
    corners = [stage.spot((-2 + 11 * k, 6 + 11 * k), (-8, 8)) for k in range(4)]
    thief = stage.cast("thief", stage.spot((-14, -9), (-3, 3)))
    officer = stage.cast("officer", stage.spot((-22, -18), (-3, 3)))
    witness = stage.cast("witness", stage.spot((-8, -4), (-9, -6)))
    delay = stage.uniform(0.6, 1.6)
    fast, faster = stage.pick(("jog", "run"), ("run", "sprint"), ("run", "run"))
    thief.do("look", delay).go(*corners, action=fast)
    gone = stage.uniform(0.4, 1.2)
    officer.do("stand", delay + gone).go(*corners[:-1], (corners[-1][0] - 1.4, corners[-1][1] + 0.6), action=faster)
    caught = faster != fast
    if caught:
        end = max(thief.time, officer.time)
        thief.until(end, "stand").face(officer.at).do("crouch", 4.0)
        officer.until(end, "stand").face(thief.at).do("point", 4.0)
    else:
        thief.go((corners[-1][0] + 26.0, corners[-1][1]), action="sprint").do("celebrate", 3.0)
        officer.do("look", 2.0).do("stand", 2.0)
    witness.face(thief.start).do("stand", delay).do("point", 4.0).do("talk", 3.0).go((-2.0, -7.5), action="walk").do(
        "look", 9.0
    )
    stage.follow = (thief.id, officer.id)
    stage.ends(max(thief.time, officer.time))
    end_words = "catches up" if caught else "is left behind"
    return [
        f"A thief runs off around obstacles, an officer chases and {end_words}.",
        f"An officer runs after a thief past cars and trees and {end_words}.",
        f"A chase: one flees, one pursues and {end_words}, a witness points.",
        f"Somebody is pursued through the open, and the pursuer {end_words}.",
    ]
