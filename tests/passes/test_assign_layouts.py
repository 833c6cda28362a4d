"""assign-layouts: blocked images where that is cheapest over the whole graph."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pass_checks import (
    FUSE,
    POINT,
    SAME,
    assert_same_numbers,
    bodies,
    fused,
    graph,
    run_pass,
    weights,
)

from leip.ir import Graph, Layout, TensorType, parse_graph, verify
from leip.ir.graph import Node
from leip.passes.assign_layouts import AssignLayouts
from leip.passes.relayout import is_transform


def laid_out(source: Graph, spec: str = "assign-layouts{block=8}") -> Graph:
    """The graph with layouts, checked: valid, same numbers, a fixed point of the pass."""
    result = run_pass(spec, source.copy()).graph
    verify(result)
    assert_same_numbers(source, result)
    assert not run_pass(spec, result.copy()).modified
    return result


def transforms(net: Graph) -> list[str]:
    """What each transform makes: `f32[1,16,9,9]@NCHW8c`."""
    return [str(node.output.type) for node in net.nodes() if is_transform(node)]


def test_fires(check_pass):
    inner = "%x: f32[1,64,16,16]"
    conv = "%y = conv(%x, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"
    check_pass(
        "assign-layouts{block=4}",
        graph(
            inner,
            f"""%w = constant {{value=random(1)}} : f32[64,64,3,3]
            %y = kernel(%x, %w) body({inner}, %w: f32[64,64,3,3]) {{
              {conv}
              return %y
            }}
            return %y""",
        ),
        after=graph(
            inner,
            f"""%w = constant {{value=random(1)}} : f32[64,64,3,3]
            %x.nchw4c = kernel(%x) body(%x: f32[1,64,16,16]) {{
              %y = layout_transform(%x) {{layout=NCHW4c}} : f32[1,64,16,16]@NCHW4c
              return %y
            }}
            %y = kernel(%x.nchw4c, %w) body(%x: f32[1,64,16,16]@NCHW4c, %w: f32[64,64,3,3]) {{
              {conv} : f32[1,64,16,16]@NCHW4c
              return %y
            }}
            %y.plain = kernel(%y) body(%x: f32[1,64,16,16]@NCHW4c) {{
              %y = layout_transform(%x) : f32[1,64,16,16]
              return %y
            }}
            return %y.plain "y\"""",
        ),
    )


def test_keeps_everything_for_blocks_of_one(check_pass):
    text = graph("%x: f32[1,8,4,4]", "%y = relu(%x)\nreturn %y")
    check_pass("assign-layouts{block=1}", text, unchanged="")


RESIDUAL = f"""{weights("16,3,3,3", "16,16,3,3", "16,16,3,3", "32,16,1,1", "10,32")}
%a = conv(%x, %w0) {SAME}
%b = relu(%a)
%c = conv(%b, %w1) {SAME}
%d = relu(%c)
%e = conv(%d, %w2) {SAME}
%f = add(%e, %b)
%g = relu(%f)
%h = conv(%g, %w3) {POINT}
%p = reduce_mean(%h) {{axes=[2,3]}}
%r = reshape(%p) {{shape=[0,-1]}}
%y = matmul(%r, %w4) {{transpose_b=true}}
return %y"""


def test_residual_network_needs_no_transform():
    """The first conv reads the plain image, the global pool writes plain numbers."""
    result = laid_out(fused("%x: f32[1,3,9,9]", RESIDUAL))
    assert transforms(result) == []
    layouts = [str(n.output.layout) for n in result.nodes() if n.op == "kernel"]
    assert layouts == ["NCHW8c"] * 4 + ["None"] * 2


def test_inception_block_concats_blocked():
    result = laid_out(
        fused(
            "%x: f32[1,64,24,24]",
            f"""{weights("32,64,1,1", "64,64,3,3", "32,64,1,1", "64,128,1,1")}
            %a = conv(%x, %w0) {POINT}
            %b = conv(%x, %w1) {SAME}
            %p = max_pool(%x) {{kernel=[3,3], strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}}
            %c = conv(%p, %w2) {POINT}
            %d = concat(%a, %b, %c) {{axis=1}}
            %e = conv(%d, %w3) {POINT}
            return %e""",
        )
    )
    # the input once for three readers, and the result
    assert transforms(result) == ["f32[1,64,24,24]@NCHW8c", "f32[1,64,24,24]"]


def test_dense_block_with_odd_growth():
    net = fused(
        "%x: f32[1,16,9,9]",
        f"""{weights("12,16,3,3", "12,28,3,3", "8,40,1,1")}
        %s = constant {{value=random(8)}} : f32[28,1,1]
        %a = conv(%x, %w0) {SAME}
        %c = concat(%x, %a) {{axis=1}}
        %m = mul(%c, %s)
        %r = relu(%m)
        %b = conv(%r, %w1) {SAME}
        %d = concat(%x, %a, %b) {{axis=1}}
        %y = conv(%d, %w2) {POINT}
        return %y""",
    )
    assert bodies(net) == ["conv", "concat+mul+relu", "conv", "concat", "conv"]
    laid_out(net)


def test_squeeze_and_excite_needs_no_transform_inside():
    result = laid_out(
        fused(
            "%x: f32[1,3,24,24]",
            f"""{weights("64,3,3,3", "32,64,1,1", "64,32,1,1", "64,64,3,3")}
            %a = conv(%x, %w0) {SAME}
            %s = silu(%a)
            %p = reduce_mean(%s) {{axes=[2,3]}}
            %q = conv(%p, %w1) {POINT}
            %r = relu(%q)
            %t = conv(%r, %w2) {POINT}
            %g = sigmoid(%t)
            %m = mul(%s, %g)
            %y = conv(%m, %w3) {SAME}
            return %y""",
        )
    )
    assert transforms(result) == ["f32[1,64,24,24]"]


def test_global_pool_of_a_plain_image_writes_plain_numbers():
    """Its reader wants blocks; they are made of the few numbers and not lane by lane."""
    result = laid_out(
        fused(
            "%x: f32[1,20,40,40]",
            f"""{weights("1024,20,1,1", "2048,1024,1,1")}
            %p = reduce_mean(%x) {{axes=[2,3]}}
            %q = conv(%p, %w0) {POINT}
            %y = conv(%q, %w1) {POINT}
            return %y""",
        )
    )
    assert transforms(result) == ["f32[1,20,1,1]@NCHW8c", "f32[1,2048,1,1]"]


def test_keeps_attention_plain():
    result = laid_out(
        fused(
            "%q: f32[1,4,8,8], %k: f32[1,4,8,8]",
            "%s = matmul(%q, %k)\n%e = exp(%s)\n%y = softmax(%e)\n%z = relu(%q)\nreturn %y, %z",
        )
    )
    assert transforms(result) == []
    assert all(v.layout is None for n in result.nodes() for v in n.outputs)


def test_value_read_in_both_layouts_is_transformed_once():
    result = laid_out(
        fused(
            "%x: f32[1,3,24,24]",
            f"""{weights("64,3,3,3", "64,64,3,3")}
            %a = conv(%x, %w0) {SAME}
            %s = softmax(%a) {{axis=1}}
            %t = transpose(%a) {{perm=[0,2,3,1]}}
            %b = conv(%a, %w1) {SAME}
            return %s, %t, %b""",
        )
    )
    assert sorted(transforms(result)) == ["f32[1,64,24,24]", "f32[1,64,24,24]"]  # %a and %b


def test_border_layouts_merge_with_ours():
    """NHWC → plain → blocked becomes one transform, and so on the way out."""
    net = parse_graph(
        graph(
            "%x: f32[1,64,24,24]", f"{weights('64,64,3,3')}\n%y = conv(%x, %w0) {SAME}\nreturn %y"
        )
    )
    for spec in ("io-layout{layout=NHWC}", *FUSE):
        net = run_pass(spec, net).graph
    assert transforms(net) == ["f32[1,64,24,24]", "f32[1,64,24,24]@NHWC"]
    result = laid_out(net)
    assert transforms(result) == ["f32[1,64,24,24]@NCHW8c", "f32[1,64,24,24]@NHWC"]
    assert str(result.inputs[0].type) == "f32[1,64,24,24]@NHWC"
    assert str(result.outputs[0].type) == "f32[1,64,24,24]@NHWC"


@dataclass(frozen=True)
class FixedCost:
    """A cost model that says how dear transforms and plain kernels are."""

    plain: int
    move: int

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        return self.plain if layout is None else 0

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        return self.move


@pytest.mark.parametrize(("plain", "expected"), [(10, 2), (3, 0)])
def test_cost_model_decides(plain, expected):
    net = fused(
        "%x: f32[1,16,9,9]", f"{weights('16,16,3,3')}\n%y = conv(%x, %w0) {SAME}\nreturn %y"
    )
    result = AssignLayouts(8, FixedCost(plain, 4)).run(net)
    assert len(transforms(result.graph)) == expected
    assert result.modified == bool(expected)
