"""A temporary folder for work: it goes with its process, also with one that was killed.

Who is killed tidies nothing up. So the system holds a lock on a folder while its process lives, and
whoever makes the next folder first removes those of the same user that nobody has locked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import BuildError, OutputError
from ..ir.abandoned import hold, remove_if_abandoned

__all__ = ["WorkFolder", "check_space", "for_temporary_files"]

PREFIX = "leip-work-"
LEAST_FREE = 1 << 20  # bytes for temporary files; with less, compilers and linkers die
_FOLDER = os.O_RDONLY | os.O_DIRECTORY


class WorkFolder:
    """A new folder among the temporary files.

    Attributes:
        path: Where it is, until `close`.

    Raises:
        OutputError: It cannot be made.
    """

    def __init__(self) -> None:
        with for_temporary_files():
            self._make()

    def _make(self) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = os.open(self.path, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
            if hold(self._lock) and self.path.exists():
                return
            os.close(self._lock)  # in this moment somebody took it for an abandoned one

    def close(self) -> None:
        """Remove it with all that is in it."""
        if self._lock >= 0:
            _remove(self.path)
            os.close(self._lock)
            self._lock = -1


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        remove_if_abandoned(path, _FOLDER, stat.S_ISDIR, _remove)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


# --- disks that are full --------------------------------------------------------------------------


@contextlib.contextmanager
def for_temporary_files() -> Iterator[None]:
    """What cannot be written meanwhile is told of the folder for temporary files.

    Raises:
        OutputError: In place of any OSError, and of a compiler's for want of space.
    """
    try:
        yield
    except OSError as error:
        raise _error(error.strerror or str(error)) from error
    except BuildError as error:
        check_space(error.message)
        raise


def check_space(message: str) -> None:
    """Raise OutputError if what failed with this message did so since there is no space."""
    no_space = os.strerror(errno.ENOSPC)
    if no_space in message or shutil.disk_usage(tempfile.gettempdir()).free < LEAST_FREE:
        raise _error(no_space)


def _error(reason: str) -> OutputError:
    return OutputError(
        f"temporary files cannot be written: {reason}",
        tempfile.gettempdir(),
        "free some space, or set TMPDIR to another folder",
    )
