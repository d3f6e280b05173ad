"""Runs commands of gridmotion, each in a process of its own that is forked from this one, which has imported it all.

Importing takes two seconds, and a test calls a few commands. A line on stdin asks for one: its `arguments`, its folder
`cwd`, its `environment`, and where its output goes, `stdout` and `stderr`. A line on stdout answers how it ended,
as `subprocess` tells it.
"""
# ruff: noqa: T201

import json
import os
import sys
from typing import Any


def main() -> None:
    """Forks until nobody asks any more."""
    import assets.commands
    import assets.definitions
    from resources.settings import settings

    # What these two hold is of an environment: a fork makes it anew, of its own.
    del sys.modules["assets.definitions"], assets.definitions
    settings.cache_clear()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        asked: dict[str, Any] = json.loads(line)
        process = os.fork()
        if not process:
            _become(asked)
            sys.exit(assets.commands.main())
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(asked: dict[str, Any]) -> None:
    """Makes this process what a shell would have started."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    for name, mode, number in ((os.devnull, os.O_RDONLY, 0), (asked["stdout"], os.O_WRONLY, 1),
                               (asked["stderr"], os.O_WRONLY, 2)):  # fmt: skip
        file = os.open(name, mode)
        os.dup2(file, number)
        os.close(file)


if __name__ == "__main__":
    main()
