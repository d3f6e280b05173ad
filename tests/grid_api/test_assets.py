"""The asset over the server and a store: what lands, what is told, what the check says after the analysis."""

import json
from pathlib import Path

import dagster as dg
import msgspec
import pytest
from pydantic import SecretStr

from assets.definitions import build_defs, open_store
from assets.schedules import daily_grid_fetch
from assets.sensors import landing_sensor
from pipeline.events.sources.simulator import simulate
from resources.settings import Settings

KEY = "k3y-that-nobody-may-see"
QUERY = "/central-data/graphql"


class Workspace:
    """A store, an instance and the code location over them, with GRID on this machine."""

    def __init__(self, folder, instance, api):
        self.environment = Settings(gridmotion_store=str(folder / "store"), grid_api_key=KEY)
        self.store = open_store(self.environment)
        self.instance = instance
        self.api = api
        self.definitions = build_defs(self.environment, store=self.store, grid=api)

    def run(self, job, **options):
        runnable = self.definitions.resolve_job_def(job)
        return runnable.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def fetch(self, *series):
        """A run of the fetch; its metadata, by name, and whether its check passed."""
        config = {"ops": {"grid_series": {"config": {"series": list(series)}}}}
        result = self.run("fetch_grid", run_config=config)
        assert result.success
        (materialization,) = result.asset_materializations_for_node("grid_series")
        (check,) = result.get_asset_check_evaluations()
        return {name: value.value for name, value in materialization.metadata.items()}, check.passed

    def landed(self):
        return [path for path, _, _ in self.store.files("landing")]

    def failure(self, result):
        (event,) = [event for event in result.all_events if event.is_step_failure]
        return event.step_failure_data.user_failure_data.description


@pytest.fixture
def open_workspace(tmp_path, open_api):
    with dg.DagsterInstance.ephemeral() as instance:
        yield lambda **options: Workspace(tmp_path, instance, open_api(**options))


@pytest.fixture
def workspace(open_workspace):
    return open_workspace()


@pytest.fixture(scope="module")
def series():
    """A simulated match as a GRID series: its id, its lines."""
    match = simulate(rounds=2, seed=11)
    return match.series_id, list(match.grid_lines())


@pytest.fixture
def offered(grid, series, zip_of):
    """The server offers that series with its end state: the state after its last event. Returns id and end state."""
    name, lines = series
    states = [event["seriesState"] for line in lines for event in json.loads(line)["events"] if "seriesState" in event]
    end = {"seriesState": states[-1]}
    grid.put(name, zip_of("\n".join(lines).encode(), f"events_{name}_grid.jsonl"), json.dumps(end).encode())
    return name, end


def _page(*ids):
    edges = [{"node": {"id": name, "startTimeScheduled": "2026-06-02T10:00:00Z"}} for name in ids]
    return {"data": {"allSeries": {"edges": edges, "pageInfo": {"hasNextPage": False, "endCursor": None}}}}


# -- fetching --------------------------------------------------------------------------------------------------------


def test_what_is_followed_is_fetched_once_and_each_failure_fails_alone(grid, open_workspace, changed, faults, zip_of):
    follow = {"tournaments": ["9", "10"], "teams": ["4"], "series": ["1"]}
    workspace = open_workspace(config=changed(follow=follow))
    grid.pages = [_page("2", "3", "1"), {"errors": [{"message": "no"}]}, _page("2", "5", "../6")]
    for name in ("1", "2"):
        grid.put(name, zip_of(b"{}\n"), b"{}")
    grid.put("3")
    grid.put("5", b"no zip")
    told, passed = workspace.fetch()
    assert workspace.landed() == [f"landing/events_{name}_grid.jsonl.zip" for name in ("1", "2")]
    assert (told["series"], told["events_fetched"], told["waiting"]) == (5, 2, ["3", "5"])
    assert set(told["failed"]) == {"tournament 10", "series 5", "series ../6"} and not passed
    assert "| 3 | processing | processing |" in told["states"] and "| 5 | failed | processing |" in told["states"]
    assert [seen.body["variables"]["id"] for seen in grid.asked(QUERY)] == ["9", "10", "4"]

    grid.pages = [_page("2", "3", "1")]
    grid.put("3", zip_of(b"{}\n"), b"{}")
    grid.put("5", zip_of(b"{}\n"), b"{}")
    told, passed = workspace.fetch()
    assert passed and (told["events_fetched"], told["events_known"], told["waiting"]) == (1, 2, [])


def test_named_series_are_fetched_instead_of_the_followed_ones(grid, open_workspace, changed, zip_of):
    workspace = open_workspace(config=changed(follow={"tournaments": ["9"], "series": ["1"]}))
    grid.put("2", zip_of(b"{}\n"), b"{}")
    told, _ = workspace.fetch("2", "2")
    assert (told["series"], told["events_fetched"]) == (1, 1)
    assert not grid.asked(QUERY)


def test_nothing_followed_is_nothing_done(grid, workspace):
    told, passed = workspace.fetch()
    assert told["series"] == 0 and passed
    assert grid.seen == []


@pytest.mark.parametrize("key", [None, SecretStr("wrong")])
def test_a_key_that_is_missing_or_refused_ends_the_run_in_one_sentence(grid, open_workspace, faults, key):
    grid.fail("/file-download/list/1", faults["answers"](401))
    workspace = open_workspace(key=key)
    result = workspace.run("fetch_grid", run_config={"ops": {"grid_series": {"config": {"series": ["1", "2"]}}}})
    assert not result.success
    assert "GRID_API_KEY" in workspace.failure(result)
    assert len(grid.seen) <= 1


def test_who_is_told_to_wait_too_long_leaves_the_rest_to_the_next_tick(grid, workspace, faults, zip_of):
    for name in ("1", "2", "3"):
        grid.put(name, zip_of(b"{}\n"), b"{}")
    grid.fail("/file-download/list/2", faults["answers"](429, Retry_After="3600"))
    told, passed = workspace.fetch("1", "2", "3")
    assert passed and told["left_for_the_next_tick"] == ["2", "3"] and told["events_fetched"] == 1
    told, passed = workspace.fetch("1", "2", "3")
    assert told["left_for_the_next_tick"] == [] and (told["events_fetched"], told["events_known"]) == (2, 1)


def test_a_server_that_is_down_is_not_asked_for_every_series(grid, workspace, faults, config):
    names = [str(number) for number in range(10)]
    for name in names:
        grid.fail(f"/file-download/list/{name}", *[faults["answers"](503)] * 10)
    told, passed = workspace.fetch(*names)
    most = config.retries.unavailable_in_a_row
    assert not passed and len(told["failed"]) == most and told["left_for_the_next_tick"] == names[most:]
    assert len(grid.seen) == most * config.retries.attempts


def test_central_data_that_is_down_is_not_asked_for_everything(grid, open_workspace, changed, faults, zip_of):
    workspace = open_workspace(config=changed(follow={"tournaments": ["9", "10"], "teams": ["4"], "series": ["1"]}))
    grid.put("1", zip_of(b"{}\n"), b"{}")
    grid.fail(QUERY, *[faults["answers"](503)] * 50)
    told, passed = workspace.fetch()
    assert not passed and set(told["failed"]) == {"tournament 9"}
    assert told["left_for_the_next_tick"] == ["tournament 10", "team 4"] and told["events_fetched"] == 1


def test_one_series_that_breaks_the_server_does_not_stop_the_others(grid, workspace, faults, zip_of):
    for name in ("1", "2", "3"):
        grid.put(name, zip_of(b"{}\n"), b"{}")
    grid.fail("/file-download/events/grid/series/1", *[faults["answers"](500)] * 10)
    told, passed = workspace.fetch("1", "2", "3")
    assert not passed and set(told["failed"]) == {"series 1"} and told["events_fetched"] == 2


def test_an_end_state_that_comes_after_its_events_is_named(grid, workspace, zip_of):
    grid.put("1", zip_of(b"{}\n"))
    told, _ = workspace.fetch("1")
    assert (told["waiting"], told["end_states_after_their_events"]) == (["1"], [])
    grid.put("1", zip_of(b"{}\n"), b"{}")
    assert workspace.fetch("1")[0]["end_states_after_their_events"] == ["1"]
    assert workspace.fetch("1")[0]["end_states_after_their_events"] == []


# -- the schedule ----------------------------------------------------------------------------------------------------


def test_the_schedule_skips_where_there_is_nothing_to_do_and_says_why(open_api, changed):
    def ticked(key, **follow):
        api = open_api(config=changed(follow=follow))
        environment = Settings(gridmotion_store="unused", grid_api_key=key)
        context = dg.build_schedule_context(resources={"grid": api, "environment": environment})
        return daily_grid_fetch(context)

    assert "follows no" in ticked(KEY).skip_message
    assert "GRID_API_KEY" in ticked(None, teams=["4"]).skip_message
    assert isinstance(ticked(KEY, teams=["4"]), dg.RunRequest)


def test_the_definitions_load_without_a_key(tmp_path):
    definitions = build_defs(Settings(gridmotion_store=str(tmp_path), grid_api_key=None))
    assert definitions.resolve_job_def("fetch_grid")


# -- from GRID to the check ------------------------------------------------------------------------------------------


def _scan_what_landed(workspace):
    """What the landing sensor would request, done."""
    context = {"instance": workspace.instance, "resources": {"store": workspace.store}}
    first = landing_sensor(dg.build_sensor_context(**context))
    second = landing_sensor(dg.build_sensor_context(**context, cursor=first.cursor))
    for request in second.run_requests:
        assert workspace.run("scan_log", run_config=request.run_config).success
    return len(second.run_requests)


def _checked(workspace, match_id):
    """The end-state check of a match whose recording was read: the check, its metadata."""
    recording = [dg.AssetKey(name) for name in ("rounds", "events", "tracks")]
    result = workspace.run("analyse_match", partition_key=match_id, asset_selection=recording)
    assert result.success
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "agrees_with_end_state"]
    return check, {name: value.value for name, value in check.metadata.items()}


def test_a_fetched_series_is_scanned_analysed_and_agrees_with_its_end_state(grid, workspace, offered):
    name, end = offered
    told, _ = workspace.fetch(name)
    assert told["events_fetched"] == 1
    assert _scan_what_landed(workspace) == 1
    assert workspace.landed() == [] and workspace.store.keys("matches") == [f"{name}-1"]

    check, metadata = _checked(workspace, f"{name}-1")
    assert check.passed and metadata["different"] == 0 and metadata["compared"] >= 20
    assert workspace.fetch(name)[0]["events_known"] == 1
    assert _scan_what_landed(workspace) == 0

    team = end["seriesState"]["games"][0]["teams"][0]
    team["players"][0]["kills"] += 1
    team["score"] += 1
    workspace.store.write(f"end_states/series={name}.json", json.dumps(end).encode())
    check, metadata = _checked(workspace, f"{name}-1")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert metadata["different"] == 2
    assert f"| kills | player:{team['players'][0]['id']} |" in metadata["differences"]
    assert f"| score | team:{team['id']} |" in metadata["differences"]

    ends = {f"dagster/asset_partition_range_{end}": f"{name}-1" for end in ("start", "end")}
    recording = [dg.AssetKey(table) for table in ("rounds", "events", "tracks")]
    many = workspace.run("analyse_match", tags=ends, asset_selection=recording)
    assert many.success  # a warning gives no match up, in a run over many either
    key = dg.AssetCheckKey(dg.AssetKey("events"), "agrees_with_end_state")
    (told,) = workspace.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert (told.run_id, told.partition) == (many.run_id, f"{name}-1")
    assert (told.evaluation.passed, told.evaluation.blocking) == (False, False)

    workspace.store.write(f"end_states/series={name}.json", b'{"seriesState": {"games": 3}}')
    check, metadata = _checked(workspace, f"{name}-1")
    assert not check.passed and "games" in metadata["reason"]

    workspace.store.delete(f"end_states/series={name}.json")
    check, metadata = _checked(workspace, f"{name}-1")
    assert check.passed and "was not fetched" in metadata["nothing_to_compare_with"]


def test_a_crash_between_landing_and_record_scans_nothing_twice(grid, workspace, offered, monkeypatch):
    name, _ = offered
    write = workspace.store.write

    def refuses_records(path, data):
        if path.startswith("grid_series/") and b'"events": null' not in data:
            raise OSError("the machine stops here")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(workspace.store, "write", refuses_records)
        assert not workspace.run(
            "fetch_grid", run_config={"ops": {"grid_series": {"config": {"series": [name]}}}}
        ).success
    assert _scan_what_landed(workspace) == 1
    told, _ = workspace.fetch(name)
    assert told["events_fetched"] == 1
    assert workspace.landed() == [] and _scan_what_landed(workspace) == 0
    assert workspace.store.keys("logs") == workspace.store.keys("logs")[:1]


def test_a_canonical_log_has_no_end_state_to_agree_with(workspace):
    lone = {
        "event_id": "e", "match_id": "m1", "event_type": "POSITION_UPDATE", "actor": "player:p",
        "timestamp": "2026-01-01T12:00:00Z", "payload": {"pos": [1.0, 0.0, 1.0], "ts": 100.0},
    }  # fmt: skip
    workspace.store.write("landing/lone.jsonl", json.dumps(lone).encode())
    assert _scan_what_landed(workspace) == 1
    check, metadata = _checked(workspace, "m1")
    assert check.passed and "only GRID's logs" in metadata["nothing_to_compare_with"]


def test_the_real_series_agrees_with_its_own_last_state(shared_data, grid, workspace):
    import zipfile

    path = Path(shared_data, "grid", "events_9100001_grid.jsonl.zip")
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as lines:
        last = json.loads(list(lines)[-1])["events"][-1]["seriesState"]
    grid.put("9100001", path.read_bytes(), msgspec.json.encode({"seriesState": last}))
    workspace.fetch("9100001")
    assert _scan_what_landed(workspace) == 1
    check, metadata = _checked(workspace, "9100001-1")
    # Ten players' kills and deaths, the number of rounds, both teams' scores; that feed never says who won.
    assert (check.passed, metadata["compared"], metadata["different"]) == (True, 23, 0)
    assert metadata["not_compared"] == [
        "winners of 20 of 20 rounds: the file does not show them", "winner: the file names none",
    ]  # fmt: skip
