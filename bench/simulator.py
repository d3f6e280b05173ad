"""How far simulated matches resemble recorded ones: `python -m bench.simulator` writes docs/simulator.md, its pictures.

Belongs here: which matches are compared, what counts as alike, the words around the figures. Does not belong here: the
figures themselves (`bench.resemblance`), the simulator (`pipeline.events.sources.simulator`).
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from assets.plots import bars
from bench.resemblance import FIGURES, Figure, Floats, Play, traits
from bench.workload import SHARED
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURES = DOCS / "simulator.md", DOCS / "images" / "simulator"
ROUNDS, SEEDS = 24, (300, 301, 302, 303)
_RECORDED, _SIMULATED = "#22262C", "#C2410C"
_DRAWN = {  # figure: edges of the bars
    "Movement: speed": [0.0, 0.25, 1.0, 1.9, 2.4, 3.0, 3.7, 4.5, 6.0],
    "Fights: time of kills": [0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 160.0],
    "Fights: distance of kills": [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 80.0],
    "Places: nearest enemy": [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 120.0],
}


@dataclass(frozen=True)
class Verdict:
    """One figure of recorded and of simulated matches.

    Attributes:
        figure: which.
        recorded, simulated: per match: samples, or a number.
        off: how far a simulated match is from the recorded ones, on average: Wasserstein distance of its samples to
            those of all recorded ones, in the figure's unit; of a number, how far the mean lies outside the recorded
            range, in widths of that range.
        spread: how far the recorded match that is least like the others is from these; 0 for a number.
    """

    figure: Figure
    recorded: list[Floats | float]
    simulated: list[Floats | float]
    off: float
    spread: float

    @property
    def is_inside(self) -> bool:
        """Whether a simulated match is no stranger among recorded ones than one of themselves."""
        return self.off <= self.spread


def judged(figure: Figure, recorded: list[Floats | float], simulated: list[Floats | float]) -> Verdict:
    """Hold a figure of simulated matches against recorded ones; a match that does not tell of it does not count."""
    if figure.is_share:
        known = np.array([value for value in recorded if np.isfinite(value)])
        mean = float(np.nanmean(np.array(simulated, dtype=np.float64)))
        least, most = float(known.min()), float(known.max())
        return Verdict(figure, recorded, simulated, max(least - mean, mean - most, 0.0) / max(most - least, 1e-9), 0.0)
    from scipy.stats import wasserstein_distance

    real = [np.asarray(samples) for samples in recorded if np.size(samples)]
    others = [np.concatenate([one for k, one in enumerate(real) if k != place]) for place in range(len(real))]
    spread = max(float(wasserstein_distance(one, rest)) for one, rest in zip(real, others, strict=True))
    pool = np.concatenate(real)
    off = [float(wasserstein_distance(np.asarray(one), pool)) for one in simulated if np.size(one)]
    return Verdict(figure, recorded, simulated, float(np.mean(off)), spread)


def compared(recorded: Sequence[Play], simulated: Sequence[Play]) -> list[Verdict]:
    """All figures, in their order."""
    real, played = [traits(play) for play in recorded], [traits(play) for play in simulated]
    return [
        judged(figure, [each[figure.key] for each in real], [each[figure.key] for each in played]) for figure in FIGURES
    ]


def plays(logs: Sequence[Path]) -> list[Play]:
    """The one match of each log."""
    found = []
    for log in logs:
        (reading,) = read_log(log, log_id="simulator").matches.values()
        found.append(Play.of(reading))
    return found


def page(verdicts: Sequence[Verdict], recorded: Sequence[str]) -> Iterator[str]:
    """The page, line by line."""
    inside = sum(verdict.is_inside for verdict in verdicts)
    yield from (
        "# How far simulated matches resemble recorded ones",
        "",
        "Written by `make docs` (`python -m bench.simulator`) where the recorded matches are at hand; do not edit.",
        "",
        "The simulator (`pipeline/events/sources/simulator`) plays a tactical shooter: ten players with eyes, ears, "
        "reaction times and aims of their own; teams with openings, attacks, rotations, retakes, saves and money. "
        "Each player's intent is known at each instant, which is what it is for; it is worth as much as its matches "
        "resemble recorded ones. This page measures that.",
        "",
        f"{len(recorded)} recorded matches ({', '.join(recorded)}) against {len(SEEDS)} simulated ones (seeds "
        f"{SEEDS[0]} to {SEEDS[-1]}, {ROUNDS} rounds each), all read from their logs by the same reader. All figures "
        "are of living players between ROUND_LIVE and ROUND_ENDED.",
        "",
        "**What counts as alike.** Recorded matches differ among themselves, by map, teams and chance. Of a "
        "distribution, *spread* is the Wasserstein distance of the recorded match that is least like the others from "
        "the samples of these others, *off* that of a simulated match from the samples of all recorded ones, on "
        "average; both in the unit of the figure. It is inside where *off* is at most *spread*: a simulated match is "
        "then no stranger among recorded ones than one of themselves. Of a number per match, it is inside where the "
        "mean of the simulated matches lies in the range of the recorded ones, and *off* says how far outside, in "
        "widths of that range.",
        "",
        f"**{inside} of {len(verdicts)} are inside.**",
        "",
    )
    for name in _DRAWN:
        stem = _stem(name)
        yield f"![{name}, recorded and simulated](images/simulator/{stem}.png)"
    yield ""
    for group, found in groupby(verdicts, key=lambda verdict: verdict.figure.group):
        yield from (
            f"## {group}",
            "",
            "| | unit | recorded: 10 · 25 · **50** · 75 · 90 % | medians | simulated | off | spread | inside |",
            "|---|---|---|---|---|---:|---:|:---:|",
        )
        yield from (_row(verdict) for verdict in found)
        yield ""
    yield from _differs(verdicts)


def _row(verdict: Verdict) -> str:
    figure, inside = verdict.figure, "yes" if verdict.is_inside else "**no**"
    if figure.is_share:
        scale = 100.0 if figure.unit == "%" else 1.0
        real, played = (scale * np.array(values, dtype=np.float64) for values in (verdict.recorded, verdict.simulated))
        off = f"{verdict.off:.2f}" if verdict.off else "0"
        return (
            f"| {figure.name} | {figure.unit} | {np.nanmin(real):.1f} to {np.nanmax(real):.1f} | "
            f"{np.nanmedian(real):.1f} | {np.nanmean(played):.1f} ({np.nanmin(played):.1f} to {np.nanmax(played):.1f}) "
            f"| {off} | | {inside} |"
        )
    medians = [float(np.median(samples)) for samples in verdict.recorded if np.size(samples)]
    return (
        f"| {figure.name} | {figure.unit} | {_quantiles(verdict.recorded)} | {min(medians):.3g} to {max(medians):.3g} "
        f"| {_quantiles(verdict.simulated)} | {verdict.off:.2g} | {verdict.spread:.2g} | {inside} |"
    )


def _quantiles(matches: list[Floats | float]) -> str:
    low, lower, middle, upper, high = np.quantile(np.concatenate([np.asarray(m) for m in matches]), _SHARES)
    return f"{low:.3g} · {lower:.3g} · **{middle:.3g}** · {upper:.3g} · {high:.3g}"


_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def _differs(verdicts: Sequence[Verdict]) -> Iterator[str]:
    worst = sorted(
        (verdict for verdict in verdicts if not verdict.is_inside),
        key=lambda verdict: (
            -(verdict.off / verdict.spread if verdict.spread else 1.0 + verdict.off),
            verdict.figure.key,
        ),
    )
    yield from ("## What still differs, and why", "")
    yield "Outside, the farthest first: " + ", ".join(verdict.figure.key.lower() for verdict in worst) + "."
    yield from (
        "",
        "- **The ground.** One map of flat lanes, without stairs, ladders, roofs or drops; nobody jumps or crouches. "
        "It has longer lines of sight than the recorded maps, and the teams wait farther apart.",
        "- **Keys and mouse.** Bodies follow points with a wavering heading, not eight directions of keys tapped for a "
        "few hundredths of a second: velocities change in steps that are too even, and moves are shorter.",
        "- **Plans.** Six openings that stay what they are; no feints, no slow default that is decided by the first "
        "kill, no lurker who times his round by the noise of the others. Fights begin earlier or later in bulk than "
        "those of teams that know each other.",
        "- **Grenades.** They are thrown at places that players watch, not by line-ups that land behind cover; flashes "
        "blind fewer. Explosions and fire never kill.",
        "- **Money** is a team's, not a player's: nobody drops a rifle, buys ahead of the others or saves alone.",
        "- The ranges are those of six matches; a seventh would be outside some of them as well.",
    )


def _stem(name: str) -> str:
    return name.partition(": ")[2].replace(" ", "_")


def pictures(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, bytes]]:
    """Of each drawn figure, the share of samples in each class: recorded beside simulated."""
    by_name = {verdict.figure.key: verdict for verdict in verdicts}
    for name, edges in _DRAWN.items():
        verdict = by_name[name]
        drawn = []
        real, played = (
            100.0
            * np.histogram(np.concatenate([np.asarray(m) for m in matches]), edges)[0]
            / sum(np.size(m) for m in matches)
            for matches in (verdict.recorded, verdict.simulated)
        )
        for k, low in enumerate(edges[:-1]):
            drawn.append((f"{low:g}+", float(real[k]), _RECORDED))
            drawn.append(("", float(played[k]), _SIMULATED))
        title = f"{verdict.figure.name} ({verdict.figure.unit}): recorded black, simulated red"
        yield _stem(name), bars(drawn, title, "% of samples")


def main() -> int:
    """Writes the page and its pictures; leaves all as it is where the recorded matches are absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data")) / "cs2"
    logs = sorted(shared.glob("*.jsonl.gz"))
    if not logs:
        print(f"{PAGE.name} stays as it is: no recorded match found (set {SHARED})")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        recorded = plays(logs)
        played = plays([write(Path(scratch), simulate(rounds=ROUNDS, seed=seed))[0] for seed in SEEDS])
        verdicts = compared(recorded, played)
    PAGE.write_text("\n".join(page(verdicts, [play.match_id for play in recorded])) + "\n", encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for stem, png in pictures(verdicts):
        (PICTURES / f"{stem}.png").write_bytes(png)
    inside = sum(verdict.is_inside for verdict in verdicts)
    print(f"{inside} of {len(verdicts)} figures inside; written to {PAGE} and {PICTURES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
