"""One file: whole or not at all, whatever the network does."""

import gzip
import io
import random
import zipfile

import pytest
from blake3 import blake3

from resources.grid_api import BadDownload, Fetched, GridUnavailable, NotYet

PATH = "/file-download/events/grid/series/77"
STATE = "/file-download/end-state/grid/series/77"


@pytest.fixture
def data(zip_of):
    """300 kB: more than one chunk, and not compressible."""
    return zip_of(random.Random(1).randbytes(300_000))


@pytest.fixture
def server(grid, data):
    grid.put("77", events=data)
    return grid


def _ranges(grid):
    return [seen.headers.get("range") for seen in grid.asked(PATH)]


def _left(spool):
    return sorted(path.name for path in spool.iterdir())


def test_a_file_comes_whole_and_what_the_server_calls_it_is_told(server, api, data, spool):
    fetched = api.events("77", spool / "file.zip")
    assert isinstance(fetched, Fetched)
    assert fetched.path.read_bytes() == data and fetched.bytes == len(data)
    assert fetched.blake3 == blake3(data).hexdigest()
    assert (fetched.etag, fetched.modified) == ('"v1"', "Mon, 01 Jun 2026 12:00:00 GMT")
    assert "file.zip.part" not in _left(spool)


def test_a_broken_connection_is_continued_where_it_broke(server, api, faults, data, spool):
    server.fail(PATH, faults["breaks_after"](100_000), faults["breaks_after"](50_000))
    assert api.events("77", spool / "file").path.read_bytes() == data
    first, second, third = _ranges(server)
    assert first is None and second.startswith("bytes=") and third.startswith("bytes=")
    offsets = [int(asked.strip("bytes=-")) for asked in (second, third)]
    assert offsets == [100_000, 150_000]
    assert [seen.headers.get("if-range") for seen in server.asked(PATH)] == [None, '"v1"', '"v1"']


def test_what_has_come_outlives_the_process(server, open_api, faults, data, changed, spool):
    server.fail(PATH, faults["breaks_after"](200_000))
    with pytest.raises(GridUnavailable, match="gave up"):
        open_api(config=changed(retries={"attempts": 1})).events("77", spool / "file")
    assert not (spool / "file").exists() and (spool / "file.part").stat().st_size == 200_000
    assert open_api().events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server) == [None, "bytes=200000-"]


def test_a_file_that_had_come_whole_is_not_asked_for_again(server, open_api, data, spool):
    first = open_api().events("77", spool / "file")
    (spool / "file").rename(spool / "file.part")  # as if the process had died before it was renamed
    assert open_api().events("77", spool / "file") == first
    assert open_api().events("77", spool / "file") == first  # and here, after
    assert len(server.asked(PATH)) == 1


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(server, api, faults, data, spool):
    server.hosted[PATH].ranges = False
    server.fail(PATH, faults["breaks_after"](100_000))
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server) == [None, "bytes=100000-"]


def test_a_file_that_changed_between_two_parts_is_fetched_anew(server, api, faults, zip_of, hosted, spool):
    other = zip_of(random.Random(2).randbytes(280_000))

    def replace(grid):
        grid.hosted[PATH] = hosted(other, etag='"v2"')

    server.fail(PATH, faults["breaks_after"](100_000), faults["first"](replace))
    fetched = api.events("77", spool / "file")
    assert fetched.path.read_bytes() == other and fetched.etag == '"v2"'


@pytest.mark.parametrize("size", [280_000, 300_000])
def test_a_changed_file_is_noticed_where_the_server_ignores_if_range(
    server, api, faults, zip_of, hosted, spool, size, monkeypatch
):
    other = zip_of(random.Random(2).randbytes(size))

    def replace(grid):
        grid.hosted[PATH] = hosted(other, etag='"v2"')

    def ignores_if_range(handler):
        replace(handler.grid)
        start = int(handler.headers["Range"].strip("bytes=-"))
        headers = {"ETag": '"v2"', "Content-Range": f"bytes {start}-{len(other) - 1}/{len(other)}"}
        handler.send_data(206, other[start:], headers)
        return True

    server.fail(PATH, faults["breaks_after"](100_000), ignores_if_range)
    assert api.events("77", spool / "file").path.read_bytes() == other
    assert _ranges(server) == [None, "bytes=100000-", None]


def test_two_files_mixed_without_any_sign_fail_their_checksum_and_are_fetched_anew(
    server, api, faults, zip_of, hosted, spool
):
    other = zip_of(random.Random(2).randbytes(300_000))
    server.hosted[PATH].etag = server.hosted[PATH].modified = ""

    def replace(grid):
        grid.hosted[PATH] = hosted(other, etag="", modified="")

    server.fail(PATH, faults["breaks_after"](100_000), faults["first"](replace))
    assert api.events("77", spool / "file").path.read_bytes() == other
    assert _ranges(server) == [None, "bytes=100000-", None]


def test_a_size_that_is_told_only_with_a_range_is_held_against_the_file(server, api, data, spool):
    def without_size(handler):
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n" % 100_000 + data[:100_000] + b"\r\n")
        handler.close_connection = True
        return True

    def some_of_it(handler):
        start = int(handler.headers["Range"].strip("bytes=-"))
        headers = {"ETag": '"v1"', "Content-Range": f"bytes {start}-{start + 49_999}/{len(data)}"}
        handler.send_data(206, data[start : start + 50_000], headers)
        return True

    server.fail(PATH, without_size, some_of_it)
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server) == [None, "bytes=100000-", "bytes=150000-"]


def test_a_weak_etag_does_not_vouch_for_bytes(server, api, faults, data, spool):
    server.hosted[PATH].etag = 'W/"v1"'
    server.fail(PATH, faults["breaks_after"](100_000))
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert server.asked(PATH)[1].headers["if-range"] == server.hosted[PATH].modified


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, api, data, spool):
    (spool / "file.part").write_bytes(data + b"more")
    (spool / "file.part.json").write_text('{"etag":"\\"v1\\"","total":null}')
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert len(server.asked(PATH)) == 2


@pytest.mark.parametrize("note", ["", "not json", "{}"])
def test_a_part_that_nobody_can_vouch_for_is_thrown_away(server, api, data, spool, note):
    (spool / "file.part").write_bytes(b"whatever")
    if note:
        (spool / "file.part.json").write_text(note)
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server) == [None]


def test_a_silence_in_the_middle_is_continued(server, open_api, changed, data, spool):
    import time

    def stalls(handler):
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:100_000])
        handler.wfile.flush()
        time.sleep(1.0)
        handler.close_connection = True
        return True

    server.fail(PATH, stalls)
    api = open_api(config=changed(timeouts={"read": 0.2}))
    assert api.events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server) == [None, "bytes=100000-"]


def test_a_server_that_drips_is_left_after_the_longest_time_and_continued_next_time(
    server, open_api, changed, data, spool
):
    import time

    def drips(handler):
        handler.send_response(200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for place in range(0, len(data), 20_000):
            handler.wfile.write(data[place : place + 20_000])
            handler.wfile.flush()
            time.sleep(0.1)
        return True

    server.fail(PATH, drips)
    with pytest.raises(GridUnavailable, match="the next try continues after"):
        open_api(config=changed(timeouts={"download": 0.35})).events("77", spool / "file")
    assert 0 < (spool / "file.part").stat().st_size < len(data)
    assert open_api().events("77", spool / "file").path.read_bytes() == data
    assert _ranges(server)[1] is not None


# -- what is not as it should be -------------------------------------------------------------------------------------


def _damaged_zips(data):
    corrupt = bytearray(data)
    corrupt[len(corrupt) // 2] ^= 1
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}.jsonl", "")
    encrypted = bytearray(data)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(signature) + flags] |= 1
    return {
        "cut off": data[:200_000],
        "a flipped bit": bytes(corrupt),
        "no zip": b"<html>please log in</html>",
        "nothing": b"",
        "no events in it": empty.getvalue(),
        "too many files": many.getvalue(),
        "encrypted": bytes(encrypted),
    }


@pytest.mark.parametrize("damage", list(_damaged_zips(b"PK\x03\x04" + bytes(64) + b"PK\x01\x02" + bytes(64))))
def test_a_damaged_file_never_counts_and_is_given_up_when_it_comes_again(server, api, data, hosted, spool, damage):
    server.hosted[PATH] = hosted(_damaged_zips(data)[damage])
    with pytest.raises(BadDownload, match=r"events of series 77: what came twice .*GRID's own file is damaged"):
        api.events("77", spool / "file")
    assert _left(spool) == []
    assert _ranges(server) == [None, None]


def test_a_file_that_is_damaged_otherwise_each_time_is_tried_again_bounded(server, api, hosted, faults, config, spool):
    for number in range(50):
        server.fail(PATH, faults["first"](lambda grid, n=number: grid.hosted.update({PATH: hosted(b"%d" % n)})))
    with pytest.raises(BadDownload, match="gave up at attempt 6"):
        api.events("77", spool / "file")
    assert len(server.asked(PATH)) == config.retries.attempts


def test_a_file_that_was_damaged_once_comes_sound_the_next_time(server, api, data, hosted, faults, spool):
    sound = server.hosted[PATH]
    server.hosted[PATH] = hosted(_damaged_zips(data)["a flipped bit"])
    server.fail(PATH, lambda handler: False, faults["first"](lambda grid: grid.hosted.update({PATH: sound})))
    assert api.events("77", spool / "file").path.read_bytes() == data


def test_a_file_that_unpacks_to_more_than_believed_is_refused(server, api, hosted, spool, monkeypatch):
    from configs.events import load_events

    small = load_events().model_copy(update={"lines": load_events().lines.model_copy(update={"max_unpacked_bytes": 9})})
    monkeypatch.setattr("resources.grid_api.client.load_events", lambda: small)
    with pytest.raises(BadDownload, match="unpacks to more than 9 bytes"):
        api.events("77", spool / "file")


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_larger_than_the_limit_is_refused_and_not_kept(server, open_api, changed, data, spool, announced):
    def unannounced(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True
        return True

    if not announced:
        server.fail(PATH, unannounced)
    with pytest.raises(BadDownload, match=r"limit of 1000"):
        open_api(config=changed(limits={"events_bytes": 1000})).events("77", spool / "file")
    assert _left(spool) == []
    assert len(server.asked(PATH)) == 1


def test_a_size_other_than_the_listed_one_is_refused(server, api, data, spool):
    server.sizes["events-grid"] = len(data) + 1
    listed = api.listed("77")["events-grid"]
    assert listed.size == len(data) + 1
    with pytest.raises(BadDownload, match=f"has {len(data)} bytes; the listing says {len(data) + 1}"):
        api.events("77", spool / "file", listed.size)
    assert _left(spool) == []
    server.sizes["events-grid"] = len(data)
    assert api.events("77", spool / "file", api.listed("77")["events-grid"].size).bytes == len(data)


def test_a_file_whose_end_is_only_the_end_of_the_connection_is_told_from_a_cut_one_by_its_checksums(
    server, api, data, spool
):
    def cut_without_length(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(data[:150_000])
        handler.close_connection = True
        return True

    server.fail(PATH, cut_without_length)
    assert api.events("77", spool / "file").path.read_bytes() == data


def test_an_answer_without_a_file_means_not_yet(server, api, faults, spool):
    server.fail(PATH, faults["answers"](202, {"message": "processing"}))
    assert api.events("77", spool / "file") == NotYet("processing")
    assert _left(spool) == []


# -- end states ------------------------------------------------------------------------------------------------------


def test_an_end_state_is_json_or_nothing(grid, api, spool):
    grid.put("77", end_state=b'{"seriesState": {"id": "77"}}')
    assert api.end_state("77", spool / "state").path.read_bytes() == b'{"seriesState": {"id": "77"}}'
    for number, bad in enumerate((b"[]", b"{", b"\xff", b"[" * 100_000)):
        grid.put("77", end_state=bad)
        with pytest.raises(BadDownload, match="end state of series 77: what came twice is no JSON"):
            api.end_state("77", spool / f"bad{number}")
    assert _left(spool) == ["state", "state.part.json"]


def test_an_answer_that_is_packed_on_the_way_is_unpacked_and_not_continued(grid, api, spool):
    plain = b'{"seriesState": {"id": "77"}}'

    def packed(handler):
        data = gzip.compress(plain)
        handler.send_data(200, data, {"Content-Encoding": "gzip", "ETag": '"z"'}, stop=stops.pop())
        return True

    stops = [None, 10]
    grid.fail(STATE, packed, packed)
    assert api.end_state("77", spool / "state").path.read_bytes() == plain
    assert [seen.headers.get("range") for seen in grid.asked(STATE)] == [None, None]
