"""flatten-depth: convolutions and pools over three axes become such over images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pass_checks import check_kept, graph, run_pass

from leip.ir import interpreter, parse_graph
from leip.ir.ops.conv import ConvAttrs, conv_output
from leip.ir.ops.pool import PoolAttrs, pool_output

SPEC = "flatten-depth"
ONES = "strides=[1,1,1], pads=[0,0,0,0,0,0], dilations=[1,1,1]"


def test_fires_for_a_column_and_moves_nothing(check_pass):
    before = graph(
        "%x: f32[2,3,5,4,6]",
        """%w = constant {value=random(0)} : f32[7,3,3,1,1]
        %y = conv(%x, %w) {strides=[2,1,1], pads=[1,0,0,1,0,0], dilations=[1,1,1]}
        return %y""",
    )
    after = graph(
        "%x: f32[2,3,5,4,6]",
        """%r = reshape(%x) {shape=[0,0,0,-1]}
        %w = constant {value=random(0)} : f32[7,3,3,1,1]
        %f = reshape(%w) {shape=[0,0,0,0]}
        %c = conv(%r, %f) {strides=[2,1], pads=[1,0,1,0], dilations=[1,1]}
        %y = reshape(%c) {shape=[0,0,0,4,6]}
        return %y""",
    )
    check_pass(SPEC, before, after=after)


def test_fires_for_flat_windows_whose_slices_are_a_batch(check_pass):
    before = graph(
        "%x: f32[2,3,5,4,6]",
        f"""%w = constant {{value=random(0)}} : f32[7,3,1,3,2]
        %y = conv(%x, %w) {{{ONES}}}
        return %y""",
    )
    after = graph(
        "%x: f32[2,3,5,4,6]",
        """%t = transpose(%x) {perm=[0,2,1,3,4]}
        %u = reshape(%t) {shape=[0,0,1,3,4,6]}
        %r = reshape(%u) {shape=[10,3,4,6]}
        %w = constant {value=random(0)} : f32[7,3,1,3,2]
        %f = reshape(%w) {shape=[0,0,3,2]}
        %c = conv(%r, %f) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        %s = reshape(%c) {shape=[2,5,7,2,5]}
        %y = transpose(%s) {perm=[0,2,1,3,4]}
        return %y""",
    )
    check_pass(SPEC, before, after=after)


def test_fires_and_what_follows_stays_with_the_slices(check_pass):
    """Bias, activation, residual sum, pools and concat: one transpose at either end."""
    before = graph(
        "%x: f32[1,2,4,6,6]",
        """%w = constant {value=random(0)} : f32[3,2,3,3,3]
        %b = constant {value=random(1)} : f32[3,1,1,1]
        %v = constant {value=random(2)} : f32[3,3,1,3,3]
        %c = conv(%x, %w) {strides=[1,1,1], pads=[1,1,1,1,1,1], dilations=[1,1,1]}
        %d = add(%c, %b)
        %e = relu(%d)
        %f = conv(%e, %v) {strides=[1,1,1], pads=[0,1,1,0,1,1], dilations=[1,1,1]}
        %g = add(%f, %e)
        %h = concat(%g, %e) {axis=1}
        %y = max_pool(%h) {kernel=[2,2,2], strides=[2,2,2], pads=[0,0,0,0,0,0], \
dilations=[1,1,1]}
        return %y""",
    )
    source = parse_graph(before)
    result = run_pass(SPEC, source.copy()).graph
    check_kept(SPEC, source, result)
    result = run_pass("canonicalize", result).graph
    moved = [n for n in result.nodes() if n.op == "transpose" and not n.inputs[0].is_constant]
    assert [node.output.shape for node in moved] == [(1, 4, 2, 6, 6), (1, 6, 2, 3, 3)]
    work = ("conv", "add", "relu", "concat", "max_pool")
    assert {n.output.rank for n in result.nodes() if n.op in work} == {4}


def test_fires_for_a_global_pool_behind_slices(check_pass):
    before = graph(
        "%x: f32[2,3,4,5,6]",
        f"""%w = constant {{value=random(0)}} : f32[7,3,1,3,3]
        %c = conv(%x, %w) {{{ONES}}}
        %y = reduce_mean(%c) {{axes=[2,3,4]}}
        return %y""",
    )
    result = check_fires(before)
    reduced = [n.attrs.axes for n in result.nodes() if n.op == "reduce_mean"]
    assert reduced == [(2, 3), (1,)]


def check_fires(text: str):
    source = parse_graph(text)
    ran = run_pass(SPEC, source.copy())
    assert ran.modified
    check_kept(SPEC, source, ran.graph)
    return ran.graph


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"%y = conv(%x, %w) {{{ONES}}}", "the weights are no constant"),
        (
            f"""%v = constant {{value=random(0)}} : f32[4,2,1,1,1]
            %y = conv(%x, %v) {{{ONES}}}""",
            "",  # templates take it as one row of pixels
        ),
        ("%y = relu(%x)", ""),
        (
            f"""%h = cast(%x) {{to=f16}}
            %y = avg_pool(%h) {{kernel=[2,2,2], {ONES}}}""",
            "an average of averages rounds once more",
        ),
    ],
)
def test_keeps_what_gains_nothing(check_pass, body: str, reason: str):
    text = graph("%x: f32[1,2,3,4,5], %w: f32[4,2,2,2,2]", f"{body}\nreturn %y")
    check_pass(SPEC, text, unchanged=reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("%y = add(%c, %r)", "neither slices nor a number a channel"),
        ("%y = add(%c, %one)", "slices are broadcast"),
    ],
)
def test_refuses_operands_that_are_not_by_channel(line: str, reason: str):
    text = graph(
        "%x: f32[1,3,4,5,6], %r: f32[1,7,4,3,4], %one: f32[2,1,1,1,1]",
        f"""%w = constant {{value=random(0)}} : f32[7,3,1,3,3]
        %c = conv(%x, %w) {{{ONES}}}
        {line}
        return %y""",
    )
    source = parse_graph(text)
    ran = run_pass(SPEC, source.copy())
    assert any(reason in refusal for refusal in ran.refusals)
    check_kept(SPEC, source, ran.graph)


def test_padding_between_slices_is_zero_whatever_stands_at_its_place():
    """An infinity in the first slice is not multiplied by zero for windows that end before it."""
    text = graph(
        "%x: f32[1,1,3,2,2]",
        """%w = constant {value=random(0)} : f32[1,1,3,1,2]
        %y = conv(%x, %w) {strides=[1,1,1], pads=[2,0,0,2,0,0], dilations=[1,1,1]}
        return %y""",
    )
    source = parse_graph(text)
    x = np.ones((1, 1, 3, 2, 2), np.float32)
    x[0, 0, 0] = np.inf
    result = run_pass(SPEC, source.copy()).graph
    expected = interpreter.run(source, {"x": x})["y"]
    assert np.isfinite(expected[0, 0, -1]).all()
    np.testing.assert_allclose(interpreter.run(result, {"x": x})["y"], expected, rtol=1e-5)


AXES = st.tuples(
    st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3),
    st.integers(1, 2),
)  # fmt: skip
THREE = st.lists(AXES, min_size=3, max_size=3)


@settings(max_examples=150, deadline=None)
@given(THREE, st.integers(1, 3), st.integers(1, 2))
def test_fires_for_any_convolution(axes: list[tuple[int, ...]], groups: int, batch: int):
    """Per axis: size, kernel, stride, pads at both ends, dilation."""
    size, kernel, strides, begin, end, dilations = map(list, zip(*axes, strict=True))
    attrs = ConvAttrs(tuple(strides), tuple(begin + end), tuple(dilations), groups)
    assume(min(conv_output(attrs, size, kernel)) >= 1)
    text = graph(
        f"%x: f32{[batch, 2 * groups, *size]}",
        f"""%w = constant {{value=random(0)}} : f32{[3 * groups, 2, *kernel]}
        %b = constant {{value=random(1)}} : f32{[3 * groups, 1, 1, 1]}
        %c = conv(%x, %w) {{strides={strides}, pads={begin + end}, dilations={dilations}, \
groups={groups}}}
        %y = add(%c, %b)
        return %y""",
    )
    source = parse_graph(text)
    result = run_pass(SPEC, source.copy()).graph
    check_kept(SPEC, source, result)
    pointwise = groups == 1 and {*kernel, *strides} == {1} and not any(begin + end)
    assert {n.output.rank for n in result.nodes() if n.op == "conv"} == {5 if pointwise else 4}


@settings(max_examples=150, deadline=None)
@given(
    THREE, st.sampled_from(["max_pool", "avg_pool"]), st.booleans(), st.booleans(), st.booleans()
)
def test_fires_for_any_pool(
    axes: list[tuple[int, ...]], op: str, ceil: bool, counted: bool, behind: bool
):
    """Of an input, or behind a convolution."""
    size, kernel, strides, begin, end, dilations = map(list, zip(*axes, strict=True))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    assume(all(max(a, b) < r for a, b, r in zip(begin, end, reach, strict=True)))
    pads = begin + end
    attrs = PoolAttrs(*map(tuple, (kernel, strides, pads, dilations)), ceil, counted)
    assume(min(pool_output(attrs, size)) >= 1)
    flags = f"ceil_mode={ceil}, count_include_pad={counted}".lower()
    text = graph(
        f"%x: f32{[2, 3, *size]}",
        f"""%w = constant {{value=random(0)}} : f32[4,3,1,1,1]
        %c = conv(%x, %w) {{strides=[1,1,1], pads=[0,0,0,0,0,0], dilations=[1,1,1]}}
        %y = {op}(%{"c" if behind else "x"}) {{kernel={kernel}, strides={strides}, pads={pads}, \
dilations={dilations}, {flags}}}
        return %y""",
    )
    source = parse_graph(text)
    source.prune()
    result = run_pass(SPEC, source.copy()).graph
    check_kept(SPEC, source, result)
    assert all(n.output.rank == 4 for n in result.nodes() if n.op == op)


def test_maxima_of_nan_and_infinities_are_kept():
    text = graph(
        "%x: f32[1,2,4,4,4]",
        """%y = max_pool(%x) {kernel=[2,3,2], strides=[2,1,2], pads=[1,1,1,0,1,0], \
dilations=[1,1,1]}
        return %y""",
    )
    source = parse_graph(text)
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4, 4)).astype(np.float32)
    x[0, 0, 0, 0, 0], x[0, 0, 3, 3, 3], x[0, 1, 2] = np.nan, np.inf, -np.inf
    result = run_pass(SPEC, source.copy()).graph
    expected = interpreter.run(source, {"x": x})["y"]
    np.testing.assert_array_equal(interpreter.run(result, {"x": x})["y"], expected)
