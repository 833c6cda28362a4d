"""The models that benchmarks and whole-model tests use: the zoo, and feeds for any model.

The zoo lies at `../shared/zoo` beside a developer's checkout, or where LEIP_ZOO says. Its files are
filled with seeded weights on first use, into `build/zoo` (or LEIP_ZOO_CACHE).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parent.parent
ZOO = (
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "densenet121",
    "squeezenet1_1",
    "vgg16",
    "bert_base_128",
    "vit_b_16",
)


class MissingModel(Exception):
    """A model is not here; the message says why."""


def zoo_folder() -> Path:
    """Where the zoo is. Raises MissingModel."""
    folder = Path(os.environ.get("LEIP_ZOO") or ROOT.parent / "shared" / "zoo")
    if not (folder / "zoo.py").exists():
        raise MissingModel("the model zoo is not here (set LEIP_ZOO to its folder)")
    return folder


def zoo_model(name: str, batch: int = 1) -> Path:
    """A zoo model with its weights filled in, for a batch. Raises MissingModel."""
    folder = zoo_folder()
    cache = Path(os.environ.get("LEIP_ZOO_CACHE") or ROOT / "build" / "zoo")
    target = cache / (f"{name}.onnx" if batch == 1 else f"{name}.b{batch}.onnx")
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        sizes = ["--batch", str(batch)] if batch > 1 else []
        script = str(folder / "zoo.py")
        command = [sys.executable, script, "materialize", *sizes, str(cache), name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


def random_feeds(
    model: Path | onnx.ModelProto,
    seed: int = 0,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, np.ndarray]:
    """Seeded inputs: normal floats; 0 and 1 for integers (legal ids, masks and types)."""
    proto = onnx.load(str(model), load_external_data=False) if isinstance(model, Path) else model
    weights = {tensor.name for tensor in proto.graph.initializer}
    rng = np.random.default_rng(seed)
    feeds: dict[str, np.ndarray] = {}
    for info in proto.graph.input:
        if info.name in weights:
            continue
        tensor = info.type.tensor_type
        shape = tuple(dim.dim_value for dim in tensor.shape.dim)
        shape = (shapes or {}).get(info.name, shape)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if dtype.kind == "f":
            feeds[info.name] = rng.standard_normal(shape).astype(dtype)
        elif "mask" in info.name:
            feeds[info.name] = np.ones(shape, dtype)
        else:
            feeds[info.name] = rng.integers(0, 2, shape).astype(dtype)
    return feeds
