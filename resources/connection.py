"""The connection to the server of the streams, as the environment names it.

Belongs here: the address, its secret, how long an answer is waited for. Does not belong here: what is asked (`stream`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.asyncio as redis
from redis.exceptions import RedisError

from configs.live import AgentConfig, load_agent
from resources.errors import ResourceError
from resources.settings import Settings
from resources.stream import Streams

T = TypeVar("T")


class NoStreams(ResourceError):
    """The environment names no server of streams, or one at an address that can't be read."""


def connect(environment: Settings, config: AgentConfig) -> "redis.Redis":
    """A client of the server that REDIS_URL names; it connects when it is first asked.

    `rediss://user:password@host:port/0` is TLS with a user of the server's ACL; `?ssl_ca_certs=` names an authority of
    one's own.

    Raises:
        NoStreams: if REDIS_URL is not set, or is no such address; the message does not repeat it.
    """
    if environment.redis_url is None:
        raise NoStreams("REDIS_URL is not set: the address of a Redis or Valkey server")
    patience_s = config.lease_ms / 1000
    try:
        client = redis.from_url(
            environment.redis_url.get_secret_value(), socket_timeout=patience_s, socket_connect_timeout=patience_s
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing; knows which options there are
    except (ValueError, TypeError, RedisError):
        raise NoStreams("REDIS_URL is no address: redis://, rediss:// or unix://, with known options") from None
    return client


def on_streams(environment: Settings, work: Callable[[Streams, AgentConfig], Awaitable[T]]) -> T:
    """What some work on the streams gives, over a connection of its own.

    Raises:
        NoStreams: as of `connect`.
        StreamUnreachable: if the server does not answer.
    """

    async def connected() -> T:
        config = load_agent()
        client = connect(environment, config)
        try:
            return await work(Streams(client, config), config)
        finally:
            await client.aclose()

    return asyncio.run(connected())
