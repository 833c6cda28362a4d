"""Ctrl-C, and other signals that ask a command to end, so that no library can swallow them.

A signal that arrives while a library runs a callback of ours may end there: the exception is
dropped, and the command would go on to its end. So it is also noted, and raised again at the next
report of progress.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["CTRL_C", "check", "noted", "told"]

CTRL_C = 128 + signal.SIGINT  # the exit code of what Ctrl-C ended, as shells have it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_noted: int | None = None


@contextmanager
def noted() -> Iterator[None]:
    """Note signals meanwhile; they raise KeyboardInterrupt where they arrive as well.

    Those that are ignored stay so.
    """
    global _noted
    _noted = None
    before = {}
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            ignored = handler is signal.SIG_IGN  # by `nohup`, or by a script's `&`
            # Ctrl-C has a handler already: that of cli/leip, or Python's own
            if not ignored and (number == signal.SIGINT or handler is signal.SIG_DFL):
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


def told() -> int:
    """Say which signal ended the command. Returns the exit code, which is a shell's for it."""
    number = signal.SIGINT if _noted is None else _noted  # Ctrl-C before anything was noted
    with contextlib.suppress(OSError):  # the terminal may be gone
        print("interrupted" if number == signal.SIGINT else "terminated", file=sys.stderr)
    return 128 + number


def _note(number: int, frame: FrameType | None) -> None:
    global _noted
    again = _noted is not None and number != signal.SIGINT
    _noted = number
    if not again:  # `timeout` sends two: the second must not disturb the tidying up
        raise KeyboardInterrupt
