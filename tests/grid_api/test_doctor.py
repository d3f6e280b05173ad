"""What the doctor says of GRID: a key, an answer, an entitlement."""

import pytest

from assets.definitions import open_registry, open_store
from resources.health import examine
from resources.settings import Settings

KEY = "k3y-that-nobody-may-see"
QUERY, LIST = "/central-data/graphql", "/file-download/list/0"


@pytest.fixture
def examined(grid, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")

    def examine_grid(key=KEY):
        environment = Settings(gridmotion_store=str(tmp_path), grid_api_key=key, grid_api_url=grid.url)
        findings = examine(environment, open_store(environment), open_registry(environment))
        (found,) = [finding for finding in findings if finding.service == "GRID"]
        return found

    return examine_grid


def test_a_key_that_both_apis_allow_is_well(grid, examined):
    grid.pages = [{"data": {"allSeries": {"totalCount": 5}}}]
    found = examined()
    assert (found.state, found.detail) == ("ok", "answers; both APIs allow the key")
    assert [seen.path for seen in grid.seen] == [QUERY, LIST]


def test_what_is_refused_is_named_with_its_reason(grid, examined, faults):
    grid.pages = [{"data": {"allSeries": {"totalCount": 5}}}]
    grid.fail(LIST, faults["answers"](403, {"message": f"{KEY} may not"}))
    found = examined()
    assert found.state == "failed" and "contract" in found.detail and "Central" not in found.detail
    grid.fail(QUERY, faults["answers"](401))
    grid.fail(LIST, faults["answers"](401))
    found = examined()
    assert found.state == "failed" and found.detail.count("GRID_API_KEY") == 2
    assert KEY not in str(found)


def test_a_server_in_trouble_is_asked_once(grid, examined, faults):
    for path in (QUERY, LIST):
        grid.fail(path, *[faults["answers"](503)] * 5)
    found = examined()
    assert found.state == "failed" and len(grid.seen) == 2


def test_no_key_is_no_fault(grid, examined):
    found = examined(key=None)
    assert (found.state, grid.seen) == ("fallback", [])
