"""A command that may hang, leave children, ignore signals or write without end, and is over all the same.

Belongs here: one process group, bounded in time and bytes. Does not belong here: which command.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from resources.motion_backends.errors import NotSetUp, TimedOut, TooLarge

_LOOK_S = 0.02
_FOLDER_LOOK_S = 0.25
_DRAIN_S = 2.0
_TAIL_BYTES = 4096
_PASSED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|TEMP|TMP|LD_[A-Z_]+|CUDA[A-Z_]*|NVIDIA_[A-Z_]+|ROCM?_[A-Z_]+"
    "|HIP_[A-Z_]+|[A-Z]+_NUM_THREADS|HF_HOME|HF_HUB_CACHE|HF_HUB_OFFLINE|TRANSFORMERS_(CACHE|OFFLINE)|TORCH_HOME"
    "|PYTORCH_[A-Z_]*CONF|XDG_CACHE_HOME|PYTHON(PATH|HOME|UNBUFFERED|IOENCODING|UTF8)|VIRTUAL_ENV|CONDA_PREFIX"
)
_PASSED_ONLINE = re.compile("SSL_CERT_(FILE|DIR)|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY")


@dataclass(frozen=True)
class Finished:
    """A command that has ended by itself.

    Attributes:
        code: its exit code; negative for a signal.
        out: what it wrote to its standard output.
        err: the end of what it wrote to its standard error.
    """

    code: int
    out: bytes
    err: str


class _Drain(threading.Thread):
    """Reads a pipe to its end, keeps the first bytes and the last, and says when there are too many."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        super().__init__(daemon=True)
        self.pipe, self.most = pipe, most
        self.kept, self.tail, self.over = bytearray(), b"", False
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError):
            while chunk := os.read(self.pipe.fileno(), 65536):
                self.tail = (self.tail + chunk)[-_TAIL_BYTES:]
                if len(self.kept) + len(chunk) <= self.most:
                    self.kept += chunk
                else:
                    self.over = True


def run(
    command: Sequence[str],
    *,
    seconds: float,
    grace_s: float,
    most_bytes: int,
    given: bytes = b"",
    folder: Path | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Runs a command in a process group of its own; when this returns or raises, nobody of that group is left.

    Args:
        command: program and arguments; no shell.
        seconds: for all of it.
        grace_s: between SIGTERM and SIGKILL.
        most_bytes: of its standard output, and of all files below `folder`.
        given: its standard input.
        folder: where it writes.
        cwd: where it runs.
        environment: all of it; the caller's by default.

    Raises:
        NotSetUp: if there is no such program.
        TimedOut: after the deadline.
        TooLarge: if it writes too much.
    """
    name = Path(command[0]).name
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # no shell, and the command is the operator's
                list(command),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise NotSetUp(f"{name} cannot be started: {error.strerror}") from error
    out, err = _Drain(cast(IO[bytes], process.stdout), most_bytes), _Drain(cast(IO[bytes], process.stderr), 0)
    look = time.monotonic()
    try:
        while not _ended(process.pid):
            now = time.monotonic()
            if now > deadline:
                raise TimedOut(f"{name} did not end within {seconds:.0f} s")
            if out.over:
                raise TooLarge(f"{name} writes more than {most_bytes} bytes")
            if folder is not None and now - look > _FOLDER_LOOK_S:
                look = now
                if size_of(folder) > most_bytes:
                    raise TooLarge(f"{name} writes more than {most_bytes} bytes")
            time.sleep(_LOOK_S)
    except BaseException:
        _end(process.pid, grace_s)
        raise
    finally:
        # The leader is still unreaped, so its number is still its group's: whoever it left behind goes too.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for drain in (out, err):
            drain.join(_DRAIN_S)
            if not drain.is_alive():  # else somebody who left the group still holds the other end
                drain.pipe.close()
    if out.over:
        raise TooLarge(f"{name} writes more than {most_bytes} bytes")
    return Finished(process.returncode, bytes(out.kept), err.tail.decode(errors="replace"))


def environment(*, online: bool = False) -> dict[str, str]:
    """The variables of this process that a command may see: none that could hold a secret of ours.

    Args:
        online: with those by which it finds its way to a server.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if _PASSED.fullmatch(name) or (online and _PASSED_ONLINE.fullmatch(name))
    }


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def _ended(pid: int) -> bool:
    """Whether a child has ended, without reaping it: its number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(pid: int, grace_s: float) -> None:
    """Asks a group to end, and waits for its leader a little."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
    until = time.monotonic() + grace_s
    while time.monotonic() < until and not _ended(pid):
        time.sleep(_LOOK_S)
