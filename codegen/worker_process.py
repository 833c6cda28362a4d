"""A process of our own that answers messages: its parent's side, and its own.

Messages are pickled objects on stdin and stdout. (`multiprocessing` would run the user's script
again.) What libraries print in the process is kept in a file, for when it dies.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = [
    "WorkerProcess",
    "answers_to",
    "limit_addresses",
    "receive",
    "receive_by",
    "send",
    "serve",
]

ORPHANED = 0.2  # seconds between two looks whether the parent is still there
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TVM_NUM_THREADS")


def send(stream: BinaryIO, message: Any) -> None:
    data = pickle.dumps(message, protocol=5)
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """The next message. Raises EOFError when the other side is gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def receive_by(stream: BinaryIO, deadline: float) -> Any:
    """As `receive`, but raises TimeoutError at a time of `time.monotonic`.

    It goes past the stream's buffer, so all messages of a stream must be received so.
    """
    (size,) = struct.unpack("<Q", _read_by(stream, 8, deadline))
    return pickle.loads(_read_by(stream, size, deadline))


def _read_by(stream: BinaryIO, size: int, deadline: float) -> bytes:
    file, parts = stream.fileno(), []
    while size > 0:
        ready, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(file, size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# --- the parent's side ----------------------------------------------------------------------------


class WorkerProcess:
    """A process that runs `main(id of this process, argument)` of a module of this package.

    Args:
        module: The module's name in this package.
        argument: What its `main` is given; Python must be able to read its repr.
        apart: In a session of its own: Ctrl-C is this process's business alone, and what it has
            started ends with it.
        temporary: Folder for its temporary files; None: as this process has it.

    Attributes:
        process: The process, for its id and for killing it.
        stdin, stdout: For `send` and `receive`.
    """

    def __init__(
        self,
        module: str,
        argument: object,
        *,
        apart: bool = False,
        temporary: Path | None = None,
    ) -> None:
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from {__package__}.{module} import main; main({os.getpid()}, {argument!r})"
        )
        moved = {"TMPDIR": str(temporary)} if temporary is not None else {}
        self._apart = apart
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **dict.fromkeys(ONE_THREAD, "1"), **moved},
            start_new_session=apart,
        )
        self.stdin = cast(BinaryIO, self.process.stdin)
        self.stdout = cast(BinaryIO, self.process.stdout)

    def ended(self) -> str:
        """How it ended, for people; waits until it has."""
        status = self.process.wait()
        return f"signal {-status}" if status < 0 else f"exit code {status}"

    def said(self) -> list[str]:
        """The lines that it has printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip().splitlines()

    def close(self) -> None:
        """End it, whatever it does."""
        if self._apart:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.process.wait()
        self._log.close()


# --- its own side ---------------------------------------------------------------------------------


def answers_to(parent: int, orphaned: Callable[[], None]) -> BinaryIO:
    """The stream for answers to the parent; what libraries print no longer gets in between.

    Args:
        parent: The parent's process id.
        orphaned: Called, in a thread, when the parent is gone. Should end this process.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHANED)
        orphaned()

    threading.Thread(target=watch, daemon=True).start()
    return answers


def limit_addresses(size: int) -> None:
    """Let this process have addresses for `size` bytes at most, or fewer if it already must."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if most < 0 else min(size, most), most))


def serve(answers: BinaryIO, answer: Callable[[Any], Any]) -> None:
    """Answer every message until stdin ends.

    A copy of the process that an answer has made ends with it, and says nothing: the parent
    would take that for what it asks next.
    """
    own = os.getpid()
    while True:
        try:
            message = receive(sys.stdin.buffer)
        except EOFError:
            return
        answered = answer(message)
        if os.getpid() != own:
            os._exit(1)
        send(answers, answered)
