"""Chains of ops on short and odd half floats: each op rounds, as its reference does."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from kernels import Kernel, avx2_host, build, expected, task_of

from leip.ir import DType, Graph, TensorType, Value
from leip.ir.ops import CastAttrs, ConcatAttrs, PadAttrs, PoolAttrs, ReduceAttrs, SoftmaxAttrs
from leip.ir.ops import LayerNormAttrs as NormAttrs
from leip.schedules.select import select
from leip.schedules.task import Task

SIZES = (1, 8, 13, 40)
Make = Callable[[Graph, Value, Value], Value]


def scaled(g: Graph, x: Value, y: Value) -> Value:
    return g.op("add", g.op("mul", x, y), y)


def twice(g: Graph, x: Value, y: Value) -> Value:
    total = g.op("add", x, y)
    square = g.op("mul", total, total)
    return g.op("add", g.op("sub", square, total), total)


def to_f32(g: Graph, x: Value, y: Value) -> Value:
    return g.op("cast", g.op("add", x, y), attrs=CastAttrs(DType.F32))


def to_bool(g: Graph, x: Value, y: Value) -> Value:
    return g.op("cast", g.op("sub", x, y), attrs=CastAttrs(DType.BOOL))


def joined(g: Graph, x: Value, y: Value) -> Value:
    total = g.op("add", x, y)
    return g.op("concat", total, x, total, attrs=ConcatAttrs(0))


def padded(g: Graph, x: Value, y: Value) -> Value:
    pads = (0,) * x.rank + (3,) * x.rank
    wide = g.op("pad", g.op("add", x, y), attrs=PadAttrs(pads, value=-2.0))
    return g.op("mul", wide, wide)


def zeros_around(g: Graph, x: Value, y: Value) -> Value:
    pads = (0,) * x.rank + (3,) * x.rank
    return g.op("pad", g.op("gelu", g.op("add", x, y)), attrs=PadAttrs(pads))


def sums(g: Graph, x: Value, y: Value) -> Value:
    return g.op("reduce_sum", g.op("add", x, y), attrs=ReduceAttrs((1,), False))


def largest(g: Graph, x: Value, y: Value) -> Value:
    return g.op("reduce_max", g.op("add", x, y), attrs=ReduceAttrs((1,), False))


def softmax(g: Graph, x: Value, y: Value) -> Value:
    result = g.op("softmax", g.op("add", x, y), attrs=SoftmaxAttrs(-1))
    return g.op("mul", result, result)


def norm(g: Graph, x: Value, y: Value) -> Value:
    scale, bias = (g.add_input(n, TensorType(x.dtype, x.shape[1:])) for n in ("scale", "bias"))
    return g.op("layer_norm", g.op("add", x, y), scale, bias, attrs=NormAttrs(-1))


def pool(op: str) -> Make:
    attrs = PoolAttrs((2, 2), (2, 2), (1, 1, 1, 1), (1, 1))
    return lambda g, x, y: g.op(op, g.op("add", x, y), attrs=attrs)


VECTORS: list[Make] = [scaled, twice, to_f32, to_bool, joined, padded, zeros_around]
ROWS: list[Make] = [sums, largest, softmax, norm]
POOLS: list[Make] = [pool("max_pool"), pool("avg_pool")]


def shape_of(make: Make, size: int) -> tuple[int, ...]:
    return (size,) if make in VECTORS else (3, size) if make in ROWS else (1, 3, size, size)


def kernels(tasks: list[Task]) -> list[Kernel]:
    """As `build`, of whatever template each task gets."""
    choices = [(task, select(task)) for task in tasks]
    choices.sort(key=lambda pair: pair[1].template.name)
    built = []
    for _, group in itertools.groupby(choices, key=lambda pair: pair[1].template.name):
        pairs = list(group)
        template = pairs[0][1].template
        built += build([t for t, _ in pairs], template, [choice.config for _, choice in pairs])
    return built


@pytest.mark.parametrize(
    ("level", "width", "dtype"),
    [
        *((level, width, DType.BF16) for level in (1, 2, 3, 4) for width in ("host", "avx2")),
        (3, "host", DType.F16),
        (3, "avx2", DType.F16),
    ],
)
def test_chains(level: int, width: str, dtype: DType) -> None:
    target = avx2_host() if width == "avx2" else None
    names, tasks = {}, []
    for make, size in itertools.product((*VECTORS, *ROWS, *POOLS), SIZES):
        body = Graph("body")
        type = TensorType(dtype, shape_of(make, size))
        body.set_outputs([make(body, *(body.add_input(name, type) for name in "xy"))])
        tasks.append(task_of(body, level=level, target=target))
        names[id(body)] = f"{getattr(make, '__qualname__', make)} of {size}"
    rng = np.random.default_rng(1)
    coarse = 2.0**-7 if dtype is DType.BF16 else 2.0**-10  # a unit of the last place
    for kernel in kernels(tasks):
        inputs = kernel.task.body.inputs
        arrays = [rng.standard_normal(v.shape).astype(dtype.numpy) for v in inputs]
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            assert got.dtype == want.dtype
            name = names[id(kernel.task.body)]
            exact = name.startswith(("scaled", "twice", "to_", "joined", "padded", "largest"))
            tolerance = 0.0 if exact else 2 * coarse
            numbers = got.astype(np.float64), want.astype(np.float64)
            np.testing.assert_allclose(*numbers, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("level", [1, 3])
def test_roundings_to_bfloat16(level: int) -> None:
    """Ties to even, overflow to infinity, and NaN stays NaN whatever its bits are."""
    body = Graph("body")
    x = body.add_input("x", TensorType(DType.F32, (20,)))
    short = body.op("cast", x, attrs=CastAttrs(DType.BF16))
    body.set_outputs([body.op("neg", short), body.op("cast", short, attrs=CastAttrs(DType.F32))])
    bits = [0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x7F800000, 0xFF800000]
    bits += [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0, 0x80000000, 1, 0x80000001]
    values = np.array([*bits, *[0x40490FDB] * 5], np.uint32).view(np.float32)
    (kernel,) = kernels([task_of(body, level=level)])
    negative, wide = kernel.run([values])
    with np.errstate(invalid="ignore"):
        rounded = values.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(wide, rounded.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(wide[11:15]), [False, True, False, True])
    np.testing.assert_array_equal(negative.astype(np.float32), -wide)
