"""Connections of the motion server: who sends no request does not keep one.

Belongs here: when a connection is closed. Does not belong here: requests (motion_server).

uvicorn waits for ever for the first request of a connection, and for the end of a request's head if a byte comes now
and then. Here a connection is looked at every few seconds and closed if no request has begun since the last look.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class ShortlyIdle(H11Protocol):
    """A connection that is closed when it stays without a request.

    Attributes:
        idle_s: seconds between looks; one without a request lasts for one to two of them.
    """

    idle_s: ClassVar[float]

    @classmethod
    def after(cls, idle_s: float) -> type["ShortlyIdle"]:
        """The protocol with that patience."""
        return type(cls.__name__, (cls,), {"idle_s": idle_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to look."""
        super().connection_made(transport)
        self._idle_since: RequestResponseCycle | bool | None = False
        self._next_look = self.loop.call_later(self.idle_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Looks no more."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self._idle_since is self.cycle:
            self.transport.close()
            return
        self._idle_since = False if busy else self.cycle
        self._next_look = self.loop.call_later(self.idle_s, self._look)
