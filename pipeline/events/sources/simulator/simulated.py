"""A simulated match as a user meets it: two logs of the same match, and the truth about it.

Belongs here: the public face of the simulator. Does not belong here: play (`match`), formats (`canonical`, `grid`).
"""

import gzip
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from configs.features import FINEST_GRID_MS
from configs.simulator import SimulatorConfig, load_simulator
from pipeline.events.sources.simulator.agents import PLAYERS
from pipeline.events.sources.simulator.canonical import canonical_lines
from pipeline.events.sources.simulator.grid import grid_lines
from pipeline.events.sources.simulator.match import Recording, play
from pipeline.intents.vocabulary import INTENTS

SERIES_ROUNDS = 10_000  # more than any match has: the ids of two matches differ if their seeds or rounds do
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class SimulatedMatch:
    """A played match.

    Attributes:
        match_id: its id in the canonical log.
        series_id: the id of its series in the GRID log, whose one game is read as match `<series_id>-1`.
        recording: what happened.
    """

    match_id: str
    series_id: str
    recording: Recording

    def canonical_lines(self) -> Iterator[str]:
        """The canonical log, line by line, without line ends."""
        return canonical_lines(self.recording, self.match_id)

    def grid_lines(self, *, full_every: int = 1) -> Iterator[str]:
        """The same match as GRID transactions, line by line, without line ends.

        Args:
            full_every: 1 where every transaction carries the whole state (but for one round); n where only every
                n-th does, 0 where none does, and all else is told by deltas.
        """
        return grid_lines(self.recording, self.series_id, full_every=full_every)

    @property
    def grid_ids(self) -> dict[str, str]:
        """The canonical id of each player and team → the one that is read from the GRID log."""
        first = self.recording.config.grid
        players = {p: f"player:{first.first_player + i}" for i, p in enumerate(self.recording.players)}
        teams = {team: f"team:{first.first_team + k}" for k, team in enumerate(self.recording.teams)}
        return players | teams

    @cached_property
    def truth(self) -> pl.DataFrame:
        """What each player meant, as he knew it himself: the state of his behaviour, not derived from motion.

        Returns:
            `round` int32, `player` str, `t_ms` int64, `intent` str, sorted; a row for each multiple of 250 ms from
            ROUND_LIVE to before ROUND_ENDED and each player whose death is later.
        """
        ms = self.recording.config.clock.ms
        frames = [_EMPTY_TRUTH]
        for played in self.recording.rounds:
            live, end = ms(played.live), ms(played.end)
            deaths = {h.payload["target"]: ms(h.tick) for h in played.happenings if h.kind == "PLAYER_KILLED"}
            instants = np.arange(-(-live // FINEST_GRID_MS) * FINEST_GRID_MS, end, FINEST_GRID_MS, dtype=np.int64)
            sampled = np.array([ms(tick) for tick in played.samples.ticks.tolist()], dtype=np.int64)
            at = np.searchsorted(sampled, instants, side="right") - 1
            for i in range(PLAYERS):
                player = self.recording.players[i]
                living = instants < deaths.get(player, end)
                intents = played.samples.intent[at[living], i]
                frames.append(
                    pl.DataFrame(
                        {
                            "round": np.full(int(living.sum()), played.number, dtype=np.int32),
                            "player": [player] * int(living.sum()),
                            "t_ms": instants[living],
                            "intent": [INTENTS[k] for k in intents.tolist()],
                        },
                        schema=_EMPTY_TRUTH.schema,
                    )
                )
        return pl.concat(frames).sort("player", "t_ms")


_EMPTY_TRUTH = pl.DataFrame(schema={"round": pl.Int32, "player": pl.String, "t_ms": pl.Int64, "intent": pl.String})


def simulate(
    *, rounds: int, seed: int, match_id: str | None = None, config: SimulatorConfig | None = None
) -> SimulatedMatch:
    """Play a match of five against five.

    Args:
        rounds: how many rounds; all are played, sides change after the first half.
        seed: of all chance; the same seed, rounds and configuration give the same bytes.
        match_id: `sim-<seed>-<rounds>` by default.
        config: `configs/simulator.yaml` by default.

    Raises:
        ValueError: if rounds are fewer than 1 or too many for a series id of their own, or the seed is negative.
        BadArena: if the configured map can't be played on.
    """
    if not 1 <= rounds < SERIES_ROUNDS or seed < 0:
        raise ValueError(
            f"rounds must be at least 1 and fewer than {SERIES_ROUNDS}, the seed not negative; not {rounds} and {seed}"
        )
    config = config or load_simulator()
    name = match_id or f"sim-{seed}-{rounds}"
    series = str(config.grid.first_series + SERIES_ROUNDS * seed + rounds)
    return SimulatedMatch(name, series, play(rounds=rounds, seed=seed, match_id=name, config=config))


def write(folder: Path, match: SimulatedMatch) -> list[Path]:
    """Write both logs and the truth.

    Args:
        folder: created if need be.
        match: a simulated match.

    Returns:
        `<match_id>.jsonl.gz`, `events_<series_id>_grid.jsonl.zip` and `<match_id>.truth.parquet`; the same match gives
        the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    canonical = folder / f"{match.match_id}.jsonl.gz"
    with canonical.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        packed.writelines(f"{line}\n".encode() for line in match.canonical_lines())
    grid = folder / f"events_{match.series_id}_grid.jsonl.zip"
    entry = zipfile.ZipInfo(f"events_{match.series_id}_grid.jsonl", ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(grid, "w") as archive, archive.open(entry, "w") as packed_lines:
        for line in match.grid_lines():
            packed_lines.write(f"{line}\n".encode())
    truth = folder / f"{match.match_id}.truth.parquet"
    buffer = io.BytesIO()
    match.truth.write_parquet(buffer, compression="zstd")
    truth.write_bytes(buffer.getvalue())
    return [canonical, grid, truth]
