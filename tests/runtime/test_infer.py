"""Inference through the Python engine: arguments, arrays, faults, observers."""

from __future__ import annotations

import numpy as np
import pytest

import leip.runtime as runtime
from leip.runtime import LreError, LreFault


@pytest.fixture
def engine(toy_path):
    with runtime.load(toy_path, threads=2) as engine:
        yield engine


def test_numbers(toy, engine):
    for seed in range(5):
        feeds = toy.feeds(seed)
        toy.check(engine.infer(feeds), feeds)


def test_facts(engine):
    assert engine.input_names == ["x", "idx"]
    assert engine.output_names == ["g", "t", "copy", "constant"]
    assert engine.input_shapes == {"x": (8, 1000), "idx": (8,)}
    assert engine.input_dtypes == {"x": np.float32, "idx": np.int64}
    assert engine.output_shapes["t"] == (8,)
    assert engine.output_dtypes["t"] == np.dtype("float32")
    assert engine.model_id == "toy-model"
    assert engine.model_precision == "float32"
    assert engine.get_metadata()["build_id"] == "toy-build-1"
    assert engine.threads == 2
    assert engine.memory == {"arena": 32064, "workspace": 2 * 4224, "weights": 8096}
    assert "x" in repr(engine)


# --- arguments that are refused


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda f: f.update(ix=f.pop("idx")), r"no input 'ix'.*\['x', 'idx'\].*mean 'idx'"),
        (lambda f: f.pop("idx"), r"\['idx'\] are missing"),
        (lambda f: f.update(x=f["x"].astype(np.float64)), r"'x': float64 given, float32 expected"),
        (lambda f: f.update(x=[[1.0] * 1000] * 8), r"'x': float64 given"),
        (lambda f: f.update(x=f["x"].T), r"shape \[1000, 8\] given, \[8, 1000\] expected"),
        (lambda f: f.update(x=f["x"][:, :9]), r"shape \[8, 9\]"),
        (lambda f: f.update(x=None), r"'x': object given"),
        (lambda f: f.update(idx=f["idx"].astype(np.int32)), r"'idx': int32 given, int64"),
    ],
)
def test_wrong_inputs(toy, engine, change, text):
    feeds = toy.feeds()
    change(feeds)
    with pytest.raises(LreError, match=text):
        engine.infer(feeds)
    feeds = toy.feeds()
    toy.check(engine.infer(feeds), feeds)


def test_bare_array_needs_one_input(toy, engine):
    with pytest.raises(LreError, match=r"2 inputs: give a dict"):
        engine.infer(toy.feeds()["x"])


def test_wrong_context_and_threads(toy_path):
    with pytest.raises(LreError, match="compiled for cpu"):
        runtime.load(toy_path, inference_context="cuda")
    with pytest.raises(LreError, match="from 1"):
        runtime.load(toy_path, threads=0)
    with pytest.raises(LreError, match="from 1 to 256"):
        runtime.load(toy_path, threads=1000)


# --- arrays that are taken care of


def test_arrays_of_any_kind(toy, engine):
    feeds = toy.feeds()
    x, expected = feeds["x"], feeds
    wide = np.zeros((8, 2000), np.float32)
    wide[:, ::2] = x
    raw = np.zeros(x.nbytes + 64, np.uint8)
    start = (4 - raw.ctypes.data) % 64
    shifted = raw[start : start + x.nbytes].view(np.float32).reshape(x.shape)
    shifted[...] = x
    odd = raw[start + 1 : start + 1 + x.nbytes].view(np.float32).reshape(x.shape).copy()
    odd[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for given in (wide[:, ::2], np.asfortranarray(x), shifted, odd, frozen, x.astype(">f4")):
        toy.check(engine.infer({"x": given, "idx": feeds["idx"]}), expected)


def test_unaligned_elements(toy, engine):
    feeds = toy.feeds()
    raw = np.zeros(feeds["x"].nbytes + 1, np.uint8)
    x = raw[1:].view(np.float32).reshape(8, 1000)
    x[...] = feeds["x"]
    assert x.ctypes.data % 4 != 0
    idx = np.zeros(8 * 8 + 3, np.uint8)[3:].view(np.int64)
    idx[...] = feeds["idx"]
    toy.check(engine.infer({"x": x, "idx": idx}), feeds)


def test_inputs_are_not_changed(toy, engine):
    feeds, same = toy.feeds(), toy.feeds()
    engine.infer(feeds)
    for name in feeds:
        np.testing.assert_array_equal(feeds[name], same[name])


def test_results_share_no_memory(toy, engine):
    a, b = toy.feeds(1), toy.feeds(2)
    first = engine.infer(a)
    second = engine.infer(b)
    toy.check(first, a)
    toy.check(second, b)
    arrays = [*first.values(), *second.values(), *a.values()]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
        if i < len(first):
            assert array.flags.writeable
            assert array.ctypes.data % 64 == 0 or array.nbytes < 16 << 10


def test_results_outlive_the_engine(toy, toy_path):
    feeds = toy.feeds()
    with runtime.load(toy_path) as engine:
        result = engine.infer(feeds)
    toy.check(result, feeds)


# --- out=


def test_out(toy, engine):
    feeds = toy.feeds()
    out = {name: np.zeros(shape, np.float32) for name, shape in engine.output_shapes.items()}
    result = engine.infer(feeds, out=out)
    assert all(result[name] is out[name] for name in out)
    toy.check(out, feeds)
    part = {"t": np.zeros(9, np.float32)[1:]}
    result = engine.infer(feeds, out=part)
    assert result["t"] is part["t"]
    toy.check(result, feeds)


def test_wrong_out(toy, engine):
    feeds = toy.feeds()
    frozen = np.zeros(8, np.float32)
    frozen.flags.writeable = False
    both = np.zeros((8, 1000), np.float32)
    for out, text in [
        ({"tt": frozen}, "no output 'tt'"),
        ({"t": np.zeros(8)}, r"float64\[8\] given, float32\[8\] expected"),
        ({"t": np.zeros(7, np.float32)}, r"\[7\] given"),
        ({"t": np.zeros(16, np.float32)[::2]}, "contiguous"),
        ({"t": frozen}, "writeable"),
        ({"t": [0.0] * 8}, "numpy array is needed"),
        ({"copy": feeds["x"]}, "output 'copy' overlaps input 'x'"),
        ({"copy": both, "g": both}, "output 'copy' overlaps output 'g'"),
        (both, "4 outputs: give a dict"),
    ]:
        with pytest.raises(LreError, match=text):
            engine.infer(feeds, out=out)
    toy.check(engine.infer(feeds), feeds)


# --- faults


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_fault(toy, toy_path, threads):
    feeds = toy.feeds()
    with runtime.load(toy_path, threads=threads) as engine:
        for bad in (70, -1, 2**62):
            wrong = {**feeds, "idx": feeds["idx"].copy()}
            wrong["idx"][5] = bad
            with pytest.raises(LreFault, match=rf"gather_1 \(Gather_2\): index {bad} out of range"):
                engine.infer(wrong)
            toy.check(engine.infer(feeds), feeds)


def test_kernel_error(toy, engine):
    feeds = toy.feeds()
    wrong = {**feeds, "x": feeds["x"].copy()}
    wrong["x"][3, 3] = np.inf
    with pytest.raises(LreError, match=r"total_2 failed \(-7\): ValueError: the sum is infinite"):
        engine.infer(wrong)
    toy.check(engine.infer(feeds), feeds)


# --- observing, profiling, the end


def test_observe(toy, engine):
    feeds = toy.feeds()
    seen = []
    engine.observe(lambda step, name, outputs: seen.append((step, name, outputs)))
    result = engine.infer(feeds)
    assert [(step, name) for step, name, _ in seen] == [
        (0, "scale_0"),
        (1, "gather_1"),
        (2, "total_2"),
        (3, "copy_3"),
        (4, "copy_4"),
    ]
    np.testing.assert_allclose(seen[0][2][0], feeds["x"] * toy.w + 1, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(seen[1][2][0], result["g"])
    assert seen[3][2][0].shape == (8000,)
    engine.observe(None)
    engine.infer(feeds)
    assert len(seen) == 5


def test_observe_takes_functions_only(toy, engine):
    with pytest.raises(runtime.LreError, match="observe takes a function or None, not int"):
        engine.observe(3)
    toy.check(engine.infer(toy.feeds()), toy.feeds())


def test_observer_error(toy, engine):
    def fail(step, name, outputs):
        if step == 1:
            raise KeyError("from the callback")

    engine.observe(fail)
    with pytest.raises(KeyError, match="from the callback"):
        engine.infer(toy.feeds())
    engine.observe(None)
    feeds = toy.feeds()
    toy.check(engine.infer(feeds), feeds)


def test_observer_must_not_use_its_engine(toy, engine):
    feeds = toy.feeds()
    for use in (lambda: engine.infer(feeds), engine.close, lambda: engine.observe(None)):
        engine.observe(lambda *_, use=use: use())
        with pytest.raises(LreError, match="in the middle of an inference"):
            engine.infer(feeds)
    engine.observe(None)
    toy.check(engine.infer(feeds), feeds)


def test_profile(toy, engine):
    for feeds in (toy.feeds(), None):
        times = engine.profile(feeds, runs=3)
        assert [t.name for t in times] == ["scale_0", "gather_1", "total_2", "copy_3", "copy_4"]
        assert times[0].template == "elementwise" and times[0].origin == "Mul_0,Add_1"
        assert times[0].flops == 16000 and times[0].bytes == 68000
        assert all(0 < t.ns < 10**9 for t in times)


def test_random_inputs_are_legal(engine):
    feeds = engine.random_inputs()
    assert feeds["idx"].min() >= 0 and 1 < feeds["idx"].max() <= 7
    engine.infer(feeds)
    engine.warm_up(3)
    again = engine.random_inputs()
    assert all(np.array_equal(feeds[name], again[name]) for name in feeds)
    assert not np.array_equal(engine.random_inputs(1)["x"], feeds["x"])


def test_close(toy, toy_path):
    engine = runtime.load(toy_path)
    engine.close()
    engine.close()
    for use in (
        lambda: engine.infer(toy.feeds()),
        engine.get_metadata,
        engine.warm_up,
        lambda: engine.observe(None),
        engine.profile,
    ):
        with pytest.raises(LreError, match="closed"):
            use()
    assert "closed" in repr(engine)


def test_small_workspace_grows(toy, tmp_path):
    """The plan promised too little: the heap serves first, a larger stack afterwards."""
    path = toy.build(tmp_path, workspace=128)
    feeds = toy.feeds()
    with runtime.load(path, threads=2) as engine:
        for _ in range(3):
            toy.check(engine.infer(feeds), feeds)


def test_more_tasks_than_threads(toy, tmp_path):
    path = toy.build(tmp_path, tasks=5)
    feeds = toy.feeds()
    for threads in (1, 2, 3):
        with runtime.load(path, threads=threads, flush_denormals=True) as engine:
            for _ in range(20):
                toy.check(engine.infer(feeds), feeds)
