"""Lowering of bodies: pad lanes, several outputs, scalars inside, faults in data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from kernels import Kernel, build, expected, faults, task_of

from leip.ir import DType, Graph, Layout, TensorType, Value
from leip.ir.ops import CastAttrs, GatherAttrs, PoolAttrs, ReduceAttrs, TopkAttrs
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.lower import channel_packs, lower_body
from leip.schedules.select import select
from leip.schedules.template import NotApplicable

C16 = Layout.parse("NCHW16c")
RNG = np.random.default_rng(3)


def image(channels: int, size: int = 6, layout: Layout | None = C16) -> TensorType:
    return TensorType(DType.F32, (1, channels, size, size), layout)


def floats(type: TensorType) -> np.ndarray:
    return RNG.standard_normal(type.shape).astype(np.float32)


def body_of(
    make: Callable[..., Value | list[Value]], *types: TensorType, layout: Layout | None = None
) -> Graph:
    body = Graph("body")
    result = make(body, *(body.add_input(f"x{i}", type) for i, type in enumerate(types)))
    outputs = result if isinstance(result, list) else [result]
    for value in outputs:
        if layout is not None and value.rank == layout.rank:
            value.type = value.type.with_(layout=layout)
    body.set_outputs(outputs)
    return body


def check(body: Graph, *, constants: tuple[int, ...] = (), level: int = 3) -> Kernel:
    task = task_of(body, level=level, constants=constants)
    choice = select(task)
    kernel = build([task], choice.template, [choice.config])[0]
    arrays = [floats(value.type) for value in body.inputs]
    for got, want in zip(kernel.run(arrays), expected(task, arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    return kernel


def guards(kernel_body: Graph, constants: tuple[int, ...]) -> str:
    task = task_of(kernel_body, constants=constants)
    return lower_body(task, packs=channel_packs(task)).prim_func().script()


@pytest.mark.parametrize("channels", (5, 16, 24))
@pytest.mark.parametrize("level", (1, 3))
def test_pad_lanes_stay_zero(channels: int, level: int) -> None:
    """sigmoid(0) is not 0: the pad lanes need a guard. The check is in Kernel.run."""

    def make(g: Graph, x: Value, b: Value) -> Value:
        return g.op("sigmoid", g.op("add", x, b))

    types = (image(channels), TensorType(DType.F32, (channels, 1, 1)))
    check(body_of(make, *types, layout=C16), constants=(1,), level=level)


def test_a_guard_is_paid_for_only_where_it_is_needed() -> None:
    types = (image(24), TensorType(DType.F32, (24, 1, 1)))
    keeps = body_of(lambda g, x, b: g.op("relu", g.op("add", x, b)), *types, layout=C16)
    breaks = body_of(lambda g, x, b: g.op("sigmoid", g.op("add", x, b)), *types, layout=C16)
    assert "< 24" not in guards(keeps, (1,))
    assert "< 24" in guards(breaks, (1,))
    assert "if_then_else" not in guards(breaks, (1,))
    # An operand that is no constant cannot be padded: its lanes may not be read.
    assert "if_then_else" in guards(keeps, ())


def test_broadcast_along_a_padded_axis_is_guarded() -> None:
    types = (image(24), image(1, layout=None))
    both = body_of(lambda g, x, m: g.op("div", x, m), *types, layout=C16)
    check(both)


def test_pool_of_padded_channels() -> None:
    attrs = PoolAttrs((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))

    def make(g: Graph, x: Value) -> Value:
        return g.op("max_pool", g.op("neg", g.op("relu", x)), attrs=attrs)

    check(body_of(make, image(20, 9), layout=C16))


def test_from_one_layout_to_another() -> None:
    for there, back in ((None, C16), (C16, None), (Layout.parse("NHWC"), C16)):
        body = body_of(lambda g, x: g.op("relu", x), image(24, layout=there))
        body.outputs[0].type = body.outputs[0].type.with_(layout=back)
        check(body)


def test_a_value_that_is_read_twice_is_computed_once() -> None:
    """A chain of x = x * sigmoid(x) doubles at every step if it is written out."""

    def make(g: Graph, x: Value) -> Value:
        for _ in range(12):
            x = g.op("add", g.op("abs", x), g.op("mul", x, x))
            x = g.op("clip", x, attrs=_clip())
        return x

    body = body_of(make, image(8, layout=None))
    assert len(lower_body(task_of(body)).prim_func().script()) < 20_000
    check(body)


def test_truth_values_and_their_casts_are_shared() -> None:
    def make(g: Graph, x: Value, y: Value) -> Value:
        same = g.op("equal", x, y)
        other = g.op("not", same)
        count = g.op("cast", other, attrs=CastAttrs(DType.I64))
        total = g.op(
            "cast", g.op("mul", g.op("add", count, count), count), attrs=CastAttrs(x.dtype)
        )
        return g.op("where", same, total, g.op("where", other, x, total))

    check(body_of(make, TensorType(DType.F32, (33, 64)), TensorType(DType.F32, (33, 1))))


def _clip():  # type: ignore[no-untyped-def]
    from leip.ir.ops import ClipAttrs

    return ClipAttrs(-1.0, 1.0)


def test_nested_transcendental_functions_become_stages() -> None:
    def make(g: Graph, x: Value) -> Value:
        for op in ("sigmoid", "tanh", "gelu", "silu", "exp"):
            x = g.op(op, x)
        return x

    body = body_of(make, image(8, layout=None))
    assert len(lower_body(task_of(body)).stages) == 4
    check(body)


@pytest.mark.parametrize("level", (1, 3))
@pytest.mark.parametrize("shape", [(4, 100), (4, 96), (7,), (1, 5, 9)])
def test_a_chain_of_wheres(shape: tuple[int, ...], level: int) -> None:
    """Long enough that truth values become stages too."""

    def make(g: Graph, x: Value) -> Value:
        tenth, slope = g.add_constant(np.float32(0.1)), g.add_constant(np.float32(0.7))
        for _ in range(8):
            x = g.op("where", g.op("greater", x, tenth), g.op("mul", x, slope), g.op("neg", x))
        return x

    check(body_of(make, TensorType(DType.F32, shape)), level=level)


def test_several_outputs_and_scalars_inside() -> None:
    def make(g: Graph, x: Value, y: Value) -> list[Value]:
        half = g.add_constant(np.float32(0.5))
        total = g.op("add", x, y)
        mean = g.op("reduce_mean", total, attrs=ReduceAttrs((2, 3)))
        return [total, g.op("mul", total, half), mean, total]

    check(body_of(make, image(24), image(24), layout=C16))
    check(body_of(make, image(24, layout=None), image(24, layout=None)))


def test_a_large_constant_inside_is_refused() -> None:
    def make(g: Graph, x: Value) -> Value:
        return g.op("add", x, g.add_constant(np.arange(6, dtype=np.float32)))

    with pytest.raises(NotApplicable, match="only scalars"):
        lower_body(task_of(body_of(make, image(8, layout=None))))


@pytest.mark.parametrize("level", (1, 3))
@pytest.mark.parametrize("shape", [(2, 3), (4,)])
def test_index_out_of_range_is_a_fault_not_a_read(level: int, shape: tuple[int, ...]) -> None:
    types = (TensorType(DType.F32, (5, 40)), TensorType(DType.I64, shape))
    body = body_of(lambda g, x, i: g.op("gather", x, i, attrs=GatherAttrs(0)), *types)
    task = task_of(body, level=level)
    choice = select(task)
    kernel = build([task], choice.template, [choice.config])[0]
    table = RNG.standard_normal((5, 40)).astype(np.float32)
    faults()
    index = np.resize(np.array([0, 4, -5, -1]), shape)
    assert np.array_equal(kernel.run([table, index])[0], table[index])
    assert faults()[0] == 0
    bad = index.copy()
    bad.flat[1] = 5
    got = kernel.run([table, bad])[0]
    assert faults() == (1, 1, 5)
    assert np.array_equal(got.reshape(-1, 40)[1], table[0])  # row 0 is a legal one


@pytest.mark.parametrize("op", ("div", "mod"))
def test_integer_division_cannot_trap(op: str) -> None:
    types = (TensorType(DType.I32, (4,)), TensorType(DType.I32, (4,)))
    body = body_of(lambda g, a, b: g.op(op, a, b), *types)
    kernel = build([task_of(body)], PlainTemplate())[0]
    low = np.iinfo(np.int32).min
    faults()
    got = kernel.run([np.array([7, low, -7, 1], np.int32), np.array([2, -1, 2, 0], np.int32)])[0]
    assert faults() == (1, 2, 0)
    assert got[:3].tolist() == ([3, low, -3] if op == "div" else [1, 0, 1])


def test_division_by_a_constant_zero() -> None:
    def make(g: Graph, x: Value) -> Value:
        return g.op("div", x, g.add_constant(np.float32(-0.0)))

    body = body_of(make, TensorType(DType.F32, (4,)))
    x = np.array([1, -1, 0, np.inf], np.float32)
    got = build([task_of(body)], PlainTemplate())[0].run([x])[0]
    assert np.array_equal(got, np.array([-np.inf, np.inf, np.nan, -np.inf]), equal_nan=True)


def test_topk_values_and_places() -> None:
    def make(g: Graph, x: Value) -> list[Value]:
        return list(g.add("topk", x, attrs=TopkAttrs(3)).outputs)

    check(body_of(make, TensorType(DType.F32, (4, 50))))
