"""Whole models: SqueezeNet's numbers, and how long an import takes."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from leip.ir import interpreter, verify
from leip.ir.onnx import import_model, load_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def zoo() -> Path:
    folder = Path(os.environ.get("LEIP_ZOO") or ROOT.parent / "shared" / "zoo")
    if not (folder / "zoo.py").exists():
        pytest.skip("no model zoo: set LEIP_ZOO")
    return folder


def _materialize(zoo: Path, name: str, target: Path) -> Path:
    spec = importlib.util.spec_from_file_location("zoo", zoo / "zoo.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path: Path = module.materialize(name, target, zoo)
    return path


def test_squeezenet_gives_onnxruntimes_numbers(zoo: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = _materialize(zoo, "squeezenet1_1", tmp_path)
    graph = import_model(path)
    verify(graph)
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    (ours,) = interpreter.run(graph, {"input": x}).values()
    (theirs,) = runtime.InferenceSession(str(path)).run(None, {"input": x})
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * float(np.abs(theirs).max()))


def test_densenet_is_imported_quickly(zoo: Path, tmp_path: Path) -> None:
    loaded = load_model(_materialize(zoo, "densenet121", tmp_path))
    start = time.perf_counter()
    graph = import_model(loaded)
    assert time.perf_counter() - start < 3
    assert sum(node.op == "conv" for node in graph.nodes()) == 120


@pytest.mark.parametrize(
    "path",
    sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx")),
    ids=lambda path: path.stem,
)
def test_light_models_are_imported(path: Path) -> None:
    graph = import_model(path)
    verify(graph)
    assert len(graph.outputs) == 1
