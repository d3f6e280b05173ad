"""Texts as vectors: what is said of moments of matches and of training samples, and the index that finds moments.

Belongs here: which texts are embedded when, checks, what an analyst sees. Does not belong here: what is said of a
moment or how well it is found (`pipeline.embeddings`), encoders and files (`resources`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets import reports
from assets.stages import SCHEMA_CHECK, Recipe
from configs.encoders import load_encoders
from configs.titles import load_titles
from pipeline.embeddings import retrieval, texts
from pipeline.embeddings.moments import described
from pipeline.tables import SchemaViolation, conform, empty
from resources.encoders import Encoders
from resources.moment_index import MomentIndex, different, parts
from resources.store import Part, Store
from resources.text_vectors import TextVectors

GROUP = "embeddings"
MOMENTS = Recipe(
    ("embeddings/moments.py", "embeddings/texts.py", "scenes/captions.py", "events/model.py", "errors.py"),
    (load_encoders().moments, load_titles()),
)
EMBEDDINGS = Recipe(("embeddings", "errors.py"), ())
SOURCES = ("matches", "segments", "tracks", "events")
INDEX_CHECK = "index_recall"
_ASKED = 200  # queries of that check


@dg.asset(
    group_name=GROUP,
    deps=list(SOURCES),
    kinds={"polars"},
    code_version=MOMENTS.code_version,
    check_specs=[
        dg.AssetCheckSpec(SCHEMA_CHECK, asset="moments", blocking=True, description="parts are what the table declares")
    ],
)
def moments(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
    """Each segment of every analysed match in a sentence: who, what is meant, where, after what, what came of it."""
    ready = analysed(store)
    parts = [ensure_moments(store, match_id) for match_id in ready]
    stale = sorted(set(store.keys("moments")) - set(ready))
    for match_id in stale:
        store.delete(store.part_path("moments", match_id))
    context.log.info(f"{len(parts)} matches, {sum(part.reused for part in parts)} reused, {len(stale)} removed")
    rows = _all_moments(store)
    told: reports.Metadata = {}
    if rows.height:
        told["moments"] = reports.table(
            rows.sample(min(20, rows.height), seed=1).select("match_id", "round", "intent", "text")
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.height,
            "matches": len(parts),
            "reused": sum(part.reused for part in parts),
            "different_texts": rows["text"].n_unique(),
            **told,
        },
        check_results=[_schema("moments", rows)],
    )


def analysed(store: Store) -> list[str]:
    """Matches that have all that moments are told by."""
    return sorted(set.intersection(*(set(store.keys(table)) for table in SOURCES)))


def ensure_moments(store: Store, match_id: str) -> Part:
    """The part of a match, told anew only if what it is told by has changed."""
    stamp = MOMENTS.stamp(*(store.part(table, match_id).digest for table in SOURCES))

    def tell() -> pl.DataFrame:
        match, segments, tracks, events = (store.read_table(table, match_id) for table in SOURCES)
        return described(match, segments, tracks, events)

    return store.ensure("moments", match_id, stamp, tell)


def _all_moments(store: Store) -> pl.DataFrame:
    return pl.concat([empty("moments"), *(store.read_table("moments", key) for key in store.keys("moments"))])


def _schema(table: str, rows: pl.DataFrame, broken: str = "") -> dg.AssetCheckResult:
    try:
        conform(table, rows)
    except SchemaViolation as error:
        broken = str(error)
    return dg.AssetCheckResult(
        check_name=SCHEMA_CHECK, asset_key=table, passed=not broken, metadata={"rows": rows.height, "reason": broken}
    )


@dg.asset(
    group_name=GROUP,
    deps=["moments", "trajectories"],
    kinds={"sentence_transformers", "torch"},
    code_version=EMBEDDINGS.code_version,
    check_specs=[
        dg.AssetCheckSpec(
            SCHEMA_CHECK, asset="embeddings", blocking=True,
            description="vectors are whole, of length 1, and no part mixes two encoders",
        )
    ],
)  # fmt: skip
def embeddings(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], encoder_catalogue: dg.ResourceParam[Encoders]
) -> dg.MaterializeResult:
    """A vector of each prompt, caption, moment and way to say an intent; only what is new is asked of the encoder."""
    encoder = encoder_catalogue.open(say=context.log.warning)
    vectors = TextVectors(store, encoder, encoder_catalogue.config)
    found = collected(store)
    ways = sorted({way for ways in encoder_catalogue.config.retrieval.ways.values() for way in ways})
    log = _logging(context.log.info)
    documents = vectors.ensure({text for kind in found.values() for text in kind}, told=log)
    queries = vectors.ensure(ways, "query", told=log)
    identity = encoder.identity
    rows, broken = 0, ""
    for key in vectors.parts():
        part = store.read_table("embeddings", key)
        rows += part.height
        try:
            conform("embeddings", part)
        except SchemaViolation as error:
            broken = broken or f"{key}: {error}"
    check = dg.AssetCheckResult(
        check_name=SCHEMA_CHECK, asset_key="embeddings", passed=not broken, metadata={"rows": rows, "reason": broken}
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "encoder": identity.key,
            "model": f"{identity.model} ({identity.revision}), {identity.licence}",
            "dimension": identity.dimension,
            "embedded_now": documents.new + queries.new,
            "known": documents.known + queries.known,
            "encoders_in_store": ", ".join(sorted({key.rpartition("-")[0] for key in store.keys("embeddings")})),
            **{kind: len(texts_) for kind, texts_ in found.items()},
        },
        check_results=[check],
    )


def collected(store: Store) -> dict[str, set[str]]:
    """All texts of the store that are embedded, by kind."""
    samples = [store.read_table("trajectories", key, ["caption", "prompt"]) for key in store.keys("trajectories")]
    told = {text for frame in samples for text in texts.of_samples(frame)}
    return {"captions_and_prompts": told, "sentences_of_moments": set(_all_moments(store)["text"])}


def _logging(say: Callable[[str], None]) -> Callable[[int, int], None]:
    return lambda done, of: say(f"{done} of {of} new texts embedded")


@dg.asset(
    group_name=GROUP,
    deps=["moments", "embeddings"],
    kinds={"usearch"},
    code_version=EMBEDDINGS.code_version,
    check_specs=[
        dg.AssetCheckSpec(
            INDEX_CHECK, asset="moment_index", blocking=True,
            description="the index finds what a search of everything finds, on queries that are near what is there",
        )
    ],
)  # fmt: skip
def moment_index(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], encoder_catalogue: dg.ResourceParam[Encoders]
) -> dg.MaterializeResult:
    """The index by which `gridmotion search` finds moments of matches by words."""
    encoder = encoder_catalogue.open(say=context.log.debug)
    vectors = TextVectors(store, encoder, encoder_catalogue.config)
    read, rows = parts(store), _all_moments(store)
    told = different(rows)
    found = vectors.of(told["text"].to_list(), make=False)
    index = MomentIndex(store, encoder.identity, encoder_catalogue.config)
    size = index.build(rows, found, read)
    recall, least = _recall(index, told["text_hash"].to_list(), found), encoder_catalogue.config.index.recall_at_least
    check = dg.AssetCheckResult(
        check_name=INDEX_CHECK,
        asset_key="moment_index",
        passed=recall >= least,
        metadata={"recall": recall, "limit": least},
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": told.height,
            "moments": rows.height,
            "matches": rows["match_id"].n_unique(),
            "encoder": encoder.identity.key,
            "size_kB": round(size / 1000, 1),
        },
        check_results=[check],
    )


def _recall(index: MomentIndex, hashes: list[str], vectors: np.ndarray[Any, Any]) -> float:
    """Of the ten nearest, on vectors a little off those that are there; 1 where there is nothing."""
    if not hashes:
        return 1.0
    rng = np.random.default_rng(1)
    some = vectors[rng.choice(len(vectors), min(_ASKED, len(vectors)), replace=False)]
    off = some + 0.3 * rng.standard_normal(some.shape) / np.sqrt(some.shape[1])
    queries = (off / np.linalg.norm(off, axis=1, keepdims=True)).astype(np.float32)
    place = {int(name[:16], 16): k for k, name in enumerate(hashes)}
    keys, _ = index.nearest(queries, 10)
    return retrieval.index_recall([[place[key] for key in row] for row in keys], queries, vectors)


@dg.asset(
    group_name=GROUP,
    deps=["moments", "embeddings"],
    kinds={"numpy"},
    code_version=EMBEDDINGS.code_version,
)
def encoder_retrieval(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], encoder_catalogue: dg.ResourceParam[Encoders]
) -> dg.MaterializeResult:
    """How well the encoder finds what is said in other words, beside every encoder that was used on this store."""
    encoder = encoder_catalogue.open(say=context.log.debug)
    vectors = TextVectors(store, encoder, encoder_catalogue.config)
    found = measured(vectors, _all_moments(store))
    store.write(f"{FOLDER}/{encoder.identity.key}.json", json.dumps(found, sort_keys=True, indent=1).encode())
    return dg.MaterializeResult(metadata={"encoder": encoder.identity.key, "retrieval": reports.table(compared(store))})


FOLDER = "retrieval"
_PROMPTS, _CAPTIONS, _MOMENTS = "paraphrase → prompt", "paraphrase → caption", "way to say an intent → moments"


def measured(vectors: TextVectors, moments_: pl.DataFrame) -> dict[str, dict[str, float]]:
    """The measures of one encoder, by question; what can't be asked of this store is left out."""
    config = load_encoders()
    asked = {
        _PROMPTS: retrieval.prompts(config),
        _CAPTIONS: retrieval.paraphrases(config),
        _MOMENTS: retrieval.intents(moments_, config),
    }
    return {
        name: retrieval.measures(question, vectors.of(question.queries, "query"), vectors.of(question.documents))
        for name, question in asked.items()
        if question.queries
    }


def compared(store: Store) -> pl.DataFrame:
    """The measures of all encoders that were used on a store, a row per question and encoder."""
    rows = []
    for path, _, _ in store.files(FOLDER):
        key = path.rpartition("/")[2].removesuffix(".json")
        for question, found in json.loads(store.read(path)).items():
            rows.append({"question": question, "encoder": key} | {name: round(v, 3) for name, v in found.items()})
    return pl.DataFrame(rows).sort("question", "encoder") if rows else pl.DataFrame()
