"""How often a backend is asked again, and when it is left alone.

Belongs here: bounded retries with jitter, the circuit breaker. Does not belong here: HTTP, and which trouble is which
(errors). Clock, sleep and randomness are given, so that a test needs none of them; the wall clock decides when to ask
again, never what a clip holds.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from configs.backends import Breaker, Retries
from resources.motion_backends.errors import BackendError, Busy, Resting

T = TypeVar("T")
Sleep = Callable[[float], None]
Clock = Callable[[], float]
_log = logging.getLogger(__name__)


class Patience:
    """Attempts of one request.

    Args:
        config: how many, how long.
        sleep: waits for seconds.
    """

    def __init__(self, config: Retries, sleep: Sleep = time.sleep) -> None:
        self._config = config
        self._sleep = sleep

    def ask(self, attempt: Callable[[], T], *, about: str, seed: str) -> T:
        """What the attempt gives, tried again while the backend is `Busy`.

        Pauses are random below a bound that doubles (full jitter: many workers that were refused together don't come
        again together), and never shorter than `Retry-After`.

        Args:
            attempt: one request.
            about: what is asked for, for messages.
            seed: of the jitter; the clip's key, so that a run can be told again.

        Raises:
            BackendError: the last attempt's; or the first that asks to wait longer than configured.
        """
        # Not for secrets: only to spread requests.
        rng = random.Random(seed)  # noqa: S311
        waited = 0.0
        for number in range(1, self._config.attempts + 1):
            try:
                return attempt()
            except Busy as error:
                if number == self._config.attempts:
                    raise
                bound = min(self._config.backoff_s * 2 ** (number - 1), self._config.longest_backoff_s)
                pause = max(rng.uniform(0.0, bound), error.retry_after_s or 0.0)
                if waited + pause > self._config.longest_wait_s:
                    raise
                _log.warning("%s: %s; attempt %d follows in %.1f s", about, error, number + 1, pause)
                waited += pause
                self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")


class CircuitBreaker:
    """Leaves a backend alone that keeps failing.

    Args:
        config: how many failures in a row, how long a rest.
        clock: monotonic seconds.
    """

    def __init__(self, config: Breaker, clock: Clock = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def resting(self) -> bool:
        """Whether it is being left alone."""
        return self._failures >= self._config.failures and self._clock() < self._until

    def call(self, work: Callable[[], T], *, about: str) -> T:
        """What the work gives, unless the backend is resting; after the rest, one failure is enough for the next.

        Raises:
            Resting: without doing the work.
            BackendError: the work's.
        """
        if self.resting:
            left = self._until - self._clock()
            raise Resting(f"{about} failed {self._failures} times in a row and is asked again in {left:.0f} s")
        try:
            done = work()
        except BackendError as error:
            if error.counts:
                self._failures += 1
                self._until = self._clock() + self._config.rest_s
            raise
        self._failures = 0
        return done
