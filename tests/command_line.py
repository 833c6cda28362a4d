"""`leip` as tests call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Cli:
    """Runs `leip` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str | Path, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "leip.cli.main", *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def fails(self, code: int, *words: str | Path, env: dict[str, str] | None = None) -> str:
        """Run and expect one screen of error with this exit code; gives its text."""
        done = self(*words, env=env)
        text = done.stderr
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{text}"
        assert "Traceback" not in text and "internal error" not in text, text
        assert text.startswith("error: "), text
        assert len(text.splitlines()) <= 24, text
        return text
