"""How much processor a command takes with everything that it starts.

Belongs here: looking at processes from outside. Does not belong here: which command, and why.
"""

import subprocess
import threading
from collections.abc import Callable

import psutil

_PERIOD_S = 0.2


def watched(process: "subprocess.Popen[bytes]", wait: Callable[[], object]) -> float:
    """Seconds of processor that a process and all its descendants take until a wait is over.

    Grandchildren that nobody waits for are counted too; what was taken before the call, and what a process takes after
    the last look at it, is not.

    Args:
        process: the root.
        wait: returns when enough was seen.
    """
    spent: dict[tuple[int, float], float] = {}
    _add(process.pid, spent)
    before = sum(spent.values())
    enough = threading.Event()

    def look() -> None:
        while not enough.wait(_PERIOD_S):
            _add(process.pid, spent)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        wait()
        _add(process.pid, spent)
    finally:
        enough.set()
        watcher.join()
    return sum(spent.values()) - before


def _add(root: int, spent: dict[tuple[int, float], float]) -> None:
    try:
        top = psutil.Process(root)
        family = [top, *top.children(recursive=True)]
    except psutil.Error:
        return
    for each in family:
        try:
            used = each.cpu_times()
            spent[each.pid, each.create_time()] = used.user + used.system
        except psutil.Error:
            continue
