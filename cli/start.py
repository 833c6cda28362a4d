"""Where the command begins that `cli/leip` runs: Ctrl-C gives one line, while modules load too."""

from __future__ import annotations

from . import interrupts


def main() -> int:
    """Run the command of `sys.argv`. Returns the exit code."""
    try:
        from .main import main as run

        return run()
    except KeyboardInterrupt:
        return interrupts.told()
