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
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
