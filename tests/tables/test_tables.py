"""The declarations of the tables: what they refuse, what they generate, what they say of themselves."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.intents.vocabulary import INTENTS
from pipeline.tables import TABLES, SchemaViolation, conform, documentation, empty

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("table", sorted(TABLES))
def test_an_empty_frame_conforms_and_a_missing_column_is_named(table: str) -> None:
    assert conform(table, empty(table)).height == 0
    column = empty(table).columns[-1]
    with pytest.raises(SchemaViolation, match=f"(?s){table}.*{column}"):
        conform(table, empty(table).drop(column))


@pytest.mark.parametrize("table", ["rounds", "segments", "features", "intents", "quarantine"])
def test_generated_rows_conform(table: str) -> None:
    overrides = {"t_ms": [0, 250, 500, 750, 1000]} if table in ("features", "intents") else None
    rows = None if overrides else 5
    assert conform(table, TABLES[table].sample(rows, overrides=overrides)).height == 5


def test_a_log_whose_events_do_not_add_up_is_refused() -> None:
    counts = {"source_events": 3, "converted": 1, "merged": 1, "reverted": 0, "duplicate": 0, "quarantined": 1}
    row = {"log_id": "l", "uri": "u", "blake3": "0" * 64, "bytes": 1, "source_kind": "grid", "match_ids": [["m"]],
           **counts, "derived_positions": 7}  # fmt: skip
    assert conform("logs", pl.DataFrame(row)).height == 1
    with pytest.raises(SchemaViolation, match="conserved"):
        conform("logs", pl.DataFrame(row | {"merged": 2}))


def test_an_instant_off_the_grid_and_an_unknown_intent_are_refused() -> None:
    segment = {"segment_id": "0" * 16, "match_id": "m", "round": 1, "player": "p", "team": None, "side": None,
               "from_ms": 0, "to_ms": 250, "intent": INTENTS[0], "confidence": 0.5, "decided_by": "rule:x",
               "model_version": "v", "review_reasons": [[]]}  # fmt: skip
    assert conform("segments", pl.DataFrame(segment)).height == 1
    for wrong in ({"intent": "dance"}, {"to_ms": 0}, {"confidence": 1.5}, {"match_id": "m/1"}):
        with pytest.raises(SchemaViolation):
            conform("segments", pl.DataFrame(segment | wrong))


def test_the_documentation_in_docs_is_what_the_declarations_say() -> None:
    assert (ROOT / "docs" / "tables.md").read_text() == documentation(), "run: make docs"
