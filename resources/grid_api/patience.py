"""How fast to ask, how long to wait, when to give up.

Belongs here: pacing, backoff, Retry-After. Does not belong here: HTTP. The wall clock decides when to ask again, never
what a file holds. Backoff has no jitter: one process asks, so there is no herd to spread.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from configs.grid import RetriesConfig
from resources.grid_api.errors import GridError, GridUnavailable

_log = logging.getLogger(__name__)
Sleep = Callable[[float], None]
_WINDOW_S = 60.0


class Passing(Exception):
    """Trouble that may be over at the next attempt.

    Attributes:
        reason: what it was, for people.
        asked_s: seconds that the server asks to wait; None where it did not say.
        at_once: whether waiting helps nothing.
        last: what it becomes when there is no next attempt.
    """

    def __init__(
        self,
        reason: str,
        *,
        asked_s: float | None = None,
        at_once: bool = False,
        last: type[GridError] = GridUnavailable,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.asked_s = asked_s
        self.at_once = at_once
        self.last = last


class Pace:
    """At most so many starts in any minute.

    Args:
        per_minute: how many.
        sleep: waits for seconds.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: int, sleep: Sleep, clock: Callable[[], float] = time.monotonic) -> None:
        self._starts: deque[float] = deque(maxlen=per_minute)
        self._sleep = sleep
        self._clock = clock

    def wait(self) -> None:
        """Returns when one more may start."""
        if len(self._starts) == self._starts.maxlen:
            free = self._starts[0] + _WINDOW_S - self._clock()
            if free > 0:
                self._sleep(free)
        self._starts.append(self._clock())


class Patience:
    """The attempts and the waiting that one request or one file has left.

    Args:
        about: what is asked for, for messages.
        config: how many, how long.
        sleep: waits for seconds.
    """

    def __init__(self, about: str, config: RetriesConfig, sleep: Sleep) -> None:
        self._about = about
        self._config = config
        self._sleep = sleep
        self._failed = 0
        self._asked_s = 0.0

    def after(self, trouble: Passing) -> None:
        """Waits for the next attempt.

        Raises:
            GridError: the trouble's last word, if there is no next attempt, or if the server asks to wait longer than
                configured.
        """
        self._failed += 1
        said = f"{self._about}: {trouble.reason}"
        _log.warning("%s (attempt %d of %d)", said, self._failed, self._config.attempts)
        if self._failed >= self._config.attempts:
            raise trouble.last(f"{said}; gave up at attempt {self._failed}") from trouble
        if trouble.at_once:
            return
        pause = min(self._config.backoff_s * 2 ** (self._failed - 1), self._config.longest_backoff_s)
        if trouble.asked_s is not None:
            pause = max(pause, trouble.asked_s)
            self._asked_s += pause
            if self._asked_s > self._config.longest_wait_s:
                raise trouble.last(
                    f"{said}; it asks to wait {trouble.asked_s:.0f} s, and all waiting together would be longer than "
                    "retries.longest_wait_s of grid.yaml: the next tick tries again"
                ) from trouble
        self._sleep(pause)


def asked_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, given as seconds or as a date; None without one that can be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until, now = _date(value), _date(headers.get("date", "")) or datetime.now(UTC)
    return None if until is None else max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
