"""What all tests share: a kernel cache of their own, small compiled models, environments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from models import builders

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    shared = folder / "shared"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(shared_folder: Path) -> Iterator[Path]:
    """All compiles of this run use one cache, never the user's."""
    before = os.environ.get("LEIP_CACHE_DIR")
    folder = shared_folder / "kernels"
    os.environ["LEIP_CACHE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LEIP_CACHE_DIR"]
    else:
        os.environ["LEIP_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small image classifier: one input `image`, one output `logits`."""
    return builders.save(builders.tiny(), tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture(scope="session")
def tiny_object(tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_onnx`, compiled for this machine."""
    import leip

    return leip.compile(tiny_onnx, tmp_path_factory.mktemp("object") / "OUT", threads=2).path


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


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line, run in the test's own folder."""
    return Cli(tmp_path)
