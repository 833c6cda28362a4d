"""Files that are written whole or not at all: a full disk leaves no half of one under its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError

__all__ = ["write_text_whole", "write_whole"]


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
    temporary = final.parent / f".leip-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with open(temporary, "xb") as file:
            write(file)
        if final.exists():
            os.chmod(temporary, final.stat().st_mode & 0o7777)
        os.replace(temporary, final)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
