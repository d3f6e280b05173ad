"""Logs of processes that stay: a line of JSON each, for whoever collects them.

Belongs here: the form of a line. Does not belong here: what is worth a line. Secrets and names of players are in none.
"""

import json
import logging
import traceback
from datetime import UTC, datetime

ABOUT = ("match_id", "shard", "entry", "run_id")
"""What a line may be about, besides its words: given as `extra`."""


class JsonLines(logging.Formatter):
    """One line of JSON: `at` (UTC), `level`, `from`, `says`, what it is about, and `trace` of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "from": record.name,
            "says": record.getMessage(),
            **{name: getattr(record, name) for name in ABOUT if hasattr(record, name)},
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def place_of(error: BaseException) -> str:
    """The kind of an error that nobody foresaw and where in the code it came up; what it says may name a player."""
    return f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__))


def to_stderr(level: int = logging.INFO) -> None:
    """Everything of this program from a level on goes to standard error, warnings of others too."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("resources", "pipeline", "assets"):
        logging.getLogger(room).setLevel(level)
