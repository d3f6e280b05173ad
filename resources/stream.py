"""The streams of running matches: canonical events in, signals out, what was refused beside them.

Belongs here: names of streams and keys, reading from a checkpoint, the one commit of state and outputs, the dlq, and
the scripts that make each of these one step. Does not belong here: who owns a shard (`ownership`), what an event means
(`pipeline.live`), when to read and commit (`agent`).

At-least-once reading becomes exactly-once effect by two ids: a match's state tells the last entry it has taken in, and
the checkpoint of its shard an entry up to which every match's state reaches. Both are written by the script that
writes the signals, and only for the owner that holds the newest fencing token.
"""

import hashlib
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import redis.asyncio as redis
from redis.exceptions import RedisError

from configs.live import AgentConfig
from pipeline.live.decoding import Decoder
from resources.errors import ResourceError

EVENTS = "events:canonical"
SIGNALS = "events:agent:motion"
DLQ = f"{EVENTS}:dlq"
EVENT = b"event"
KEYS = "gridmotion:live"
START = "0-0"
TOLD = "told"
"""The field of a match's state that names the entry up to which its signals are sent, if that lies beyond the state."""
_SHOWN = 4096  # bytes of an entry too large to be kept whole
TRIMMED_FIELD, GIVEN_UP_FIELD = "trimmed", "given up"
"""Where a letter of the dlq names such a field, it tells of entries that are gone, or of a match: nothing of it can be
sent again."""


class StreamUnreachable(ResourceError):
    """The server of the streams does not answer, or refuses."""


class Fenced(ResourceError):
    """Another agent owns the shard by now: nothing was written."""


@dataclass(frozen=True)
class Shard:
    """One part of the matches.

    Attributes:
        number: from 0.
        of: how many there are.
    """

    number: int
    of: int

    @property
    def stream(self) -> str:
        """Where its events come."""
        return EVENTS if self.of == 1 else f"{EVENTS}:{self.number}"

    def key(self, what: str) -> str:
        """Where something of it is kept."""
        return f"{KEYS}:{self.number}:{what}"

    def match_key(self, match_id: str) -> str:
        """Where the state of one of its matches is kept."""
        return self.key(f"match:{match_id}")

    def missed_key(self, match_id: str) -> str:
        """Where the entries of one of its matches are listed that did not count."""
        return self.key(f"missed:{match_id}")


def shard_of(match_id: str, shards: int) -> Shard:
    """The shard whose stream carries a match: by SHA-256, the same for every producer in any language."""
    number = int.from_bytes(hashlib.sha256(match_id.encode()).digest()[:8]) % shards
    return Shard(number, shards)


class Checkpoint(NamedTuple):
    """How far a shard is read.

    Attributes:
        entry: id of the last entry.
        rank: how many entries the stream had had up to it; what was trimmed unread shows by it.
    """

    entry: str = START
    rank: int = 0


class Entry(NamedTuple):
    """An entry of a stream of events."""

    entry: str
    rank: int
    event: bytes | None


_entry = partial(tuple.__new__, Entry)  # what `Entry._make` does, without a call of Python for each entry


@dataclass(frozen=True)
class Read:
    """Entries that follow a checkpoint.

    Attributes:
        entries: in order.
        lost: how many were trimmed before they were read.
        waiting: how many the stream has behind these.
    """

    entries: list[Entry]
    lost: int
    waiting: int


@dataclass(frozen=True)
class Letter:
    """An entry that could not be taken."""

    entry: str
    field: str
    reason: str
    event: bytes | None
    match_id: str = ""


@dataclass(frozen=True)
class MatchState:
    """The state of a match as it is written.

    Attributes:
        fields: of its hash.
        missed: entries since the last one that did not count.
        is_over: whether it is kept for a while only.
    """

    fields: Mapping[str, bytes]
    missed: Sequence[str] = ()
    is_over: bool = False


@dataclass(frozen=True)
class Commit:
    """What is written in one step.

    Attributes:
        token: the fencing token of whoever writes.
        checkpoint: how far every match's state reaches.
        states: of matches, by match id.
        signals: each as its id, its JSON and the stamps of its way.
        letters: entries that could not be taken.
        told: of further matches, the entry up to which their signals are sent with this commit; their states stay as
            they were written before, and whoever goes on from one takes what lies between in silence.
        lettered: the entry up to which letters tell of all that is no event.
    """

    token: int
    checkpoint: Checkpoint
    states: Mapping[str, MatchState] = field(default_factory=dict)
    signals: Sequence[tuple[bytes, bytes]] = ()
    letters: Sequence[Letter] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    lettered: str = START


_COMMIT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
local at = 2
local function take() at = at + 1; return ARGV[at - 1] end
redis.call('HSET', KEYS[2], 'entry', take(), 'rank', take(), 'lettered', take())
local keep, most_signals, most_letters, most_missed = take(), take(), take(), tonumber(take())
local states_end = 5 + 2 * take()
for place = 6, states_end, 2 do
  local over, fields = take(), tonumber(take())
  local written = {}
  for _ = 1, fields * 2 do written[#written + 1] = take() end
  redis.call('DEL', KEYS[place])
  redis.call('HSET', KEYS[place], unpack(written))
  local missed, room = KEYS[place + 1], 0
  local count = tonumber(take())
  if count > 0 then room = most_missed - redis.call('LLEN', missed) end
  for number = 1, count do
    local entry = take()
    if number <= room then redis.call('RPUSH', missed, entry) end
  end
  if over ~= '' then
    redis.call('PEXPIRE', KEYS[place], keep)
    redis.call('PEXPIRE', missed, keep)
    redis.call('SREM', KEYS[3], over)
  else
    redis.call('SADD', KEYS[3], take())
  end
end
for place = states_end + 1, #KEYS do redis.call('HSET', KEYS[place], 'told', take()) end
for _ = 1, tonumber(take()) do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', most_signals, '*', 'signal', take(), 'stamps', take())
end
for _ = 1, tonumber(take()) do
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', most_letters, '*', 'stream', take(), 'id', take(), 'match_id', take(),
    'field', take(), 'reason', take(), 'event', take(), 'cut', take())
end
return 1
"""

_READ = """
local function read(from, to, room, most, take)
  local bytes = 0
  while room > 0 and bytes < most do
    local found = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', math.min(room, 64))
    for _, entry in ipairs(found) do
      if bytes >= most then return end
      local event
      for at = 1, #entry[2], 2 do
        if entry[2][at] == 'event' then event = entry[2][at + 1] end
      end
      from, bytes = '(' .. entry[1], bytes + (event and #event or 0)
      take(entry[1], event)
    end
    room = #found < 64 and 0 or room - 64
  end
end
local names, sizes, events = {}, {}, {}
"""
"""Entries and their events, a few at a time: of those that are large, no more are looked at than are sent."""

_BACKLOG = f"""{_READ}
local told = redis.pcall('XINFO', 'STREAM', KEYS[1])
if told.err then
  if string.find(told.err, 'no such key') then return {{0, 0, '0-0', '', '', ''}} end
  return told
end
local about = {{}}
for at = 1, #told, 2 do about[told[at]] = told[at + 1] end
read('(' .. ARGV[1], '+', tonumber(ARGV[2]), tonumber(ARGV[3]), function(name, event)
  names[#names + 1], sizes[#sizes + 1] = name, event and #event or -1
  if event then events[#events + 1] = event end
end)
return {{about['entries-added'], about['length'], about['last-generated-id'],
  table.concat(names, ' '), table.concat(sizes, ' '), table.concat(events)}}
"""

_OF_MATCH = f"""{_READ}
local reached = ''
read(ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), function(name, event)
  reached = name
  if event and (string.find(event, ARGV[4], 1, true) or string.find(event, '\\\\u', 1, true)) then
    names[#names + 1], sizes[#sizes + 1], events[#events + 1] = name, #event, event
  end
end)
return {{reached, table.concat(names, ' '), table.concat(sizes, ' '), table.concat(events)}}
"""
"""Entries that may be of a match: they have its id in them, or letters that are written as escapes."""

_REPLAY = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
"""


class Streams:
    """The streams on one server.

    Args:
        client: of that server, answers as bytes.
        config: sizes.
    """

    def __init__(self, client: "redis.Redis", config: AgentConfig) -> None:
        self.client, self._config = client, config
        self._write = client.register_script(_COMMIT)
        self._replay_letter = client.register_script(_REPLAY)
        self._backlog = client.register_script(_BACKLOG)
        self._of_match = client.register_script(_OF_MATCH)

    async def checkpoint(self, shard: Shard) -> Checkpoint | None:
        """How far the shard was read; None if never."""
        found: dict[bytes, bytes] = await asked(self.client.hgetall(shard.key("checkpoint")))
        return Checkpoint(found[b"entry"].decode(), int(found[b"rank"])) if found else None

    async def lettered(self, shard: Shard) -> str:
        """The entry up to which letters tell of all that is no event, perhaps behind the checkpoint."""
        found: bytes | None = await asked(self.client.hget(shard.key("checkpoint"), "lettered"))
        return found.decode() if found else START

    async def beginning(self, shard: Shard) -> Checkpoint:
        """Where to read from when nothing was read yet: what was trimmed before is not missed."""
        about = await self._about(shard.stream)
        return Checkpoint(START, about.removed)

    async def read(self, shard: Shard, after: Checkpoint, *, wait: bool) -> Read:
        """The entries behind a checkpoint.

        Args:
            shard: of which.
            after: the checkpoint.
            wait: whether to wait a moment for news if there is none.
        """
        about, told = await self._behind(shard.stream, after.entry)
        if is_after(after.entry, about.last):  # the stream was deleted: what comes now is a new one
            after = Checkpoint(START, 0)
            about, told = await self._behind(shard.stream, after.entry)
        lost = max(0, about.removed - after.rank)
        if wait and not told:
            options = {"count": self._config.batch_events, "block": self._config.block_ms}
            told = _entries_of(await asked(self.client.xread({shard.stream: after.entry}, **options)))
        rank = after.rank + lost
        entries = [_entry((name, rank + place, event)) for place, (name, event) in enumerate(told, 1)]
        return Read(entries, lost if entries else 0, max(0, about.added - rank - len(entries)))

    async def states(self, shard: Shard) -> dict[str, dict[bytes, bytes]]:
        """The states of all running matches of a shard, by match id."""
        names: set[bytes] = await asked(self.client.smembers(shard.key("matches")))
        return {
            name: state for name in sorted(name.decode() for name in names) if (state := await self.state(shard, name))
        }

    async def state(self, shard: Shard, match_id: str) -> dict[bytes, bytes]:
        """The state of a match, empty if there is none."""
        found: dict[bytes, bytes] = await asked(self.client.hgetall(shard.match_key(match_id)))
        return found

    async def commit(self, shard: Shard, commit: Commit) -> None:
        """Writes state, checkpoint, signals and letters in one step.

        Raises:
            Fenced: if the token is not the newest any more; nothing was written.
            StreamUnreachable: if there is no answer, and it is not known whether it was written.
        """
        keys = [shard.key("token"), shard.key("checkpoint"), shard.key("matches"), SIGNALS, DLQ]
        entry, rank = commit.checkpoint
        config = self._config
        args: list[Any] = [commit.token, entry, rank, commit.lettered, config.ended_keep_ms]
        args += [config.output_entries, config.dlq_entries, config.missed_entries, len(commit.states)]
        for match_id, state in commit.states.items():
            keys += [shard.match_key(match_id), shard.missed_key(match_id)]
            args += [match_id if state.is_over else "", len(state.fields)]
            for name, value in state.fields.items():
                args += [name, value]
            args += [len(state.missed), *state.missed]
            if not state.is_over:
                args.append(match_id)
        for match_id, last in commit.told.items():
            keys.append(shard.match_key(match_id))
            args.append(last)
        args.append(len(commit.signals))
        for signal, stamps in commit.signals:
            args += [signal, stamps]
        args.append(len(commit.letters))
        for letter in commit.letters:
            event = letter.event or b""
            is_cut = len(event) > config.max_entry_bytes
            args += [shard.stream, letter.entry, letter.match_id, letter.field, letter.reason]
            args += [event[:_SHOWN] if is_cut else event, int(is_cut)]
        try:
            await self._write(keys=keys, args=args)
        except RedisError as error:
            if "FENCED" in str(error):
                raise Fenced(f"shard {shard.number}: another agent holds a newer token than {commit.token}") from error
            raise StreamUnreachable(f"shard {shard.number}: {type(error).__name__}: {error}") from error

    async def add(self, events: Iterable[tuple[str, bytes]], shards: int) -> int:
        """Adds events to the streams of their matches, in one round trip.

        Args:
            events: match id and line of each.
            shards: how many streams there are.

        Returns:
            How many were added.
        """
        pipe = self.client.pipeline(transaction=False)
        for match_id, event in events:
            pipe.xadd(shard_of(match_id, shards).stream, {EVENT: event})
        return len(await asked(pipe.execute()))

    async def letters(self, *, first: str = "-", count: int | None = None) -> list[tuple[str, dict[str, Any]]]:
        """What was refused, oldest first: id in the dlq and fields, the event as bytes."""
        found = await asked(self.client.xrange(DLQ, min=first, count=count))
        return [
            (name.decode(), {k.decode(): v if k == EVENT else v.decode(errors="replace") for k, v in fields.items()})
            for name, fields in found
        ]

    async def replay(self, letter_id: str) -> bool:
        """Puts a refused entry back into its stream and takes it out of the dlq, in one step; whether it did.

        An entry that was too large to be kept whole is taken from its stream, if that has it still. What names another
        stream than one of the shards' is not sent: the dlq is no way to write elsewhere.
        """
        found = await self.letters(first=letter_id, count=1)
        if not found or found[0][0] != letter_id or found[0][1]["field"] in (TRIMMED_FIELD, GIVEN_UP_FIELD):
            return False
        about = found[0][1]
        if about["stream"] not in {Shard(number, self._config.shards).stream for number in range(self._config.shards)}:
            return False
        event = about["event"]
        if about["cut"] == "1":
            told = await asked(self.client.xrange(about["stream"], min=about["id"], max=about["id"]))
            if not told:
                return False
            event = told[0][1][EVENT]
        try:
            return bool(await self._replay_letter(keys=[DLQ, about["stream"]], args=[letter_id, event]))
        except RedisError as error:
            raise StreamUnreachable(str(error)) from error

    async def drop(self, letter_ids: Sequence[str]) -> int:
        """Forgets refused entries; how many."""
        return int(await asked(self.client.xdel(DLQ, *letter_ids))) if letter_ids else 0

    async def server_ms(self) -> int:
        """The server's wall clock, by which it names entries: milliseconds since 1970 UTC."""
        seconds, micros = await asked(self.client.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def standing(self, shard: Shard) -> "Standing":
        """How a shard stands: what it has, how far it is read, by whom, what runs."""
        about = await self._about(shard.stream)
        checkpoint = await self.checkpoint(shard)
        owner = await asked(self.client.get(shard.key("owner")))
        running: set[bytes] = await asked(self.client.smembers(shard.key("matches")))
        read = checkpoint or Checkpoint(START, about.removed)
        return Standing(shard, about.last, read, _text(owner or b""), frozenset(name.decode() for name in running))

    async def told(self, after: Checkpoint | None, count: int) -> "Told":
        """The signals behind a checkpoint of their stream.

        Args:
            after: the checkpoint; None for whoever has never read: what was trimmed before is not missed.
            count: at most so many.
        """
        about = await self._about(SIGNALS)
        after = after or Checkpoint(START, about.removed)
        if is_after(after.entry, about.last):
            after = Checkpoint()
        lost = max(0, about.removed - after.rank)
        found = await asked(self.client.xrange(SIGNALS, min=f"({after.entry}", count=count))
        entries = [Published(name.decode(), fields[b"signal"], fields[b"stamps"]) for name, fields in found]
        last = Checkpoint(entries[-1].entry, after.rank + lost + len(entries)) if entries else after
        return Told(entries, last, lost if entries else 0)

    async def lines(self, shard: Shard, match_id: str, first: str, last: str) -> "Lines":
        """The events of a match that counted, as they came, and those that did not; what is no event is neither.

        Args:
            shard: the match's.
            match_id: the match.
            first: its first entry.
            last: its last entry.
        """
        missed = await self.missed(shard, match_id)
        own: list[bytes] = []
        late: list[bytes] = []
        at, decoder = first, Decoder(max_bytes=self._config.max_entry_bytes)
        page, most = self._config.batch_events, self._config.batch_bytes  # the server answers nobody else meanwhile
        while True:
            reached, *packed = await asked(self._of_match(keys=[shard.stream], args=[at, last, page, match_id, most]))
            if not reached:
                break
            found = _unpacked(*packed)
            events = [event for _, event in found]
            part = decoder.decode(events).of_match.get(match_id)
            for place in part.places if part else ():
                (late if found[place][0] in missed else own).append(found[place][1] or b"")
            at = f"({_text(reached)}"
        return Lines(own, late)

    async def missed(self, shard: Shard, match_id: str) -> frozenset[str]:
        """The entries of a match that did not count."""
        found = await asked(self.client.lrange(shard.missed_key(match_id), 0, -1))
        return frozenset(name.decode() for name in found)

    async def _behind(self, stream: str, entry: str) -> "tuple[_About, list[tuple[str, bytes | None]]]":
        """The stream and the entries behind one, both of the same moment.

        Few long answers are parsed in no time; thousands of short ones took most of it.
        """
        args: list[str | int] = [entry, self._config.batch_events, self._config.batch_bytes]
        added, length, last, *packed = await asked(self._backlog(keys=[stream], args=args))
        return _About(added, added - length, _text(last)), _unpacked(*packed)

    async def _about(self, stream: str) -> "_About":
        try:
            found = await self.client.xinfo_stream(stream)
        except RedisError as error:
            if "no such key" in str(error):
                return _About(0, 0, START)
            raise StreamUnreachable(f"{stream}: {type(error).__name__}: {error}") from error
        added, length = int(found["entries-added"]), int(found["length"])
        return _About(added, added - length, _text(found["last-generated-id"]))


class Published(NamedTuple):
    """A signal as it stands in its stream."""

    entry: str
    signal: bytes
    stamps: bytes


@dataclass(frozen=True)
class Told:
    """Signals that follow a checkpoint.

    Attributes:
        entries: in order.
        last: the checkpoint behind them.
        lost: how many were trimmed before they were read.
    """

    entries: list[Published]
    last: Checkpoint
    lost: int


@dataclass(frozen=True)
class Lines:
    """The entries of a match.

    Attributes:
        counted: those that counted, in the order of their coming.
        missed: the others.
    """

    counted: list[bytes]
    missed: list[bytes]


@dataclass(frozen=True)
class Standing:
    """How a shard stands.

    Attributes:
        shard: which.
        last: its newest entry, trimmed or not.
        read: how far it is read.
        owner: who reads it; empty for nobody.
        running: matches that are not over.
    """

    shard: Shard
    last: str
    read: Checkpoint
    owner: str
    running: frozenset[str]

    @property
    def has_news(self) -> bool:
        """Whether there are entries that nobody has read."""
        return is_after(self.last, self.read.entry)


class _About(NamedTuple):
    """Of a stream: how many entries it was given, how many it has no more, the id given last."""

    added: int
    removed: int
    last: str


def is_after(entry: str, other: str) -> bool:
    """Whether an entry comes after another, by their ids."""
    return _parts(entry) > _parts(other)


def upto(entries: Sequence[Entry], until: str) -> list[Entry]:
    """Those of entries in order that do not come after another, by their ids."""
    last = _parts(until)
    return list(entries[: bisect_right(entries, last, key=lambda entry: _parts(entry.entry))])


def just_before(entry: str) -> str:
    """The greatest id that is less than the entry's."""
    first, second = _parts(entry)
    return f"{first}-{second - 1}" if second else f"{first - 1}-{2**64 - 1}"


def _parts(entry: str) -> tuple[int, int]:
    first, _, second = entry.partition("-")
    return int(first), int(second)


def milliseconds(entry: str) -> int:
    """When an entry was added, by the wall clock of the server."""
    return _parts(entry)[0]


def now_ms() -> int:
    """Wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


async def asked(answer: Any) -> Any:
    """The answer of a server.

    Raises:
        StreamUnreachable: if there is none, or it refuses.
    """
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise StreamUnreachable(f"{type(error).__name__}: {error}") from error


def _entries_of(found: Any) -> list[tuple[str, bytes | None]]:
    """The entries of the one stream in an answer of XREAD, whichever protocol it came by."""
    if not found:
        return []
    told = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
    return [(name.decode(), (fields or {}).get(EVENT)) for name, fields in told]


def _unpacked(names: bytes, sizes: bytes, events: bytes) -> list[tuple[str, bytes | None]]:
    """What `_BACKLOG` packed."""
    found: list[tuple[str, bytes | None]] = []
    at = 0
    for name, size in zip(names.decode().split(), map(int, sizes.split()), strict=True):
        end = at + max(0, size)
        found.append((name, events[at:end] if size >= 0 else None))
        at = end
    return found


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
