"""Standard output and error as whoever started the command left them: closed, full, broken."""

from __future__ import annotations

import io
import os
import sys

from ..errors import LeipError

__all__ = ["discard_output", "prepare", "write_error"]


def prepare() -> None:
    """Make both writable; a path need not be text in their encoding."""
    if sys.stdout is None:  # closed (`>&-`): nobody wants to read it
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Send what is still buffered nowhere: Python writes it again at exit, and fails again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_error(error: OSError) -> LeipError:
    """The error of a write or read that the system refused."""
    if error.filename is None:
        discard_output()
    where = str(error.filename or "standard output")
    return LeipError(error.strerror or str(error), where, "write to another place")


def _nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8")
