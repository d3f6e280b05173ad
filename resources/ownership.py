"""Who owns a shard: a lease that must be renewed, and a fencing token that makes a late owner harmless.

Belongs here: taking, renewing and giving back leases, and how many of them are a fair share. Does not belong here: what
an owner does (`agent`), the commit that checks the token (`stream`).

The lease says who may work; it runs out by itself, so a dead owner's shard is free within seconds. The token says whose
work counts: each new owner draws a greater one, and what an earlier owner still tries to write is refused.
"""

import secrets
from typing import Any

import redis.asyncio as redis

from configs.live import AgentConfig
from resources.stream import KEYS, Shard, asked

_AGENTS = f"{KEYS}:agents"

_TAKE = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end
return 0
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_ALIVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZCARD', KEYS[1])
"""


class Ownership:
    """One agent's leases.

    Args:
        client: of the server.
        config: how long a lease lasts.

    Attributes:
        name: of the agent, another one for each process.
    """

    def __init__(self, client: "redis.Redis", config: AgentConfig, name: str | None = None) -> None:
        self.name = name or secrets.token_hex(8)
        self._client, self._config = client, config
        self._take, self._renew, self._give_back, self._alive = map(
            client.register_script, (_TAKE, _RENEW, _GIVE_BACK, _ALIVE)
        )

    async def fair_share(self) -> int:
        """How many shards are this agent's part, by how many agents are alive; says that this one is."""
        alive = int(await self._asked(self._alive, [_AGENTS], self._config.lease_ms))
        return -(-self._config.shards // max(1, alive))

    async def take(self, shard: Shard) -> int | None:
        """The token of a shard that was free; None if somebody owns it."""
        return int(await self._asked(self._take, [shard.key("owner"), shard.key("token")])) or None

    async def renew(self, shard: Shard) -> bool:
        """Renews the lease; False if it is lost."""
        return bool(await self._asked(self._renew, [shard.key("owner")]))

    async def give_back(self, shard: Shard) -> None:
        """Frees the shard for others at once."""
        await self._asked(self._give_back, [shard.key("owner")])

    async def leave(self) -> None:
        """Says that this agent is no more."""
        await asked(self._client.zrem(_AGENTS, self.name))

    async def _asked(self, script: Any, keys: list[str], lease_ms: int | None = None) -> Any:
        return await asked(script(keys=keys, args=[self.name, lease_ms or self._config.lease_ms]))
