"""Every table of the store: its columns, their types and what must hold in it, declared once.

A declaration yields the blocking check after a write, the documentation and the test data generator.
Belongs here: columns and rules. Does not belong here: where a table lies or how it is written (resources.store).

Units are in the names: `_ms` milliseconds since match start, `_mm` millimetres, `_mdeg` millidegrees.
Space is right-handed, metres as int32 millimetres, y up.
"""

from functools import cache
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.features import FINEST_GRID_MS
from pipeline.errors import PipelineError
from pipeline.features.definition import FEATURES
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES

ID_CHARS = 100
"""Longest name of a match or a log."""

ID_PATTERN = rf"^[A-Za-z0-9_-]{{1,{ID_CHARS}}}$"

SAMPLE_FRAMES, SAMPLE_JOINTS = 250, 10
"""Ten seconds at 25 frames a second; joints of a stick figure (`pipeline.scenes.joints`)."""


class SchemaViolation(PipelineError):
    """A frame does not satisfy the declaration of its table; the message names table, column and rule."""


def _match_id(**options: Any) -> dy.String:
    return dy.String(nullable=False, regex=ID_PATTERN, **options)


_POINT: dict[str, dy.Column] = {
    "id": dy.String(),
    "x_mm": dy.Int32(),
    "y_mm": dy.Int32(nullable=True),
    "z_mm": dy.Int32(),
}
_MEMBER: dict[str, dy.Column] = {
    "player": dy.String(),
    "team": dy.String(nullable=True),
    "name": dy.String(nullable=True),
}
_SCORE: dict[str, dy.Column] = {"team": dy.String(), "score": dy.Int32()}


class Logs(dy.Schema):
    """A source log and what became of its events (conservation: see `conserved`)."""

    log_id = dy.String(primary_key=True, nullable=False, regex=ID_PATTERN)
    uri = dy.String(nullable=False, description="where the log lies")
    blake3 = dy.String(nullable=False, regex=r"^[0-9a-f]{64}$")
    bytes = dy.Int64(nullable=False, min=0)
    source_kind = dy.Enum(["canonical", "grid"], nullable=False)
    match_ids = dy.List(dy.String(regex=ID_PATTERN), nullable=False)
    source_events = dy.Int64(nullable=False, min=0)
    converted = dy.Int64(nullable=False, min=0)
    merged = dy.Int64(nullable=False, min=0, description="told again by another event, e.g. freezetime and clock")
    reverted = dy.Int64(
        nullable=False, min=0, description="taken back by the source, with the events that took them back"
    )
    duplicate = dy.Int64(nullable=False, min=0)
    quarantined = dy.Int64(nullable=False, min=0)
    derived_positions = dy.Int64(
        nullable=False, min=0, description="position updates read from snapshots, counted apart"
    )

    @dy.rule()
    def conserved(cls) -> pl.Expr:
        """Each source event is in exactly one bucket."""
        return pl.col("source_events") == pl.sum_horizontal(
            "converted", "merged", "reverted", "duplicate", "quarantined"
        )


class Quarantine(dy.Schema):
    """An input line or event that could not become a canonical event."""

    log_id = dy.String(nullable=False, regex=ID_PATTERN)
    source_line = dy.Int64(nullable=False, min=0, description="from 1; 0 is the file itself")
    field = dy.String(nullable=False, description="path of the field at fault; empty for the whole line")
    reason = dy.String(nullable=False)
    raw = dy.String(nullable=False, description="the start of the line, undecodable bytes escaped")


class Matches(dy.Schema):
    """A match."""

    match_id = _match_id(primary_key=True)
    title = dy.String(nullable=True)
    map = dy.String(nullable=True)
    source_kind = dy.Enum(["canonical", "grid"], nullable=False)
    log_id = dy.String(nullable=False, regex=ID_PATTERN)
    log_uri = dy.String(nullable=False)
    log_blake3 = dy.String(nullable=False)
    teams = dy.List(dy.String(), nullable=False)
    players = dy.List(dy.Struct(_MEMBER), nullable=False)
    objectives = dy.List(dy.Struct(_POINT), nullable=False)
    winner = dy.String(nullable=True, description="team id")
    score = dy.List(dy.Struct(_SCORE), nullable=False)
    started_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    duration_ms = dy.Int64(nullable=False, min=0)


class Rounds(dy.Schema):
    """A round; one without an end is the match's last."""

    match_id = _match_id(primary_key=True)
    round = dy.Int32(primary_key=True, nullable=False, min=1)
    start_ms = dy.Int64(nullable=False)
    live_ms = dy.Int64(nullable=True)
    end_ms = dy.Int64(nullable=True)
    sides = dy.List(dy.Struct({"team": dy.String(), "side": dy.String()}), nullable=False)
    winner = dy.String(nullable=True, description="side")
    reason = dy.String(nullable=True)


class Events(dy.Schema):
    """A canonical event that stands, in total order (t_ms, seq, rank of its type, event_id)."""

    match_id = _match_id()
    seq = dy.Int64(nullable=False)
    event_id = dy.String(primary_key=True, nullable=False)
    event_type = dy.String(nullable=False)
    t_ms = dy.Int64(nullable=False)
    occurred_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    round = dy.Int32(nullable=True, description="null before the first round and in a log without rounds")
    actor = dy.String(nullable=True)
    target = dy.String(nullable=True)
    team = dy.String(nullable=True, description="the actor's")
    side = dy.String(nullable=True, description="the actor's")
    x_mm = dy.Int32(nullable=True)
    y_mm = dy.Int32(nullable=True)
    z_mm = dy.Int32(nullable=True)
    weapon = dy.String(nullable=True)
    amount = dy.Int32(nullable=True, description="damage in hp, or blindness in ms")
    site = dy.String(nullable=True)
    payload = dy.String(nullable=False, description="JSON object of whatever no column holds")
    source_line = dy.Int64(nullable=False, min=1)


class Tracks(dy.Schema):
    """A position update, sorted by (player, t_ms, seq)."""

    match_id = _match_id()
    round = dy.Int32(nullable=True)
    player = dy.String(nullable=False)
    team = dy.String(nullable=True)
    side = dy.String(nullable=True)
    t_ms = dy.Int64(nullable=False)
    seq = dy.Int64(nullable=False)
    x_mm = dy.Int32(nullable=False)
    y_mm = dy.Int32(nullable=True)
    z_mm = dy.Int32(nullable=False)
    yaw_mdeg = dy.Int32(nullable=True)
    pitch_mdeg = dy.Int32(nullable=True)
    hp = dy.Int32(nullable=True)
    armor = dy.Int32(nullable=True)
    weapon = dy.String(nullable=True)
    place = dy.String(nullable=True)
    has_bomb = dy.Bool(nullable=True)
    has_kit = dy.Bool(nullable=True)
    objective_x_mm = dy.Int32(nullable=True)
    objective_y_mm = dy.Int32(nullable=True)
    objective_z_mm = dy.Int32(nullable=True)


def _instant(schema: str, columns: dict[str, Any], doc: str) -> type[dy.Schema]:
    keys: dict[str, Any] = {
        "match_id": _match_id(primary_key=True),
        "round": dy.Int32(nullable=True),
        "player": dy.String(primary_key=True, nullable=False),
        "t_ms": dy.Int64(primary_key=True, nullable=False, check=lambda t: t % FINEST_GRID_MS == 0),
    }
    return type(schema, (dy.Schema,), {"__doc__": doc, **keys, **columns})


def _probability(*, nullable: bool) -> dy.Float32:
    return dy.Float32(nullable=nullable, min=0.0, max=1.0)


Features = _instant(
    "Features",
    {
        "team": dy.String(nullable=True),
        "side": dy.String(nullable=True),
        **{
            f.name: (dy.Int32 if f.integer else dy.Float32)(
                nullable=bool(f.null), description=f"{f.unit}: {f.meaning}" + (f"; null {f.null}" if f.null else "")
            )
            for f in FEATURES
        },
    },
    "A player alive at one instant of the 250 ms grid, with the declared features.",
)

Labels = _instant(
    "Labels",
    {
        **{p: _probability(nullable=True) for p in PROBABILITIES},
        "intent": dy.Enum(list(INTENTS), nullable=True, description="null: the rules abstain"),
        "rules": dy.List(dy.String(), nullable=False, description="rules that voted"),
        "horizon_ms": dy.Int32(nullable=False, min=0, description="how far ahead the rules looked"),
    },
    "What a player meant at one instant, in hindsight.",
)

Intents = _instant(
    "Intents",
    {
        **{p: _probability(nullable=False) for p in PROBABILITIES},
        "intent": dy.Enum(list(INTENTS), nullable=False),
        "confidence": _probability(nullable=False),
        "decided_by": dy.String(nullable=False, description="rule:<name> or model:<version>"),
        "model_against": dy.Float32(
            nullable=True,
            min=0.0,
            max=1.0,
            description="how sure the model alone is of another intent, where a rule decided and the model differs",
        ),
    },
    "What a player means at one instant, as predicted then.",
)


class Segments(dy.Schema):
    """A stretch of one intent of one player, `[from_ms, to_ms)`."""

    segment_id = dy.String(primary_key=True, nullable=False, regex=r"^[0-9a-f]{16}$")
    match_id = _match_id()
    round = dy.Int32(nullable=True)
    player = dy.String(nullable=False)
    team = dy.String(nullable=True)
    side = dy.String(nullable=True)
    from_ms = dy.Int64(nullable=False)
    to_ms = dy.Int64(nullable=False)
    intent = dy.Enum(list(INTENTS), nullable=False)
    confidence = _probability(nullable=False)
    decided_by = dy.String(nullable=False)
    model_version = dy.String(nullable=False)
    review_reasons = dy.List(dy.String(), nullable=False)

    @dy.rule()
    def forward(cls) -> pl.Expr:
        """A segment ends after it began."""
        return pl.col("to_ms") > pl.col("from_ms")


class Clips(dy.Schema):
    """A motion clip of one segment."""

    clip_key = dy.String(primary_key=True, nullable=False, regex=r"^[0-9a-f]{32}$")
    segment_id = dy.String(primary_key=True, nullable=False)
    match_id = _match_id()
    round = dy.Int32(nullable=True)
    player = dy.String(nullable=False)
    intent = dy.Enum(list(INTENTS), nullable=False)
    from_ms = dy.Int64(nullable=False)
    to_ms = dy.Int64(nullable=False)
    interest = dy.String(nullable=False, description="why this moment was chosen")
    backend = dy.String(nullable=False, description="who made it")
    fallback = dy.String(
        nullable=True, description="JSON list of the backends that were asked before, and their trouble"
    )
    trainable = dy.Bool(nullable=False, description="whether it may train other models")
    feasible = dy.Bool(nullable=False)
    reason = dy.String(nullable=True, description="why it is not feasible")
    uri = dy.String(nullable=True, description="GLB, relative to the store; null when not feasible")
    npz_uri = dy.String(nullable=True, description="the same motion as an SMPL-style NPZ")
    preview_uri = dy.String(nullable=True)
    manifest_uri = dy.String(nullable=True)
    measures = dy.String(nullable=False, description="JSON object of motion measures")
    model_version = dy.String(nullable=False)
    features_hash = dy.String(nullable=False, description="names the features that the intent was decided by")

    @dy.rule()
    def licensed(cls) -> pl.Expr:
        """No clip of HY-Motion may train anything."""
        return ~(pl.col("backend").str.starts_with("hymotion") & pl.col("trainable"))


class Trajectories(dy.Schema):
    """Ten seconds of one actor of a story or one player of a match, with what is said of it; a part is a shard."""

    sample_id = dy.String(primary_key=True, nullable=False, regex=r"^[0-9a-f]{16}$")
    source = dy.Enum(["scene", "match"], nullable=False)
    source_id = dy.String(nullable=False, description="the story, `<theme>-<seed>`, or the match")
    theme = dy.String(nullable=False)
    template = dy.String(nullable=False, description="the way of wording, `<theme>/<style>`")
    seed = dy.Int64(nullable=False, min=0, description="of the story; of a match, a hash of its id")
    split = dy.Enum(["train", "validation", "test", "paraphrase"], nullable=False, description="by seed, then style")
    actor = dy.String(nullable=False)
    subject = dy.String(nullable=False, description="what the actor is, in words")
    from_ms = dy.Int64(nullable=False, description="when the window begins, in its story or match")
    caption = dy.String(nullable=False)
    prompt = dy.String(nullable=False, description="the whole story in a sentence")
    frames = dy.Int32(nullable=False, min=1)
    fps = dy.Int32(nullable=False, min=1)
    height_m = dy.Float32(nullable=False, min=0.1)
    gravity_mps2 = dy.Float32(nullable=False, min=0.1)
    joints_m = dy.Array(
        dy.Float32(nullable=False),
        SAMPLE_FRAMES * SAMPLE_JOINTS * 2,
        nullable=False,
        description="frames × joints × (forward, up) of the ground under the hips",
    )
    position_m = dy.Array(
        dy.Float32(nullable=False), SAMPLE_FRAMES * 2, nullable=False, description="frames × (x, z) of the hips"
    )
    heading_rad = dy.Array(
        dy.Float32(nullable=False),
        SAMPLE_FRAMES,
        nullable=False,
        description="by frame, about +y, 0 = +x, unwrapped",
    )
    speed_mps = dy.Array(dy.Float32(nullable=False), SAMPLE_FRAMES, nullable=False, description="by frame")
    actions = dy.List(
        dy.Struct({"action": dy.String(), "from_frame": dy.Int32(), "to_frame": dy.Int32()}),
        nullable=False,
        description="what is done in each frame, as stretches `[from, to)`",
    )
    licence = dy.String(nullable=False, description="whose terms hold")
    trainable = dy.Bool(nullable=False)

    @dy.rule()
    def may_be_learned(cls) -> pl.Expr:
        """Nothing that may not be learned from is in a training set, such as what derives from HY-Motion's output."""
        return pl.col("trainable")


class Moments(dy.Schema):
    """A segment of a match in a sentence, by which it can be found; told after the fact, so never for a prediction."""

    segment_id = dy.String(primary_key=True, nullable=False, regex=r"^[0-9a-f]{16}$")
    match_id = _match_id()
    round = dy.Int32(nullable=True)
    player = dy.String(nullable=False)
    side = dy.String(nullable=True)
    from_ms = dy.Int64(nullable=False)
    to_ms = dy.Int64(nullable=False)
    intent = dy.Enum(list(INTENTS), nullable=False)
    confidence = _probability(nullable=False)
    text = dy.String(nullable=False, description="who, what is meant, how, where, after what, and what came of it")
    text_hash = dy.String(nullable=False, regex=r"^[0-9a-f]{32}$", description="names its row of `embeddings`")


class Embeddings(dy.Schema):
    """A text as a vector; a part holds those that one encoder made at once."""

    text_hash = dy.String(primary_key=True, nullable=False, regex=r"^[0-9a-f]{32}$", description="of text and style")
    style = dy.Enum(["document", "query"], nullable=False, description="whether it may be found, or is searched for")
    text = dy.String(nullable=False)
    encoder = dy.String(nullable=False, description="its name in `encoders.yaml`")
    encoder_key = dy.String(
        nullable=False, description="names model, revision, dimension and prompts: what is compared"
    )
    model = dy.String(nullable=False)
    revision = dy.String(nullable=False, description="of the model's files, or of the service")
    dimension = dy.Int32(nullable=False, min=1)
    licence = dy.String(nullable=False)
    vector = dy.List(dy.Float32(nullable=False), nullable=False, description="of length 1")

    @dy.rule()
    def whole(cls) -> pl.Expr:
        """A vector has as many values as its encoder gives."""
        return pl.col("vector").list.len() == pl.col("dimension")

    @dy.rule()
    def one_encoder(cls) -> pl.Expr:
        """No part mixes vectors of two encoders: they cannot be compared."""
        return pl.col("encoder_key") == pl.col("encoder_key").first()

    @dy.rule()
    def directed(cls) -> pl.Expr:
        """A vector is finite and of length 1."""
        return (pl.col("vector").list.eval(pl.element() * pl.element()).list.sum() - 1.0).abs() < 1e-3


TABLES: dict[str, type[dy.Schema]] = {
    "logs": Logs,
    "quarantine": Quarantine,
    "matches": Matches,
    "rounds": Rounds,
    "events": Events,
    "tracks": Tracks,
    "features": Features,
    "labels": Labels,
    "intents": Intents,
    "segments": Segments,
    "clips": Clips,
    "trajectories": Trajectories,
    "moments": Moments,
    "embeddings": Embeddings,
}


STREAMED = ("events", "tracks", "quarantine")
"""Tables without rules between columns: they may be checked and written piece by piece."""


def empty(table: str) -> pl.DataFrame:
    """A frame of no rows with the columns and types of that table."""
    return _nothing(table).clone()


@cache
def _nothing(table: str) -> pl.DataFrame:
    return TABLES[table].create_empty()


def conform(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with exactly the columns and types of its table, every rule checked.

    Args:
        table: a key of `TABLES`.
        frame: at least the table's columns; others are dropped, types are cast where no value changes.

    Raises:
        SchemaViolation: names the table, the columns and the rules that fail.
    """
    try:
        if _holds(table, frame):
            names = TABLES[table].column_names()
            return frame if frame.columns == names else frame.select(names)
        return TABLES[table].validate(frame, cast=True)
    except (dy.exc.ValidationError, dy.exc.SchemaError, pl.exceptions.PolarsError) as error:
        raise SchemaViolation(f"table {table}: {error}") from error


def _holds(table: str, frame: pl.DataFrame) -> bool:
    """Whether a frame is of its table's types already and every rule holds.

    dataframely plans a query of all rules and columns, which takes 40 ms for the table of features however few rows
    there are; asking each rule whether it holds takes one.
    """
    types, required, rules = _declared(table)
    found = frame.schema
    if any(found.get(name) != kind for name, kind in types.items()):
        return False
    if any(frame[name].null_count() for name in required):
        return False
    return all(frame.select(rules).row(0))


@cache
def _declared(table: str) -> tuple[pl.Schema, list[str], list[pl.Expr]]:
    """Types, the columns without null, whose count polars keeps, and all other rules."""
    required = [name for name, column in TABLES[table].columns().items() if not column.nullable]
    counted = {f"{name}|nullability" for name in required}
    rules = TABLES[table]._validation_rules(with_cast=False)
    others = [rule.expr.all().alias(name) for name, rule in rules.items() if name not in counted]
    return empty(table).schema, required, others


@cache
def _by_value(table: str) -> tuple[list[str], dict[str, dict[str, pl.Expr]]]:
    """The columns without null, and what else each column's values must be."""
    columns = TABLES[table].columns()
    required = [name for name, column in columns.items() if not column.nullable]
    return required, {name: rules for name, column in columns.items() if (rules := _value_rules(name, column))}


class StreamCheck:
    """Holds the frames of a table to its declaration as they pass by, for tables without rules between columns.

    What `conform` asks of every value is asked here of every distinct one where texts are categorical. Keys are
    compared by 64 bits of hash: what is refused might be two keys with one hash, what passes has no key twice.

    Args:
        table: one of `STREAMED`.

    Raises:
        SchemaViolation: if it is another table.
    """

    def __init__(self, table: str) -> None:
        if table not in STREAMED:
            raise SchemaViolation(f"table {table} has rules that only the whole of it can satisfy")
        self._table, self._key = table, TABLES[table].primary_key()
        self._types = empty(table).schema
        self._required, self._rules = _by_value(table)
        self._keys: list[NDArray[np.uint64]] = []

    def take(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The next rows, with exactly the columns of the table in its order; texts may stay categorical.

        Raises:
            SchemaViolation: names the table, the columns and the rules that fail.
        """
        if missing := [name for name in self._types if name not in frame.columns]:
            raise SchemaViolation(f"table {self._table}: no column {', '.join(missing)}")
        if frame.columns != list(self._types):
            frame = frame.select(list(self._types))
        if wrong := [name for name, kind in frame.schema.items() if not _fits(kind, self._types[name])]:
            raise SchemaViolation(f"table {self._table}: type of {', '.join(wrong)}")
        broken = [f"{name}|nullability" for name in self._required if frame[name].null_count()]
        for name, rules in self._rules.items():
            values = frame[name]
            if isinstance(values.dtype, pl.Categorical):
                values = _different(values)
            told = values.to_frame().select(**rules).row(0, named=True)
            broken += [f"{name}|{rule}" for rule, holds in told.items() if not holds]
        if broken:
            raise SchemaViolation(f"table {self._table}: {', '.join(broken)}")
        if keys := self._key:
            hashes = frame[keys[0]].hash() if len(keys) == 1 else frame.select(keys).hash_rows()
            self._keys.append(hashes.to_numpy())
        return frame

    def finish(self) -> None:
        """To be called behind the last rows.

        Raises:
            SchemaViolation: if a key comes twice.
        """
        keys = np.sort(np.concatenate([np.empty(0, np.uint64), *self._keys]))
        if (keys[1:] == keys[:-1]).any():
            raise SchemaViolation(f"table {self._table}: {', '.join(self._key)} comes twice")


def _fits(kind: pl.DataType, declared: pl.DataType) -> bool:
    return kind == declared or (declared == pl.String and isinstance(kind, pl.Categorical))


def _value_rules(name: str, column: dy.Column) -> dict[str, pl.Expr]:
    rules = column.validation_rules(pl.col(name))
    return {rule: holds.all() for rule, holds in rules.items() if rule != "nullability"}


def _different(values: pl.Series) -> pl.Series:
    codes = values.to_physical()
    return (values[:1] if codes.min() == codes.max() and not codes.null_count() else values.unique()).cast(pl.String)


def documentation() -> str:
    """All tables as Markdown: what a row is, and each column's type, nullability and meaning."""
    lines = ["# Tables", "", "Written by `pipeline.tables.documentation`; do not edit.", ""]
    for name, schema in TABLES.items():
        keys = set(schema.primary_key())
        lines += [f"## {name}", "", f"One row: {(schema.__doc__ or '').splitlines()[0]}", ""]
        lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
        for column, declared in schema.columns().items():
            mark, null = " (key)" if column in keys else "", "yes" if declared.nullable else ""
            lines.append(f"| `{column}`{mark} | {_type_name(declared.dtype)} | {null} | {declared.description or ''} |")
        lines.append("")
    return "\n".join(lines)


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Enum):
        return "one of " + ", ".join(dtype.categories)
    if isinstance(dtype, pl.List):
        return f"list of {_type_name(dtype.inner)}"  # type: ignore[arg-type]  # polars types them as class or instance
    if isinstance(dtype, pl.Struct):
        return "{" + ", ".join(f"{field.name}: {_type_name(field.dtype)}" for field in dtype.fields) + "}"  # type: ignore[arg-type]  # as above
    return str(dtype)
