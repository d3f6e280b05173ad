"""A tactical-shooter match simulator: the embedded default input, and the source of test data.

Five against five, two sites, walls, rounds with roles and plans; every player is a small mind with eyes, ears,
reaction time and goals. The same match comes out as canonical log, as GRID log, and as the true intent of each player
at each instant. Everything follows from the seed.

Belongs here: `arena` (the map and its nav graph), `kernel` (compiled geometry and motion), `agents` and `state` (who
and what there is), `behaviour` and `tactics` (what a player and a team want), `combat`, `match` (rules), `canonical`
and `grid` (the logs), `simulated` (the public face). Does not belong here: reading logs, and every figure of the game
(`configs/simulator.yaml`).
"""

from pipeline.events.sources.simulator.arena import BadArena
from pipeline.events.sources.simulator.simulated import SimulatedMatch, simulate, write

__all__ = ["BadArena", "SimulatedMatch", "simulate", "write"]
