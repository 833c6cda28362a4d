"""Where the command begins that `cli/leip` runs: Ctrl-C gives one line, while modules load too."""

from __future__ import annotations

import contextlib
import signal
import sys

INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run the command of `sys.argv`. Returns the exit code."""
    try:
        from .main import main as run

        return run()
    except KeyboardInterrupt:
        return interrupted()


def interrupted(number: int = signal.SIGINT) -> int:
    """Say which signal ended the command. Returns the exit code, which is a shell's for it."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print("interrupted" if number == signal.SIGINT else "terminated", file=sys.stderr)
    return 128 + number
