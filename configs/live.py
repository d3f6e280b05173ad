"""The typed form of `live.yaml`: how long a running match is waited for, and how the agent reads streams.

Belongs here: bounds of order and time, sizes of batches, leases. Does not belong here: windows of features
(`configs.features`), addresses of servers (`resources.settings`).
"""

from pydantic import Field, model_validator

from configs.base import Config, load


class LiveConfig(Config):
    """Bounds of order and time.

    Attributes:
        max_ahead_ms: how far ahead of the front of its match an event may lie and still count, and how far apart the
            events of two players may lie that move the match beyond that.
        lateness_ms: how far behind the front of its match an event may arrive and still count. At least 1, since events
            of one millisecond arrive one by one.
        idle_flush_ms: how long (wall clock) nothing may arrive until what is known is evaluated without waiting longer.
        max_held_events: most events that wait for their turn; more raise an error.
        max_names: most players, teams or sides of a match; more raise an error.
        max_rounds: most rounds of a match; more raise an error.
    """

    lateness_ms: int = Field(ge=1)
    max_ahead_ms: int = Field(ge=1, default=900_000)
    idle_flush_ms: int = Field(ge=1)
    max_held_events: int = Field(ge=1)
    max_names: int = Field(ge=1, default=128)
    max_rounds: int = Field(ge=1, default=256)


class AgentConfig(Config):
    """How an agent reads, commits and shares.

    Attributes:
        shards: streams that matches are dealt out to.
        batch_events: entries read at once.
        batch_bytes: of entries read at once; no further one is read when they have so many together.
        block_ms: how long a read waits for news.
        commit_ms: how long after a match's state the next one is written, about.
        commit_events: after how many of its events it is written before that.
        lease_ms: how long a lease lasts without renewal.
        renew_ms: how often it is renewed; less than half of `lease_ms`.
        abandoned_ms: after so long without an event a match is over.
        ended_keep_ms: how long it is remembered that a match is over.
        max_matches: running matches of one shard.
        max_entry_bytes: size of the largest entry that is read.
        max_failures: failures of a match, with no read between that it took all of and that left it further on, after
            which it is given up.
        output_entries: about how many signals the output stream keeps.
        dlq_entries: about how many refused entries are kept.
        missed_entries: how many entries of a match that did not count are listed.
    """

    shards: int = Field(ge=1, le=1024)
    batch_events: int = Field(ge=1)
    batch_bytes: int = Field(ge=1)
    block_ms: int = Field(ge=1)
    commit_ms: int = Field(ge=1)
    commit_events: int = Field(ge=1)
    lease_ms: int = Field(ge=10)
    renew_ms: int = Field(ge=1)
    abandoned_ms: int = Field(ge=1)
    ended_keep_ms: int = Field(ge=1)
    max_matches: int = Field(ge=1)
    max_entry_bytes: int = Field(ge=1)
    max_failures: int = Field(ge=1)
    output_entries: int = Field(ge=1)
    dlq_entries: int = Field(ge=1)
    missed_entries: int = Field(ge=1)

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "AgentConfig":
        if self.renew_ms * 2 > self.lease_ms:
            raise ValueError("renew_ms must be at most half of lease_ms, or a lease is lost by one slow renewal")
        return self


class FollowConfig(Config):
    """How Dagster follows running matches.

    Attributes:
        signals_per_tick: most signals that a tick keeps.
        most_tries: how often the same entries are tried to be read while nothing new comes.
    """

    signals_per_tick: int = Field(ge=1)
    most_tries: int = Field(ge=1)


class MotionQueueConfig(Config):
    """Which segments of running matches wait for motion, and for how long.

    Attributes:
        clips_per_run: most segments of a run.
        most_runs: runs of the queue that may wait or work; no further one is requested meanwhile.
        most_waiting: segments that wait for a run; of more the least urgent are shed.
        ripe_ms: how long ago a segment has to have ended.
        stale_ms: after so long a segment that still waits is shed.
        half_life_ms: what ended so much earlier counts half.
        most_priority: that of the most urgent run.
        run_s: after so long a run is ended.
    """

    clips_per_run: int = Field(ge=1)
    most_runs: int = Field(ge=1)
    most_waiting: int = Field(ge=1)
    ripe_ms: int = Field(ge=0)
    stale_ms: int = Field(ge=1)
    half_life_ms: int = Field(ge=1)
    most_priority: int = Field(ge=1)
    run_s: int = Field(ge=1)


class _LiveFile(Config):
    order: LiveConfig
    agent: AgentConfig
    follow: FollowConfig
    motion: MotionQueueConfig


def load_live() -> LiveConfig:
    """The bounds of order and time in `configs/live.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("live", _LiveFile).order


def load_agent() -> AgentConfig:
    """The agent's part of `configs/live.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("live", _LiveFile).agent


def load_follow() -> FollowConfig:
    """Dagster's part of `configs/live.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("live", _LiveFile).follow


def load_motion_queue() -> MotionQueueConfig:
    """The part of `configs/live.yaml` about motion of running matches.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("live", _LiveFile).motion
