"""What all tests share: a kernel cache of their own, small compiled models, environments."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from hypothesis import HealthCheck, settings
from models import builders

ROOT = Path(__file__).resolve().parent.parent

# How long it takes to make up an example says something about the machine's load, not about us.
settings.register_profile("leip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("leip")

# Tests press Ctrl-C, also where a script runs them behind `&`, which has it ignored by all below.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line, run in the test's own folder."""
    return Cli(tmp_path)
