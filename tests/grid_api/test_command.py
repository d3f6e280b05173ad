"""`gridmotion fetch` as people call it; nothing that it leaves behind holds the key."""

import pytest

KEY = "k3y-that-nobody-may-see"


@pytest.fixture
def fetch(gridmotion_in, grid, tmp_path):
    def call(*series, key=KEY):
        environment = {"NO_PROXY": "*", "GRID_API_KEY": key, "GRID_API_URL": grid.url}
        done = gridmotion_in(tmp_path, "fetch", *series, **environment)
        assert KEY not in done.stdout + done.stderr
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return call


def test_series_are_fetched_by_name_and_what_fails_is_named(grid, fetch, zip_of, tmp_path, faults):
    grid.put("77", zip_of(b"{}\n"), b"{}")
    grid.fail("/file-download/list/78", faults["answers"](403, {"message": f"not with {KEY}"}))
    done = fetch("77", "78", "79")
    assert done.returncode == 1
    assert "events_fetched: 1" in done.stdout and "gridmotion ingest" in done.stdout
    assert "failed: series 78: files of series 78: the key may not have this (403)" in done.stdout
    assert "failed: series 79" in done.stdout
    assert (tmp_path / "data" / "landing" / "events_77_grid.jsonl.zip").exists()
    done = fetch("77")
    assert done.returncode == 0 and "events_known: 1" in done.stdout


def test_without_a_key_it_says_what_to_do(fetch):
    done = fetch("77", key="")
    assert done.returncode == 1
    assert "failed: GRID_API_KEY is not set" in done.stdout
