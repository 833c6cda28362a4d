"""expand-conv-transpose: transposed convolutions become convolutions by blocks of pixels."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pass_checks import check_kept, graph, run_pass

from leip.ir import parse_graph
from leip.ir.ops.conv import ConvTransposeAttrs, conv_transpose_output

SPEC = "expand-conv-transpose"


def test_fires_for_a_window_as_wide_as_its_stride_is_a_pointwise_convolution(check_pass):
    before = graph(
        "%x: f32[1,1,3,3]",
        """%w = constant {value=[[[[1.0,2.0],[3.0,4.0]]]]} : f32[1,1,2,2]
        %y = conv_transpose(%x, %w) {strides=[2,2], pads=[0,0,0,0], dilations=[1,1]}
        return %y""",
    )
    after = graph(
        "%x: f32[1,1,3,3]",
        """%w = constant {value=[[[[1.0]]],[[[2.0]]],[[[3.0]]],[[[4.0]]]]} : f32[4,1,1,1]
        %c = conv(%x, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        %r = reshape(%c) {shape=[1,1,2,2,3,3]}
        %t = transpose(%r) {perm=[0,1,4,2,5,3]}
        %y = reshape(%t) {shape=[1,1,6,6]}
        return %y""",
    )
    check_pass(SPEC, before, after=after)


def test_fires_and_slices_what_is_cut_off_the_border(check_pass):
    before = graph(
        "%x: f32[1,1,3]",
        """%w = constant {value=[[[1.0,2.0,3.0,4.0]]]} : f32[1,1,4]
        %y = conv_transpose(%x, %w) {strides=[2], pads=[1,1], dilations=[1]}
        return %y""",
    )
    after = graph(
        "%x: f32[1,1,3]",
        """%w = constant {value=[[[3.0,1.0]],[[4.0,2.0]]]} : f32[2,1,2]
        %c = conv(%x, %w) {strides=[1], pads=[1,1], dilations=[1]}
        %r = reshape(%c) {shape=[1,1,2,4]}
        %t = transpose(%r) {perm=[0,1,3,2]}
        %s = reshape(%t) {shape=[1,1,8]}
        %y = slice(%s) {axes=[2], starts=[1], ends=[7], steps=[1]}
        return %y""",
    )
    check_pass(SPEC, before, after=after)


@pytest.mark.parametrize(
    ("weights", "dilation", "reason"),
    [
        ("%w = constant {value=random(0)} : f32[4,3,2,2]", 2, "taps are not beside each other"),
        ("%w = add(%v, %v)", 1, "the weights are no constant"),
    ],
)
def test_keeps_what_it_cannot_take_apart(check_pass, weights: str, dilation: int, reason: str):
    attrs = f"{{strides=[2,2], pads=[0,0,0,0], dilations=[{dilation},{dilation}]}}"
    body = f"{weights}\n%y = conv_transpose(%x, %w) {attrs}\nreturn %y"
    text = graph("%x: f32[1,4,5,6], %v: f32[4,3,2,2]", body)
    check_pass(SPEC, text, unchanged=reason)


AXES = st.tuples(
    st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5),
    st.integers(0, 2),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(AXES, min_size=1, max_size=3), st.integers(1, 2), st.integers(1, 2))
def test_fires_for_any_geometry(axes: list[tuple[int, ...]], groups: int, batch: int):
    """Per axis: size, kernel, stride, pads at both ends, output padding."""
    size, kernel, strides, begin, end, extra = map(list, zip(*axes, strict=True))
    assume(all(more < stride for more, stride in zip(extra, strides, strict=True)))
    ones = [1] * len(axes)
    pads = begin + end
    attrs = ConvTransposeAttrs(*map(tuple, (strides, pads, ones)), groups, tuple(extra))
    assume(min(conv_transpose_output(attrs, size, kernel)) >= 1)
    x, w = [batch, 2 * groups, *size], [2 * groups, 3, *kernel]
    geometry = f"strides={strides}, pads={pads}, dilations={ones}"
    text = graph(
        f"%x: f32{x}",
        f"""%w = constant {{value=random(0)}} : f32{w}
        %y = conv_transpose(%x, %w) {{{geometry}, groups={groups}, output_padding={extra}}}
        return %y""",
    )
    source = parse_graph(text)
    result = run_pass(SPEC, source.copy()).graph
    assert "conv_transpose" not in {node.op for node in result.nodes()}
    check_kept(SPEC, source, result)
