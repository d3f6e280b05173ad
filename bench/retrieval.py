"""How well texts are found: `python -m bench.retrieval` writes docs/embeddings.md.

Belongs here: the page, and which matches it is measured on. Does not belong here: the measures
(`pipeline.embeddings.retrieval`), speed (`bench.embeddings`).

Every encoder of `encoders.yaml` whose files or key are on this machine is measured; the others are named as not
measured.
"""

import os
import sys
import tempfile
from pathlib import Path

import polars as pl

from assets.embeddings import measured
from bench.motion_clips import eligible
from bench.workload import SHARED, frames
from configs.encoders import EncoderSpec, load_encoders
from pipeline.embeddings.moments import described
from resources.encoders import EncoderError, Encoders
from resources.moment_index import MomentIndex, different, parts
from resources.settings import Settings
from resources.store import Store
from resources.text_vectors import TextVectors

PATH = Path(__file__).parents[1] / "docs" / "embeddings.md"
LOGS = ("cs2-sf-mirage.jsonl.gz", "cs2-am-inferno.jsonl.gz")
ASKED = (
    "a defender falls back from mid after losing a teammate",
    "somebody avenges a dead friend",
    "the bomb is being armed at site A",
    "an attacker dies while peeking",
)
SHOWN = 3
_COLUMNS = ("recall@1", "recall@10", "precision@10", "chance@1")


def moments_of(log: Path) -> pl.DataFrame:
    """Moments of a log's one match: stretches of one label, which know all nine intents and change with no model."""
    stretches, tracks = eligible(log)
    tables = frames(log)
    teams = tracks.select(pl.col("player", "team").cast(pl.String)).drop_nulls().unique("player", keep="first")
    segments = stretches.join(teams, on="player", how="left").with_columns(confidence=pl.lit(1.0))
    return described(tables["match"], segments, tracks, tables["events"])


def document(moments: pl.DataFrame, store: Store) -> str:
    """The page.

    Args:
        moments: of the matches that it is measured on.
        store: scratch.
    """
    encoders, config = Encoders(Settings()), load_encoders()
    found, missing = {}, []
    for name in config.encoders:
        try:
            vectors = TextVectors(store, encoders.open(name), config)
            found[name] = measured(vectors, moments)
        except EncoderError:
            missing.append(name)
    lines = [_INTRODUCTION, "## Encoders", "", *_table(config.encoders), "", _CHOICE, "## How well they find", ""]
    told = ", ".join(sorted(moments["match_id"].unique()))
    lines += [
        f"Measured on {moments.height:,} moments ({moments['text'].n_unique():,} different sentences) of {told}, "
        "and on stories of no training set. *recall@k*: something right is among the first k; *precision@10*: how much "
        "of the first ten is right, of what could be; *chance@1*: the first would be right by chance. Asked is always "
        "in other words than those of what is to be found.",
        "",
        "| question | encoder | asked | among | " + " | ".join(_COLUMNS) + " |",
        "|---|---|--:|--:|" + "--:|" * len(_COLUMNS),
    ]
    for name, measures in found.items():
        for question, row in measures.items():
            shares = " | ".join(f"{row[column]:.1%}" for column in _COLUMNS)
            lines.append(f"| {question} | `{name}` | {row['queries']:,.0f} | {row['documents']:,.0f} | {shares} |")
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        lines += ["", f"Not measured, as their weights or key were not on the machine that wrote this: {names}."]
    return (
        "\n".join([*lines, "", *_examples(moments, TextVectors(store, encoders.open(config.packaged), config))]) + "\n"
    )


def _table(specs: dict[str, EncoderSpec]) -> list[str]:
    lines = [
        "| `EMBEDDING_ENCODER` | model | values | can be cut to | vector of a text | licence |",
        "|---|---|--:|--:|---|---|",
    ]
    pooling = {
        "last": "its last token's",
        "mean": "the mean of its tokens'",
        "cls": "its first token's",
        None: "the service's",
    }
    for name, spec in specs.items():
        cut = f"{spec.least}" if spec.least else ""
        lines.append(
            f"| `{name}` | {spec.model} | {spec.dimension} | {cut} | {pooling[spec.pooling]} | {spec.licence} |"
        )
    return lines


def _examples(moments: pl.DataFrame, vectors: TextVectors) -> list[str]:
    told = different(moments)
    index = MomentIndex(vectors.store, vectors.identity)
    index.build(moments, vectors.of(told["text"].to_list()), parts(vectors.store))
    lines = ["## What is found", "", f"`gridmotion search` by `{vectors.identity.name}`, the best of each:", ""]
    for asked in ASKED:
        lines += [f"**{asked}**", ""]
        seen: list[str] = []
        for hit in index.find(vectors.of([asked], "query"), 50):
            if hit.moment["text"] not in seen:
                seen.append(hit.moment["text"])
                row = hit.moment
                minutes, seconds = divmod(row["from_ms"] // 1000, 60)
                at = f"{row['match_id']}, round {row['round']}, {minutes}:{seconds:02d}"
                lines.append(f"- {hit.likeness:.2f} {row['text']} ({at})")
            if len(seen) == SHOWN:
                break
        lines.append("")
    return lines[:-1]


_INTRODUCTION = """\
# Texts as vectors

Written by `make docs` (`python -m bench.retrieval`) where the matches are at hand; do not edit.

Every caption and prompt of the training set and a sentence on every segment of every match become vectors, once per
text and encoder. They are what a trajectory model is told, and what `gridmotion search` finds moments by:

```
gridmotion embed    # what is new, and the index; every night too
gridmotion search "a defender falls back from mid after losing a teammate"    # moments, with their clips
gridmotion search "somebody avenges a friend" --match m1 --intent trade --limit 3 --json
```

A sentence on a moment tells who, what is meant, how fast, from where to where (by the callouts that the source has,
else by the objectives), what happened in the seconds before and what came of it. It is told after the fact, so it is
for search and never for a prediction.
"""

_CHOICE = """\
Nobody has to choose: without `EMBEDDING_ENCODER` the small one that comes with the installation answers, says so in the
log of each run, and stands in each row. One that was chosen and isn't there is an error, never another in its place.
Weights come from the folder `EMBEDDING_MODELS` (`<folder>/Qwen/Qwen3-Embedding-8B`, or without `Qwen/`) or the hub's
cache on this machine; they are fetched from the hub only with `EMBEDDING_HUB=1`. `gemini` needs `GEMINI_API_KEY` and
sends every text to Google; what was embedded before a quota is used up is kept, and the next run goes on there.

A row of `embeddings` names its model, the revision of its files, and a key of all that decides a vector (model,
revision, values kept, prompts, longest text). Another key means other vectors: everything is embedded anew under it,
and what the one before made stays, so going back costs nothing. Vectors of two keys are never put side by side: that is
an error. With `keep` in `configs/encoders.yaml` only the first values of a vector are kept (Matryoshka), made length 1
again.
"""


def main() -> int:
    """Measures and writes the page; says so and leaves it as it is where the matches are absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    logs = [shared / "cs2" / name for name in LOGS]
    if missing := [log.name for log in logs if not log.is_file()]:
        print(f"{PATH.name} stays as it is: {' and '.join(missing)} not found (set {SHARED})")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        PATH.write_text(document(pl.concat(map(moments_of, logs)), Store(folder)))
    print(f"written to {PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
