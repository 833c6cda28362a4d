"""A small model, and ways to compile it with a search.

What kernels take is made up where a test is not about measuring (`fake_measurer.py`).
"""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest
from command_line import Cli
from models import builders
from tuning_runs import FAKE, Inside, Tuning

from leip.search import registry


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kernels: a convolution, a pool, a product of 64 columns."""
    b = builders.Builder("small")
    x = b.node("Relu", b.conv("image", (3, 16), 3, pad=1))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    x = b.node("Gemm", x, b.random((64, 16), 0.2), b.random((64,), 0.1, "bias"), transB=1)
    made = b.finish(
        [("image", builders.TensorProto.FLOAT, [1, 3, 12, 12])],
        [(x, "logits", builders.TensorProto.FLOAT, [1, 64])],
    )
    return builders.save(made, tmp_path_factory.mktemp("models") / "small.onnx")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process kernels take what `fake_measurer.py` makes up."""
    monkeypatch.setattr(registry, "_parts", registry.Parts())
    runpy.run_path(str(FAKE))


@pytest.fixture
def tuning(tmp_path: Path, model: Path, made_up: None) -> Tuning:
    return Tuning(Inside(tmp_path), model)


@pytest.fixture
def outside(cli: Cli, model: Path) -> Tuning:
    """Every run in a process of its own."""
    return Tuning(cli, model)


@pytest.fixture
def searched(tuning: Tuning, found: Path) -> Tuning:
    """In its OUT a search of 60 iterations was made."""
    shutil.copytree(found, tuning.cli.folder / "OUT")
    return tuning


@pytest.fixture(scope="session")
def found(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a search of 60 iterations."""
    tuning = Tuning(Cli(tmp_path_factory.mktemp("found")), model)
    tuning(60)
    return tuning.cli.folder / "OUT"
