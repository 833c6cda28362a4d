"""Reductions by rows and stage by stage, at sizes that divide and sizes that do not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernels import avx2_host, build, expected, one_op, task_of
from x86_kernels import TARGETS

from leip.ir import DType, Graph, Layout, TensorType, Value
from leip.ir.ops import (
    ArgAttrs,
    GroupNormAttrs,
    InstanceNormAttrs,
    LayerNormAttrs,
    LrnAttrs,
    ReduceAttrs,
    RmsNormAttrs,
    SoftmaxAttrs,
)
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.rows import RowsConfig, RowsTemplate
from leip.schedules.x86.stages import StagesTemplate

C16 = Layout.parse("NCHW16c")
Make = Callable[..., Value | list[Value]]


def rows(*shape: int, layout: Layout | None = None) -> TensorType:
    return TensorType(DType.F32, shape, layout)


def simple(op: str, attrs: object) -> Make:
    return lambda g, *xs: g.op(op, *xs, attrs=attrs)


def attention(g: Graph, x: Value, mask: Value) -> Value:
    scale = g.add_constant(np.float32(0.125))
    return g.op("softmax", g.op("add", g.op("mul", x, scale), mask), attrs=SoftmaxAttrs(-1))


def residual(g: Graph, x: Value, y: Value, scale: Value, bias: Value) -> list[Value]:
    total = g.op("add", x, y)
    normal = g.op("layer_norm", total, scale, bias, attrs=LayerNormAttrs(-1, 1e-12))
    return [total, g.op("gelu", normal)]


def sum_of_nothing(g: Graph, a: Value, b: Value, bias: Value) -> Value:
    return g.op("add", g.op("matmul", a, b), bias)


def centred(g: Graph, x: Value) -> Value:
    return g.op("sub", x, g.op("reduce_mean", x, attrs=ReduceAttrs((2,))))


ROWS: dict[str, tuple[Make, list[TensorType]]] = {
    "softmax 128": (simple("softmax", SoftmaxAttrs(-1)), [rows(1, 12, 16, 128)]),
    "softmax 197": (simple("softmax", SoftmaxAttrs(-1)), [rows(1, 3, 197, 197)]),
    "softmax 5": (simple("softmax", SoftmaxAttrs(-1)), [rows(40, 5)]),
    "softmax 1000": (simple("softmax", SoftmaxAttrs(-1)), [rows(1, 1000)]),
    "softmax vector": (simple("softmax", SoftmaxAttrs(0)), [rows(1003)]),
    "attention": (attention, [rows(2, 4, 32, 128), rows(2, 1, 1, 128)]),
    "log_softmax": (simple("log_softmax", SoftmaxAttrs(-1)), [rows(40, 1009)]),
    "layer_norm": (
        simple("layer_norm", LayerNormAttrs(-1)),
        [rows(2, 33, 768), rows(768), rows(768)],
    ),
    "layer_norm of two axes": (
        simple("layer_norm", LayerNormAttrs(1)),
        [rows(3, 7, 5), rows(7, 5), rows(7, 5)],
    ),
    "residual": (residual, [rows(1, 40, 96), rows(1, 40, 96), rows(96), rows(96)]),
    "rms_norm": (simple("rms_norm", RmsNormAttrs(-1)), [rows(1, 77, 100), rows(100)]),
    "instance_norm": (
        simple("instance_norm", InstanceNormAttrs()),
        [rows(2, 9, 13, 13), rows(9), rows(9)],
    ),
    "mean of images": (simple("reduce_mean", ReduceAttrs((2, 3))), [rows(1, 70, 7, 7)]),
    "mean, axes gone": (simple("reduce_mean", ReduceAttrs((2, 3), False)), [rows(2, 9, 56, 56)]),
    "sum of all": (simple("reduce_sum", ReduceAttrs((0, 1, 2), False)), [rows(3, 50, 71)]),
    "max 5": (simple("reduce_max", ReduceAttrs((1,), False)), [rows(300, 5)]),
    "prod": (simple("reduce_prod", ReduceAttrs((1,))), [rows(30, 17)]),
    "argmax": (simple("argmax", ArgAttrs(-1, False)), [rows(9, 1000)]),
    "argmin, last": (simple("argmin", ArgAttrs(-1, True, True)), [rows(9, 33)]),
    "centred": (centred, [rows(4, 20, 100)]),
}

SHARED: dict[str, tuple[Make, list[TensorType]]] = {
    "layer_norm": (
        simple("layer_norm", LayerNormAttrs(-1)),
        [rows(1, 40000), rows(40000), rows(40000)],
    ),
    "layer_norm of an odd length": (
        simple("layer_norm", LayerNormAttrs(-1)),
        [rows(3, 20011), rows(20011), rows(20011)],
    ),
    "residual": (residual, [rows(1, 1, 999), rows(1, 1, 999), rows(999), rows(999)]),
    "rms_norm": (simple("rms_norm", RmsNormAttrs(-1)), [rows(1, 16384), rows(16384)]),
    "softmax": (simple("softmax", SoftmaxAttrs(-1)), [rows(1, 20011)]),
    "softmax vector": (simple("softmax", SoftmaxAttrs(0)), [rows(20480)]),
    "sum of all": (simple("reduce_sum", ReduceAttrs((0, 1, 2), False)), [rows(3, 100, 71)]),
    "mean of images": (simple("reduce_mean", ReduceAttrs((2, 3))), [rows(1, 3, 150, 131)]),
    "argmax": (simple("argmax", ArgAttrs(-1, False)), [rows(1, 20011)]),
}

STAGES: dict[str, tuple[Make, list[TensorType]]] = {
    "mean of blocked images": (
        simple("reduce_mean", ReduceAttrs((2, 3))),
        [rows(1, 40, 7, 7, layout=C16)],
    ),
    "mean of images in blocks of 8": (
        simple("reduce_mean", ReduceAttrs((2, 3))),
        [rows(1, 40, 7, 7, layout=Layout.blocked(4, 1, 8))],
    ),
    "mean of blocked images, plain": (
        simple("reduce_mean", ReduceAttrs((2, 3), False)),
        [rows(2, 40, 7, 7, layout=C16)],
    ),
    "sum over tokens": (simple("reduce_sum", ReduceAttrs((1,), False)), [rows(2, 197, 768)]),
    "sum over tokens, odd": (simple("reduce_sum", ReduceAttrs((1,))), [rows(2, 31, 101)]),
    "max over channels": (
        simple("reduce_max", ReduceAttrs((1,))),
        [rows(1, 40, 9, 9, layout=C16)],
    ),
    "softmax over channels": (simple("softmax", SoftmaxAttrs(1)), [rows(1, 21, 33, 33)]),
    "blocked softmax over channels": (
        simple("softmax", SoftmaxAttrs(1)),
        [rows(1, 21, 9, 9, layout=C16)],
    ),
    "blocked instance_norm": (
        simple("instance_norm", InstanceNormAttrs()),
        [rows(1, 24, 9, 9, layout=C16), rows(24), rows(24)],
    ),
    "blocked group_norm": (
        simple("group_norm", GroupNormAttrs(8)),
        [rows(1, 24, 9, 9, layout=C16), rows(24), rows(24)],
    ),
    "lrn": (simple("lrn", LrnAttrs(5, 0.5)), [rows(2, 21, 7, 9)]),
    "blocked lrn": (simple("lrn", LrnAttrs(5, 0.5)), [rows(2, 32, 7, 9, layout=C16)]),
    "a product of nothing and a bias": (sum_of_nothing, [rows(3, 0), rows(0, 5), rows(5)]),
    "blocked lrn of odd channels": (
        simple("lrn", LrnAttrs(4, 0.5, 0.5, 2.0)),
        [rows(1, 21, 7, 9, layout=C16)],
    ),
    "blocked lrn of a wide window": (
        simple("lrn", LrnAttrs(33, 0.5)),
        [rows(1, 40, 5, 3, layout=C16)],
    ),
    "blocked lrn of a window beyond the block": (
        simple("lrn", LrnAttrs(37, 0.5)),
        [rows(1, 40, 5, 3, layout=C16)],
    ),
}


def test_windows_over_blocked_channels_are_loaded_as_vectors() -> None:
    image = rows(1, 64, 7, 7, layout=C16)
    task = task_of(body_of(simple("lrn", LrnAttrs(5)), [image]), target=TARGETS["avx512"])
    template = StagesTemplate()
    script = template.build(task, template.default(task)).functions[0].script()
    assert "lrn_squares" in script and script.count("T.vectorized(16)") >= 3


def body_of(make: Make, types: list[TensorType]) -> Graph:
    body = Graph("body")
    values = [body.add_input(f"x{i}", type) for i, type in enumerate(types)]
    result = make(body, *values)
    outputs = result if isinstance(result, list) else [result]
    for value in outputs:
        same = value.shape == types[0].shape
        value.type = value.type.with_(layout=types[0].layout if same else None)
    body.set_outputs(outputs)
    return body


def run_all(template, cases, target=None) -> None:  # type: ignore[no-untyped-def]
    tasks, configs = [], []
    for make, types in cases.values():
        task = task_of(body_of(make, types), constants=range(1, len(types)), target=target)
        space = list(template.space(task))
        tasks += [task, task]
        configs += [space[0], space[1 + len(tasks) % (len(space) - 1)]]
    rng = np.random.default_rng(0)
    names = [name for name in cases for _ in range(2)]
    for name, kernel in zip(names, build(tasks, template, configs), strict=True):
        arrays = [rng.standard_normal(v.shape).astype(np.float32) for v in kernel.task.body.inputs]
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            size = max(1e-6, float(np.abs(want.astype(np.float64)).max()))
            note = f"{name} {kernel.config}"
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=4e-6 * size, err_msg=note)


@pytest.mark.parametrize("width", ("host", "avx2"))
def test_rows(width: str) -> None:
    run_all(RowsTemplate(), ROWS, avx2_host() if width == "avx2" else None)


@pytest.mark.parametrize("width", ("host", "avx2"))
@pytest.mark.parametrize("config", ("accumulators=1,parts=2", "accumulators=2,parts=3,threads=no"))
def test_rows_in_parts(width: str, config: str) -> None:
    """Rows that threads share, of lengths that their parts divide and that they do not."""
    target, template = avx2_host() if width == "avx2" else None, RowsTemplate()
    tasks = [
        task_of(body_of(make, types), constants=range(1, len(types)), target=target)
        for make, types in SHARED.values()
    ]
    configs = [RowsConfig.from_text(config) for _ in tasks]
    rng = np.random.default_rng(0)
    for name, kernel in zip(SHARED, build(tasks, template, configs), strict=True):
        arrays = [rng.standard_normal(v.shape).astype(np.float32) for v in kernel.task.body.inputs]
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            size = max(1e-6, float(np.abs(want.astype(np.float64)).max()))
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=4e-6 * size, err_msg=name)


def test_maxima_of_parts_keep_infinities() -> None:
    """A NaN may or may not survive a maximum (docs/precision.md); it stays in its own row."""
    task = task_of(body_of(simple("reduce_max", ReduceAttrs((1,))), [rows(3, 20011)]))
    kernel = build([task], RowsTemplate(), [RowsConfig(parts=2)])[0]
    x = np.full((3, 20011), -np.inf, np.float32)
    x[1, 20010], x[2, 12000] = np.inf, np.nan
    np.testing.assert_array_equal(kernel.run([x])[0][:2], expected(task, [x])[0][:2])


def test_threads_share_long_rows_where_there_are_few() -> None:
    def parts(*shape: int, threads: int = 2) -> int:
        body = body_of(simple("softmax", SoftmaxAttrs(-1)), [rows(*shape)])
        config = RowsTemplate().default(task_of(body, threads=threads))
        assert isinstance(config, RowsConfig)
        return config.parts

    assert parts(1, 100_000) == 2 and parts(3, 100_000) == 2 and parts(1, 100_000, threads=4) == 4
    assert parts(2, 100_000) == parts(1, 1000) == parts(1, 100_000, threads=1) == 1


def test_trace_of_parts() -> None:
    task = task_of(
        body_of(simple("softmax", SoftmaxAttrs(-1)), [rows(1, 20011)]), target=TARGETS["avx512"]
    )
    template = RowsTemplate()
    script = template.build(task, RowsConfig(2, True, 2)).functions[0].script()
    assert script.count("T.parallel(2)") >= 2  # maximum and sum; each has what is left over
    for name in ("part_update", "fold_update", "rest_update"):
        assert script.count(f"{name}") >= 2
    with pytest.raises(InvalidConfig, match="too short"):
        template.build(task, RowsConfig(4, True, 400))


@pytest.mark.parametrize("width", ("host", "avx2"))
def test_stages(width: str) -> None:
    run_all(StagesTemplate(), STAGES | {"layer_norm": ROWS["layer_norm"]},
            avx2_host() if width == "avx2" else None)  # fmt: skip


@pytest.mark.parametrize(
    ("op", "attrs", "type", "reason"),
    [
        ("relu", None, rows(4, 4), "nothing is reduced"),
        ("softmax", SoftmaxAttrs(1), rows(1, 8, 9), r"over axes \[1\] of 3"),
        ("reduce_sum", ReduceAttrs((2, 3)), rows(1, 16, 4, 4, layout=C16), "not row-major"),
    ],
)
def test_refusals(op: str, attrs: object, type: TensorType, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        RowsTemplate().check(task_of(one_op(op, attrs, [type])))


@pytest.mark.parametrize("block", [4, 8, 16])
def test_blocks_shorter_than_a_vector_fill_shorter_vectors(block: int) -> None:
    image = rows(1, 48, 7, 7, layout=Layout.blocked(4, 1, block))
    body = body_of(simple("reduce_mean", ReduceAttrs((2, 3))), [image])
    task = task_of(body, target=TARGETS["avx512"])
    template = StagesTemplate()
    script = template.build(task, template.default(task)).functions[0].script()
    assert f"T.vectorized({block})" in script
