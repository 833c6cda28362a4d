"""fold-batch-norm: factors and shifts go into the weights beside them."""

from __future__ import annotations

import pytest
from pass_checks import check_kept, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[1,2,4,4]"
CONV = "{strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}"
PADDED = "{strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"
STATISTICS = """%scale = constant {value=[2.0,4.0]} : f32[2]
%bias = constant {value=[1.0,2.0]} : f32[2]
%mean = constant {value=[0.5,0.25]} : f32[2]
%var = constant {value=[4.0,16.0]} : f32[2]"""

FIRES = {
    "batch norm alone": (
        X,
        f"{STATISTICS}\n%y = batch_norm(%x, %scale, %bias, %mean, %var) {{epsilon=0.0}}\nreturn %y",
        """%s = constant {value=[[[1.0]],[[1.0]]]} : f32[2,1,1]
        %t = constant {value=[[[0.5]],[[1.75]]]} : f32[2,1,1]
        %a = mul(%x, %s)
        %y = add(%a, %t)
        return %y""",
    ),
    "batch norm behind conv": (
        X,
        f"""{STATISTICS}
        %w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %a = conv(%x, %w) {CONV}
        %y = batch_norm(%a, %scale, %bias, %mean, %var) {{epsilon=0.0}}
        return %y""",
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %t = constant {{value=[[[0.5]],[[1.75]]]}} : f32[2,1,1]
        %a = conv(%x, %w) {CONV}
        %y = add(%a, %t)
        return %y""",
    ),
    "factor behind conv and bias": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %b = constant {{value=[[[1.0]],[[2.0]]]}} : f32[2,1,1]
        %c = constant {{value=2.0}} : f32[]
        %a = conv(%x, %w) {PADDED}
        %d = add(%a, %b)
        %y = mul(%d, %c)
        return %y""",
        f"""%w = constant {{value=fill(6)}} : f32[2,2,1,1]
        %b = constant {{value=[[[2.0]],[[4.0]]]}} : f32[2,1,1]
        %a = conv(%x, %w) {PADDED}
        %y = add(%a, %b)
        return %y""",
    ),
    "factor behind a grouped conv_transpose": (
        X,
        """%w = constant {value=fill(1)} : f32[2,1,1,1]
        %c = constant {value=[[[2.0]],[[3.0]]]} : f32[2,1,1]
        %a = conv_transpose(%x, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1], groups=2}
        %y = mul(%a, %c)
        return %y""",
        """%w = constant {value=[[[[2.0]]],[[[3.0]]]]} : f32[2,1,1,1]
        %y = conv_transpose(%x, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1], groups=2}
        return %y""",
    ),
    "factor behind matmul": (
        "%x: f32[3,2]",
        """%w = constant {value=[[1.0,2.0],[3.0,4.0]]} : f32[2,2]
        %c = constant {value=[2.0,10.0]} : f32[2]
        %a = matmul(%x, %w)
        %y = mul(%a, %c)
        return %y""",
        """%w = constant {value=[[2.0,20.0],[6.0,40.0]]} : f32[2,2]
        %y = matmul(%x, %w)
        return %y""",
    ),
    "factor behind a transposed matmul": (
        "%x: f32[3,2]",
        """%w = constant {value=[[1.0,2.0],[3.0,4.0]]} : f32[2,2]
        %c = constant {value=[2.0,10.0]} : f32[2]
        %a = matmul(%x, %w) {transpose_b=true}
        %y = mul(%a, %c)
        return %y""",
        """%w = constant {value=[[2.0,4.0],[30.0,40.0]]} : f32[2,2]
        %y = matmul(%x, %w) {transpose_b=true}
        return %y""",
    ),
    "factor before a padded grouped conv": (
        X,
        """%w = constant {value=fill(1)} : f32[2,1,3,3]
        %c = constant {value=[[[2.0]],[[3.0]]]} : f32[2,1,1]
        %a = mul(%x, %c)
        %y = conv(%a, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=2}
        return %y""",
        """%w2 = constant {value=[[[[2.0,2.0,2.0],[2.0,2.0,2.0],[2.0,2.0,2.0]]],
          [[[3.0,3.0,3.0],[3.0,3.0,3.0],[3.0,3.0,3.0]]]]} : f32[2,1,3,3]
        %y = conv(%x, %w2) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=2}
        return %y""",
    ),
    "shift before an unpadded conv": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %t = constant {{value=[[[1.0]],[[2.0]]]}} : f32[2,1,1]
        %a = add(%x, %t)
        %y = conv(%a, %w) {CONV}
        return %y""",
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %t = constant {{value=[[[9.0]],[[9.0]]]}} : f32[2,1,1]
        %a = conv(%x, %w) {CONV}
        %y = add(%a, %t)
        return %y""",
    ),
}

KEEPS = {
    "statistics that are inputs": (
        f"{X}, %scale: f32[2]",
        f"{STATISTICS.partition(chr(10))[2]}\n"
        "%y = batch_norm(%x, %scale, %bias, %mean, %var)\nreturn %y",
        "a statistic is not constant",
    ),
    "conv that others read": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %c = constant {{value=2.0}} : f32[]
        %a = conv(%x, %w) {CONV}
        %y = mul(%a, %c)
        return %a, %y""",
        "the product has other users",
    ),
    "sum that others read": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %c = constant {{value=2.0}} : f32[]
        %a = conv(%x, %w) {CONV}
        %b = add(%a, %c)
        %y = mul(%b, %c)
        return %b, %y""",
        "the sum has other users",
    ),
    "weight that is an input": (
        f"{X}, %w: f32[2,2,1,1]",
        f"""%c = constant {{value=2.0}} : f32[]
        %a = conv(%x, %w) {CONV}
        %y = mul(%a, %c)
        return %y""",
        "the weight is not constant",
    ),
    "factor that varies over the image": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %c = constant {{value=random(1)}} : f32[4]
        %a = conv(%x, %w) {CONV}
        %y = mul(%a, %c)
        return %y""",
        "not one per output channel",
    ),
    "shift before a padded conv": (
        X,
        f"""%w = constant {{value=fill(3)}} : f32[2,2,1,1]
        %t = constant {{value=[[[1.0]],[[2.0]]]}} : f32[2,1,1]
        %a = add(%x, %t)
        %y = conv(%a, %w) {PADDED}
        return %y""",
        "the conv is padded",
    ),
}


@pytest.mark.parametrize("what", FIRES)
def test_fires(check_pass, what):
    inputs, before, after = FIRES[what]
    check_pass("fold-batch-norm", graph(inputs, before), after=graph(inputs, after))


@pytest.mark.parametrize("what", KEEPS)
def test_keeps(check_pass, what):
    inputs, text, reason = KEEPS[what]
    check_pass("fold-batch-norm", graph(inputs, text), unchanged=reason)


def test_fires_twice():
    source = parse_graph(
        graph(
            X,
            f"""{STATISTICS}
            %w = constant {{value=random(1)}} : f32[2,2,1,1]
            %a = conv(%x, %w) {CONV}
            %b = batch_norm(%a, %scale, %bias, %mean, %var)
            %c = conv(%b, %w) {CONV}
            %d = batch_norm(%c, %scale, %bias, %mean, %var)
            return %d""",
        )
    )
    result = run_pass("fold-batch-norm", source.copy()).graph
    assert "batch_norm" not in [node.op for node in result.nodes()]
    assert "mul" not in [node.op for node in result.nodes()]
    check_kept("fold-batch-norm", source, result)
