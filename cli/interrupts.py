"""Ctrl-C, and other signals that ask a command to end, so that no library can swallow them.

A signal that arrives while a library runs a callback of ours may end there: the exception is
dropped, and the command would go on to its end. So it is also noted, and raised again at the next
report of progress.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["check", "noted", "which"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_noted: int | None = None


@contextmanager
def noted() -> Iterator[None]:
    """Note signals meanwhile; they raise KeyboardInterrupt where they arrive as well."""
    global _noted
    _noted = None
    before = {}
    try:
        for number in _SIGNALS:
            if number == signal.SIGINT or signal.getsignal(number) is signal.SIG_DFL:  # no nohup
                before[number] = signal.signal(number, _note)
    except ValueError:  # not the main thread: signals are not ours
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raise KeyboardInterrupt if there was a signal."""
    if _noted is not None:
        raise KeyboardInterrupt


def which() -> int:
    """The signal that was noted; without one it was Ctrl-C before anything was noted."""
    return signal.SIGINT if _noted is None else _noted


def _note(number: int, frame: FrameType | None) -> None:
    global _noted
    again = _noted is not None and number != signal.SIGINT
    _noted = number
    if not again:  # `timeout` sends two: the second must not disturb the tidying up
        raise KeyboardInterrupt
