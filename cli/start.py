"""Where the `leip` command begins: from here on Ctrl-C gives one line, while modules load too."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command of `sys.argv`. Returns the exit code."""
    try:
        from .main import main as run

        return run()
    except KeyboardInterrupt:
        return interrupted()


def interrupted() -> int:
    """Say so. Returns the exit code."""
    print("interrupted", file=sys.stderr)
    return INTERRUPTED
