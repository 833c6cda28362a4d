"""Random graphs against the numpy interpreter and ONNX Runtime; a seed that failed stays here.

LEIP_SEEDS=1000:1200 pytest tests/models/test_random_graphs.py     tries others
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from models.random_graphs import ALL, IMAGES, random_graph, run_onnx

import leip
from leip.ir.interpreter import run
from leip.ir.onnx import import_model

FIRST, LAST = map(int, os.environ.get("LEIP_SEEDS", "0:16").split(":"))
SHARE = {1: 1e-3, 2: 1e-3, 3: 1e-3, 4: 1e-2}  # of the largest magnitude; nodes may magnify by 50
HALF_SHARE = 5e-3


def check(name: str, actual: np.ndarray, expected: np.ndarray, share: float) -> None:
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, name
    if actual.dtype.kind != "f":
        assert np.array_equal(actual, expected), name
        return
    share = max(share, HALF_SHARE) if actual.dtype == np.float16 else share
    size = max(float(np.abs(expected).max()), 1e-2)
    error = float(np.abs(actual.astype(np.float64) - expected).max())
    assert error <= share * size, f"{name}: {error / size:.1e}"  # NaN is not


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_random_graph(seed: int, tmp_path: Path) -> None:
    """Passes of all levels in the interpreter; one level compiled, with one and two threads."""
    level = seed % 4 + 1
    nodes = 4 + seed % 9
    model, feeds = random_graph(seed, nodes, IMAGES if seed % 8 >= 4 else ALL)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    graph = import_model(path)
    expected = run(graph, feeds)
    for (name, wanted), peer in zip(expected.items(), run_onnx(model, feeds), strict=True):
        check(f"{name}, ONNX Runtime", wanted, peer, 1e-3)
    for any_level in (1, 2, 3, 4):
        for name, result in run(leip.optimize(graph, level=any_level), feeds).items():
            check(f"{name}, passes of level {any_level}", result, expected[name], 2e-4)
    threads = seed // 4 % 2 + 1
    report = leip.compile(
        path, tmp_path / "OUT", optimization={"kernel": level}, threads=threads, jobs=1
    )
    for used in (1, 2):
        with leip.load(report.path, threads=used) as engine:
            results = [engine.infer(feeds) for _ in range(2)]
        for name, wanted in expected.items():
            check(f"{name}, {used} threads", results[0][name], wanted, SHARE[level])
            assert np.array_equal(results[0][name], results[1][name]), name
