"""Events of the tables as lines of the stream: read again they are the same events."""

import polars as pl
import pytest

from pipeline.events.reader import read_log
from pipeline.events.rewriting import canonical_lines
from pipeline.events.sources.simulator import simulate
from pipeline.live.arrivals import together
from resources.replay import recorded, spoiled


@pytest.mark.parametrize("form", ["canonical", "grid"])
def test_lines_of_the_tables_are_read_as_the_same_tables(tmp_path, form):
    match = simulate(rounds=1, seed=3)
    log, again = tmp_path / "log.jsonl", tmp_path / "again.jsonl"
    lines = match.canonical_lines() if form == "canonical" else match.grid_lines()
    log.write_text("".join(f"{line}\n" for line in lines))
    (one,) = read_log(log, log_id="one").matches.values()
    events, tracks = one.events.read(), one.tracks.read()
    again.write_bytes(b"".join(line + b"\n" for _, line in canonical_lines(together(events, tracks))))
    (other,) = read_log(again, log_id="two").matches.values()
    assert _told(other.tracks.read()).equals(_told(tracks)) and tracks.height > 500
    same = [name for name in events.columns if name not in ("source_line", "payload")]
    assert other.events.read().select(same).equals(events.select(same))
    sent = recorded(log)
    assert len(sent) == events.height and [t_ms for t_ms, *_ in sent] == events["t_ms"].to_list()


def test_a_spoiled_log_is_the_same_for_the_same_seed():
    sent = [(place * 10, "m", b"%d" % place) for place in range(1000)]
    bad = spoiled(sent, shuffle_ms=50, duplicate=0.1, drop=0.1, seed=1)
    assert bad == spoiled(sent, shuffle_ms=50, duplicate=0.1, drop=0.1, seed=1)
    assert bad != spoiled(sent, shuffle_ms=50, duplicate=0.1, drop=0.1, seed=2)
    assert spoiled(sent) == sent
    missing = {line for *_, line in sent} - {line for *_, line in bad}
    assert 50 < len(missing) < 150 and pl.Series([line for *_, line in bad]).is_duplicated().sum() > 100


def _told(tracks):
    """A canonical line that tells health and not the kit says that there is none."""
    return tracks.with_columns(pl.col("has_bomb", "has_kit").fill_null(False))
