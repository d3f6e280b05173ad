"""What is noted of a log holds none of the pages that its events were read to."""

import json
import weakref
from functools import partial

import pytest

from configs.events import load_events
from pipeline.events.conservation import Tally
from pipeline.events.lines import Block, read_blocks
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.sources import canonical_scan
from pipeline.events.sources.canonical import Claims, read_canonical
from pipeline.events.sources.simulator import simulate
from pipeline.events.survey import survey

CONFIG = load_events()
TIGHT = CONFIG.lines.model_copy(update={"chunk_bytes": 65_536, "frame_rows": 1000, "held_rows": 1000})


@pytest.fixture
def pages(monkeypatch):
    """The pages that were made, as weak references to their memory."""
    made, memory = [], canonical_scan._memory

    def followed(*sizes):
        arrays = memory(*sizes)
        made.append(weakref.ref(arrays[0].base))
        return arrays

    monkeypatch.setattr(canonical_scan, "_memory", followed)
    return made


@pytest.fixture
def at_the_end(monkeypatch, pages):
    """How many pages live when all events are noted, and how many there were."""
    counted, decide = [], Claims.decide

    def counting(*arguments):
        counted.append((sum(page() is not None for page in pages), len(pages)))
        return decide(*arguments)

    monkeypatch.setattr(Claims, "decide", counting)
    return counted


def read(path):
    config = CONFIG.model_copy(update={"lines": TIGHT})
    return read_canonical(partial(read_blocks, path, TIGHT), QuarantineRows("log", TIGHT), Tally(), config)


def test_claims_hold_no_page_of_a_log_that_names_the_round_of_every_event(at_the_end, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(simulate(rounds=1, seed=1).canonical_lines()))
    read(path)
    (alive, made), = at_the_end  # fmt: skip
    assert made > 9 and alive <= 3  # the last ones wait to be written together


def test_claims_hold_no_page_of_one_event_told_again_and_again(at_the_end, tmp_path):
    path = tmp_path / "log.jsonl"
    ids = {"event_id": "e", "match_id": "m", "event_type": "ROUND_LIVE", "actor": "round:1"}
    wire = json.dumps({**ids, "timestamp": "2026-01-01T12:00:0%dZ", "payload": {}})
    path.write_text("\n".join(wire % (n % 2) for n in range(9000)))
    read(path)
    (alive, made), = at_the_end  # fmt: skip
    assert made > 3 and alive <= 1


def test_claims_hold_no_page_of_a_recorded_match(at_the_end, shared_data):
    read(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz")
    (alive, made), = at_the_end  # fmt: skip
    assert made > 3 and alive <= 1


def test_a_survey_holds_no_page(pages, match):
    scanner = canonical_scan.Scanner(CONFIG.validity, 1000)
    boundaries = [{**event, "payload": {**event["payload"], "team": "team:a"}} for event in match[1:3]]
    scanner.read(Block(1, "\n".join(map(json.dumps, [*boundaries, *match[3:-2]])).encode()))
    frames = [scanner.take()]
    found = survey(frames)
    assert pages[0]() is not None
    frames.clear()
    assert found["m1"].boundaries["event_type"].to_list() == ["ROUND_STARTED", "ROUND_LIVE"] and pages[0]() is None
