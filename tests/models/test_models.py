"""Whole models against ONNX Runtime: finite, and within the tolerance of their level.

The models are built here, so that these tests run everywhere; where the zoo is present its own
SqueezeNet, MobileNetV2 and ResNet-50 run too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import builders
from runners import OnnxRuntime
from tolerances import MODEL_SPREAD
from zoo_models import MissingModel, random_feeds, zoo_model

import leip

BUILT: dict[str, Callable[[], onnx.ModelProto]] = {
    "squeezenet": builders.squeezenet,
    "mobilenet_v2": builders.mobilenet_v2,
    "bert_2_layers": builders.bert,
    "resnet50": builders.resnet50,
}
CASES = [(name, level) for name in BUILT for level in (1, 2, 3, 4) if name != "resnet50"]
CASES += [("resnet50", 3)]
ZOO_CASES = [("squeezenet1_1", 3), ("mobilenet_v2", 3), ("resnet50", 3)]


def check(model: Path, level: int, folder: Path) -> None:
    """Compile, run on two inputs, compare the first with ONNX Runtime."""
    feeds = [random_feeds(model, seed) for seed in (1, 2)]
    if "input_ids" in feeds[0]:
        rng = np.random.default_rng(3)
        for feed in feeds:
            feed["input_ids"] = rng.integers(0, 1000, feed["input_ids"].shape)
    peer = OnnxRuntime(model, feeds[0], threads=2)
    first = peer.run()
    peer.feeds = feeds[1]
    second = peer.run()
    report = leip.compile(model, folder / "OUT", optimization={"kernel": level}, threads=2)
    assert report.level == level and report.kernels > 0
    with leip.load(report.path, threads=2) as engine:
        outputs = engine.infer(feeds[0])
    assert list(outputs) == list(first)
    for name, wanted in first.items():
        spread = float(np.abs(wanted - second[name]).max())
        error = float(np.abs(outputs[name] - wanted).max())
        assert np.isfinite(outputs[name]).all(), name
        assert spread > 0, f"{name} does not depend on the input"
        limit = MODEL_SPREAD[level]
        assert error <= limit * spread, f"{name}: {error / spread:.1e} > {limit}"


@pytest.mark.parametrize(("name", "level"), CASES)
def test_built_model(name: str, level: int, tmp_path: Path) -> None:
    check(builders.save(BUILT[name](), tmp_path / f"{name}.onnx"), level, tmp_path)


@pytest.mark.parametrize(("name", "level"), ZOO_CASES)
def test_zoo_model(name: str, level: int, tmp_path: Path) -> None:
    try:
        model = zoo_model(name)
    except MissingModel as error:
        pytest.skip(str(error))
    check(model, level, tmp_path)


def test_attention_is_one_kernel(tmp_path: Path) -> None:
    """An odd number of tokens, some masked: what ONNX Runtime gives, from one kernel a layer."""
    model = builders.save(builders.bert(sequence=37, width=96, heads=3), tmp_path / "bert.onnx")
    feeds = random_feeds(model, 4)
    feeds["attention_mask"][:, 30:] = 0
    wanted = OnnxRuntime(model, feeds, threads=2).run()
    report = leip.compile(model, tmp_path / "OUT", optimization={"kernel": 3}, threads=2)
    with leip.load(report.path, threads=2) as engine:
        outputs = engine.infer(feeds)
    for name, value in wanted.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-4, atol=1e-4)
    schema = json.loads((tmp_path / "OUT" / "model_schema.json").read_text())
    made = [kernel["template"] for kernel in schema["kernels"]]
    assert made.count("attention_f32_strips__x86") == 2
