"""An office and a cafe: people at tables who type, eat and talk, and those who come and go.

Belongs here: rooms with tables and chairs. Does not belong here: how high a chair is (configuration).
"""

import math
from collections.abc import Sequence

from pipeline.scenes.story import Spot, Stage

_SEAT_M = 0.95  # from the middle of a table


def office(stage: Stage) -> Sequence[str]:
    """People type at their desks; a colleague walks from one to the next."""
    tables = _room(stage, 4, "#d8d2c4")
    seated = _sitters(stage, tables, "office worker", "type")
    visitor = stage.cast("colleague", (-9.0, 4.0))
    for k in stage.rng.permutation(len(tables))[:3]:
        at = (tables[k][0] - 1.7, tables[k][1] + 1.4)
        visitor.go(at, action="walk").face(tables[k]).do(stage.pick("talk", "point", "look"), stage.uniform(2.0, 4.0))
    visitor.go((-9.5, 4.5), action="walk").do("wave", 2.0)
    stage.ends(visitor.time)
    return [
        f"{seated} people type at their desks while a colleague walks from table to table.",
        "In an office a visitor goes around the desks and talks to the workers.",
        "Office workers sit and type; somebody walks through the room and stops to talk.",
        "A colleague makes the round of an office and waves goodbye.",
    ]


def cafe(stage: Stage) -> Sequence[str]:
    """Guests eat and talk; a waiter brings food from the counter."""
    tables = _room(stage, 3, "#cfb08a")
    seated = _sitters(stage, tables, "guest", "eat")
    counter = (-9.0, -4.0)
    stage.put("table", (counter[0] - 1.4, counter[1]), scale=1.05)
    waiter = stage.cast("waiter", counter)
    waiter.do("talk", stage.uniform(0.5, 2.0))
    for k in stage.rng.permutation(len(tables)):
        at = (tables[k][0] - 1.7, tables[k][1] + 1.2)
        waiter.go(at, action="walk").face(tables[k]).do("collect", 1.2)
        stage.put("food", (tables[k][0] - 0.2, tables[k][1] + 0.1), y=stage.height("table"), from_s=waiter.time)
        waiter.do("talk", 1.5).go(counter, action="walk").do("collect", 1.0)
    stage.ends(waiter.time)
    return [
        f"A waiter carries food to {seated.lower()} guests in a cafe.",
        "In a cafe people eat at tables while the waiter walks between the counter and them.",
        "Guests sit and eat; a waiter brings them one dish after the other.",
        "A waiter walks to and fro in a small cafe and serves everybody.",
    ]


def _room(stage: Stage, count: int, floor: str) -> list[Spot]:
    stage.ground = "room"
    stage.paint((-13, -8), (13, -8), (13, 8), (-13, 8), color=floor, width_m=None)
    tables = []
    for k in range(count):
        at = (-4.5 + 5.4 * (k % 3) + stage.uniform(-0.5, 0.5), (-2.8 if k < 3 else 3.4) + stage.uniform(-0.5, 0.5))
        stage.put("table", at)
        tables.append(at)
    return tables


def _sitters(stage: Stage, tables: list[Spot], kind: str, action: str) -> str:
    count = 0
    for at in tables:
        for side in (-1.0, 1.0):
            if side > 0 and stage.rng.random() < 0.45:
                continue
            seat = (at[0] + side * _SEAT_M, at[1])
            stage.put("chair", (seat[0], seat[1] - 0.01))
            sitter = stage.cast(kind, seat)
            sitter.heading = 0.0 if side < 0 else math.pi
            for _ in range(6):
                sitter.do(action, stage.uniform(3, 8)).do("sit", stage.uniform(1.0, 3.0))
            count += 1
    return ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight")[count]
