"""Builds small LRE objects from C, as the code generator does from a model."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from leip.runtime import sources
from leip.runtime.tail import append_tail

COMPILE = "gcc"
C = Path(__file__).parent / "c"
ROWS, COLUMNS = 8, 1000


def compile_c(output: Path, files: Iterable[Path], flags: Iterable[str] = ()) -> Path:
    """gcc; fails the test with its messages."""
    command = [COMPILE, *sources.COMPILE_FLAGS, f"-I{sources.INCLUDE}", "-o", str(output)]
    command += [*map(str, files), *flags, *sources.LINK_LIBRARIES]
    result = subprocess.run(command, capture_output=True, text=True, cwd=sources.INCLUDE)
    assert result.returncode == 0, result.stderr
    return output


def run_python(
    code: str, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> str:
    """Runs `code` in a new process and returns what it prints; its failure fails the test."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=120, env=os.environ | (env or {})
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Toy:
    """The model of toy.c, its weights and what it should compute."""

    def __init__(self, engine_objects: list[Path]) -> None:
        self._engine = engine_objects
        rng = np.random.default_rng(7)
        self.w = rng.standard_normal(COLUMNS).astype(np.float32)
        self.c = rng.standard_normal(COLUMNS).astype(np.float32)

    @property
    def weights(self) -> bytes:
        return self.weights_with(4096)

    def weights_with(self, c_offset: int) -> bytes:
        return self.w.tobytes() + bytes(c_offset - self.w.nbytes) + self.c.tobytes()

    def build(
        self, folder: Path, *, tail: bool = True, with_crc: bool = False, **macros: object
    ) -> Path:
        """Compiles modelLibrary.so into `folder`; `macros` as in toy.c, without TOY_."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "modelLibrary.so"
        new = folder / "new.so"
        defines = [f"-DTOY_{name.upper()}={value}" for name, value in macros.items()]
        compile_c(new, [C / "toy.c", *self._engine], [*defines, *sources.LINK_FLAGS])
        build_id = str(macros.get("build_id", '"toy-build-1"')).strip('"')
        if tail:
            weights = self.weights_with(int(str(macros.get("c_offset", 4096))))
            append_tail(new, build_id, [weights], with_crc=with_crc)
        new.replace(path)
        return path

    def feeds(self, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
        return {"x": x, "idx": rng.integers(0, ROWS, ROWS)}

    def expected(self, feeds: dict[str, np.ndarray], bias: float = 1.0) -> dict[str, np.ndarray]:
        h = feeds["x"] * self.w + np.float32(bias)
        g = h[feeds["idx"]]
        t = np.cumsum(h, axis=1, dtype=np.float32)[:, -1]
        return {"g": g, "t": t, "copy": feeds["x"], "constant": self.c}

    def check(
        self, result: dict[str, np.ndarray], feeds: dict[str, np.ndarray], bias: float = 1.0
    ) -> None:
        expected = self.expected(feeds, bias)
        assert list(result) == ["g", "t", "copy", "constant"]
        for name, array in result.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-4)
