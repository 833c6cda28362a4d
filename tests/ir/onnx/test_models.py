"""Whole models: SqueezeNet's numbers, and how long an import takes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from zoo_models import MissingModel, zoo_model

from leip.ir import interpreter, verify
from leip.ir.onnx import import_model, load_model


def zoo(name: str) -> Path:
    try:
        return zoo_model(name)
    except MissingModel as error:
        pytest.skip(str(error))


def test_squeezenet_gives_onnxruntimes_numbers() -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = zoo("squeezenet1_1")
    graph = import_model(path)
    verify(graph)
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    (ours,) = interpreter.run(graph, {"input": x}).values()
    (theirs,) = runtime.InferenceSession(str(path)).run(None, {"input": x})
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * float(np.abs(theirs).max()))


def test_densenet_is_imported_quickly() -> None:
    loaded = load_model(zoo("densenet121"))
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
