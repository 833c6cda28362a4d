"""All passes together: random graphs and small networks keep their numbers at every level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pass_checks import assert_same_numbers, bodies, graph

from leip.ir import Graph, Layout, TensorType, parse_graph
from leip.ir.dtypes import DType
from leip.ir.ops import (
    ConcatAttrs,
    ConvAttrs,
    ReduceAttrs,
    ReshapeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    TransposeAttrs,
)
from leip.ir.target import Caches, Target
from leip.passes import PassManager, pipeline

CACHES = Caches(32 << 10, 512 << 10, 2 << 20)
AVX2 = Target("llvm", "x86", "x86_64-linux-gnu", "skylake", ("avx2", "fma"), 256, 16, CACHES)
TOP_LEVEL = {"input", "constant", "kernel", "reshape"}


def compiled(net: Graph, level: int, layout: Layout | None = None) -> Graph:
    result = PassManager(pipeline(level, AVX2, layout), verify_level=2).run(net.copy())
    assert {node.op for node in result.nodes()} <= TOP_LEVEL
    return result


BERT_LAYER = """%wq = constant {value=random(1)} : f32[8,8]
%wk = constant {value=random(2)} : f32[8,8]
%wv = constant {value=random(3)} : f32[8,8]
%wo = constant {value=random(4)} : f32[8,8]
%bq = constant {value=random(5)} : f32[8]
%s = constant {value=random(6)} : f32[8]
%b = constant {value=random(7)} : f32[8]
%w1 = constant {value=random(8)} : f32[8,32]
%w2 = constant {value=random(9)} : f32[32,8]
%two = constant {value=2.0} : f32[]
%half = constant {value=0.5} : f32[]
%one = constant {value=1.0} : f32[]
%root = constant {value=1.4142135381698608} : f32[]
%q0 = matmul(%x, %wq)
%q1 = add(%bq, %q0)
%q2 = reshape(%q1) {shape=[1,6,2,4]}
%q = transpose(%q2) {perm=[0,2,1,3]}
%k0 = matmul(%x, %wk)
%k1 = reshape(%k0) {shape=[1,6,2,4]}
%k = transpose(%k1) {perm=[0,2,3,1]}
%v0 = matmul(%x, %wv)
%v1 = reshape(%v0) {shape=[1,6,2,4]}
%v = transpose(%v1) {perm=[0,2,1,3]}
%a0 = matmul(%q, %k)
%a1 = div(%a0, %two)
%a2 = add(%a1, %mask)
%a3 = softmax(%a2)
%c0 = matmul(%a3, %v)
%c1 = transpose(%c0) {perm=[0,2,1,3]}
%c2 = reshape(%c1) {shape=[1,6,8]}
%o0 = matmul(%c2, %wo)
%o = add(%o0, %x)
%n = layer_norm(%o, %s, %b)
%f0 = matmul(%n, %w1)
%f1 = div(%f0, %root)
%f2 = erf(%f1)
%f3 = add(%f2, %one)
%f4 = mul(%f0, %f3)
%f5 = mul(%f4, %half)
%f6 = matmul(%f5, %w2)
%f7 = add(%f6, %n)
%y = layer_norm(%f7, %s, %b)
return %y"""


def test_transformer_layer():
    net = parse_graph(graph("%x: f32[1,6,8], %mask: f32[1,1,1,6]", BERT_LAYER))
    front = ["matmul+add", "matmul", "matmul"]
    attention = "transpose+transpose+matmul+mul+add+softmax+transpose+matmul+transpose"
    back = ["matmul+add", "layer_norm", "matmul+gelu", "matmul+add", "layer_norm"]
    assert bodies(compiled(net, 3)) == [*front, attention, *back]
    assert bodies(compiled(net, 2)) == [
        "matmul+add",
        "matmul",
        "transpose+transpose+matmul+mul+add",
        "softmax",
        "matmul",
        "transpose+matmul+transpose",
        "matmul+add",
        "layer_norm",
        "matmul+gelu",
        "matmul+add",
        "layer_norm",
    ]
    for level in (1, 2, 3, 4):
        assert_same_numbers(net, compiled(net, level))


def test_shuffle_block():
    conv = "{strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}"
    net = parse_graph(
        graph(
            "%x: f32[1,16,5,5]",
            f"""%w = constant {{value=random(1)}} : f32[8,8,1,1]
            %a, %b = split(%x) {{axis=1, sizes=[8,8]}}
            %c = conv(%b, %w) {conv}
            %d = relu(%c)
            %e = concat(%a, %d) {{axis=1}}
            %f = reshape(%e) {{shape=[1,2,8,5,5]}}
            %g = transpose(%f) {{perm=[0,2,1,3,4]}}
            %y = reshape(%g) {{shape=[1,16,5,5]}}
            return %y""",
        )
    )
    for level in (1, 2, 3):
        assert_same_numbers(net, compiled(net, level))
    nhwc = compiled(net, 3, Layout.parse("NHWC"))
    assert str(nhwc.inputs[0].type) == "f32[1,16,5,5]@NHWC"
    assert_same_numbers(net, nhwc)


# -- random graphs -----------------------------------------------------------------------------

UNARY = ("relu", "neg", "exp", "sigmoid", "abs", "tanh", "identity")
BINARY = ("add", "sub", "mul", "maximum", "minimum")
IMAGE = (1, 8, 4, 4)


def random_graph(data: st.DataObject) -> Graph:
    """A few dozen ops over images and rows, with shared values, several outputs and constants."""
    draw = data.draw
    net = Graph()
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    images = [net.add_input("x", TensorType(DType.F32, IMAGE))]
    rows = [net.add_input("r", TensorType(DType.F32, (4, 8)))]

    def constant(*shape: int):
        return net.add_constant((rng.standard_normal(shape) * 0.3).astype(np.float32))

    def pick(values):
        return values[draw(st.integers(max(0, len(values) - 4), len(values) - 1))]

    for _ in range(draw(st.integers(3, 14))):
        values = images if draw(st.booleans()) else rows
        a, b = pick(values), pick(values)
        kind = draw(st.integers(0, 7))
        if kind <= 1:
            values.append(net.op(draw(st.sampled_from(UNARY)), a))
        elif kind <= 3:
            values.append(net.op(draw(st.sampled_from(BINARY)), a, b))
        elif kind == 4 and values is images:
            attrs = ConvAttrs((1, 1), (1, 1, 1, 1), (1, 1))
            values.append(net.op("conv", a, constant(8, 8, 3, 3), attrs=attrs))
        elif kind == 4:
            values.append(net.op("matmul", a, constant(8, 8)))
        elif kind == 5:
            bias = constant(8, 1, 1) if values is images else constant(8)
            values.append(net.op(draw(st.sampled_from(("add", "mul"))), a, bias))
        elif kind == 6 and values is images:
            both = net.op("concat", a, b, attrs=ConcatAttrs(1))
            attrs = SliceAttrs((1,), (draw(st.integers(0, 8)),), (99,), (1,))
            part = net.op("slice", both, attrs=attrs)
            mean = net.op("reduce_mean", part, attrs=ReduceAttrs((1,)))
            values.append(net.op("mul", a, mean))
        elif kind == 6:
            scale, bias = constant(8), constant(8)
            values.append(net.op("layer_norm", a, scale, bias))
        elif values is images:
            flat = net.op("reshape", a, attrs=ReshapeAttrs((4, 32)))
            mean = net.op("reduce_mean", flat, attrs=ReduceAttrs((1,)))
            rows.append(net.op("mul", pick(rows), mean))
        else:
            turned = net.op("transpose", a, attrs=TransposeAttrs((1, 0)))
            scores = net.op("matmul", b, turned)
            weights = net.op("softmax", scores, attrs=SoftmaxAttrs())
            values.append(net.op("matmul", weights, b))
    outputs = [images[-1], rows[-1], pick(images), pick(rows)]
    net.set_outputs(outputs, ["a", "b", "c", "d"])
    return net


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_random_graphs_keep_their_numbers(data):
    net = random_graph(data)
    for level in (1, 2, 3):
        assert_same_numbers(net, compiled(net, level))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_compiling_twice_gives_equal_text(level):
    from leip.ir import print_graph

    text = graph("%x: f32[1,6,8], %mask: f32[1,1,1,6]", BERT_LAYER)
    first, second = (print_graph(compiled(parse_graph(text), level)) for _ in range(2))
    assert first == second
