"""Compiles with a search, as tests run them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli

from leip.cli.main import main

FAKE = Path(__file__).parent / "search" / "fake_measurer.py"


class Inside(Cli):
    """Runs `leip` in this process: no second of loading TVM for each of many runs."""

    def __call__(
        self, *words: str | Path, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        printed, errors = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(errors),
        ):
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = main([str(word) for word in words])
        return subprocess.CompletedProcess(words, code, printed.getvalue(), errors.getvalue())


class Tuning:
    """Compiles a small model into OUT, with or without a search."""

    def __init__(self, cli: Cli, model: Path) -> None:
        self.cli, self.model = cli, model

    def words(self, iterations: int | None, out: str, *more: object) -> list[str]:
        words = ["compile", "--input_path", self.model, "--output_path", out, "--threads", "2"]
        words += ["--jobs", "1", *more]
        if "--target" not in more:  # the same kernels, and the same winners, on every machine
            words += ["--target", "llvm -mcpu=haswell"]
        if not isinstance(self.cli, Inside):
            words += ["--plugin", FAKE]
        if iterations is not None:
            words += ["--optimization", f"category:graph,iterations:{iterations}"]
        return list(map(str, words))

    def __call__(
        self,
        iterations: int | None,
        out: str = "OUT",
        *more: object,
        env: dict[str, str] | None = None,
    ) -> str:
        """Compile; gives what was printed."""
        done = self.cli(*self.words(iterations, out, *more), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, code: int, iterations: int, out: str = "OUT", *more: object) -> str:
        return self.cli.fails(code, *self.words(iterations, out, *more))

    def log(self, out: str = "OUT") -> Path:
        """The only `.json` beside the object."""
        (path,) = (self.cli.folder / out / "optimization_artifacts").glob("*.json")
        return path

    def lines(self, out: str = "OUT") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log(out).read_text().splitlines()]

    def measured(self, out: str = "OUT") -> int:
        return sum("config" in line for line in self.lines(out))

    def object(self, out: str = "OUT") -> bytes:
        return (self.cli.folder / out / "modelLibrary.so").read_bytes()

    @contextlib.contextmanager
    def running(self, iterations: int, enough: int, *more: object) -> Iterator[subprocess.Popen]:
        """A search in the background that has written so many measurements."""
        environment = {**os.environ, "FAKE_DELAY": "0.05"}
        with subprocess.Popen(
            [sys.executable, "-m", "leip.cli.main", *self.words(iterations, "OUT", *more)],
            cwd=self.cli.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                log = self.cli.folder / "OUT" / "optimization_artifacts" / "tuning.json"
                while not log.exists() or log.read_bytes().count(b'"config"') < enough:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.01)
                yield process
            finally:
                process.kill()


def processes_of(session: int) -> list[int]:
    """Processes of a session, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found
