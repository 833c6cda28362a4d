"""Ctrl-C that no library can swallow.

An interrupt that arrives while a library runs a callback of ours may end there: the exception is
dropped, and the command would go on to its end. So it is also noted, and raised again at the next
report of progress.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["check", "noted"]

_noted = False


@contextmanager
def noted() -> Iterator[None]:
    """Note interrupts meanwhile; they raise KeyboardInterrupt where they arrive as well."""
    global _noted
    _noted = False
    try:
        before = signal.signal(signal.SIGINT, _note)
    except ValueError:  # not the main thread: signals are not ours
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check() -> None:
    """Raise KeyboardInterrupt if there was an interrupt."""
    if _noted:
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    global _noted
    _noted = True
    raise KeyboardInterrupt
