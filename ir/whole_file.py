"""Files that are written whole or not at all: a full disk leaves no half of one under its name.

What a writer that was killed leaves beside its file goes with the next write into that folder. The
system holds a lock on a temporary file while its writer lives, on whatever host that is.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError
from .abandoned import hold, remove_if_abandoned

__all__ = ["write_text_whole", "write_whole"]

_TEMPORARY = re.compile(r"\.leip-(\d+)-[0-9a-f]{8}")  # with the process that writes it


def write_whole(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside `path` and rename it; what was there stays until then.

    Args:
        path: Its folder is made if it is missing. A link is followed; a device or a pipe, which has
            no content to keep, is written directly.
        write: Writes the content into an open file.

    Raises:
        OutputError: It cannot be written; nothing was changed.
    """
    try:
        _write(Path(path), write)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot be written: {reason}", str(path)) from None


def write_text_whole(path: str | Path, text: str) -> None:
    """`write_whole` of text in UTF-8. Raises OutputError."""
    # names of files that are no UTF-8 may be part of the text
    data = text.encode("utf-8", "backslashreplace")
    write_whole(path, lambda file: file.write(data))


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:  # says so itself if it is a folder
            write(file)
        return
    final = Path(os.path.realpath(path))
    if final.exists() and not os.access(final, os.W_OK):
        with open(final, "ab"):  # raises what the system says
            pass
    _remove_abandoned(final.parent)
    temporary = final.parent / f".leip-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with open(temporary, "xb") as file, _locked(temporary):
            write(file)
            file.close()  # the last write may fail here
            if final.exists():
                os.chmod(temporary, final.stat().st_mode & 0o7777)
            os.replace(temporary, final)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a file that is written meanwhile, as well as its file system can."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        hold(descriptor)  # its name is new: nobody else has it
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files whose writer lives neither here nor, by its lock, on another host."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = _TEMPORARY.fullmatch(name)
            if match and not _is_alive(int(match[1])):
                flags = os.O_RDWR | os.O_NONBLOCK
                remove_if_abandoned(folder / name, flags, stat.S_ISREG, Path.unlink)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's; or no number of a process
        return True
    return True
