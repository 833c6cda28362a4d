"""Models as text, and their check against ONNX Runtime through the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx.parser
import pytest

from leip.ir import DType, Graph, interpreter, verify
from leip.ir.onnx import import_model

Feeds = Mapping[str, np.ndarray]


def parse(text: str, opset: int = 17, ir_version: int = 8, domains: str = "") -> onnx.ModelProto:
    """A model from `(float[2,3] x) => (float y) { y = Relu(x) }`; outputs get no shape."""
    head = f'<ir_version: {ir_version}, opset_import: ["" : {opset}{domains}]> g '
    model = onnx.parser.parse_model(head + text)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def random_feeds(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    feeds = {}
    for name, value in zip(graph.input_names, graph.inputs):
        if value.dtype.is_float:
            array = rng.standard_normal(value.shape)
        elif value.dtype is DType.BOOL:
            array = rng.integers(0, 2, value.shape)
        else:
            array = rng.integers(0, 5, value.shape)
        feeds[name] = array.astype(value.dtype.numpy)
    return feeds


class Check:
    """Imports a model and compares it with ONNX Runtime."""

    def __call__(
        self,
        model: str | onnx.ModelProto,
        opset: int = 17,
        feeds: Feeds | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        tolerance: float = 1e-5,
        domains: str = "",
    ) -> Graph:
        runtime = pytest.importorskip("onnxruntime")
        proto = parse(model, opset, domains=domains) if isinstance(model, str) else model
        graph = import_model(proto, shapes)
        verify(graph)
        given = {**random_feeds(graph), **(feeds or {})}
        given = {name: array for name, array in given.items() if name in graph.input_names}
        ours = interpreter.run(graph, given)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        theirs = session.run(list(ours), given)
        for (name, mine), reference in zip(ours.items(), theirs):
            assert mine.dtype == reference.dtype and mine.shape == reference.shape, name
            scale = max(1.0, float(np.abs(reference.astype(np.float64)).max(initial=0)))
            np.testing.assert_allclose(
                mine.astype(np.float64),
                reference.astype(np.float64),
                rtol=tolerance,
                atol=tolerance * scale,
                err_msg=name,
            )
        return graph


@pytest.fixture
def check() -> Check:
    return Check()


@pytest.fixture
def model() -> Callable[..., onnx.ModelProto]:
    return parse


@pytest.fixture
def op_names() -> Callable[[Graph], list[str]]:
    """The ops of a graph in order, without inputs and constants."""

    def names(graph: Graph) -> list[str]:
        return [n.op for n in graph.nodes() if n.op not in ("input", "constant")]

    return names
