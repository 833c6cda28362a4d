"""fuse-conv: a conv with its bias, activation and residual sum is one kernel."""

from __future__ import annotations

from pass_checks import bodies, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[1,4,5,5]"
ATTRS = "{strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"
WEIGHTS = "\n".join(f"%w{i} = constant {{value=random({i})}} : f32[4,4,3,3]" for i in range(3))


def test_fires(check_pass):
    check_pass(
        "fuse-conv",
        graph(
            X,
            f"""{WEIGHTS}
            %b = constant {{value=random(7)}} : f32[4,1,1]
            %six = constant {{value=6.0}} : f32[]
            %a = conv(%x, %w0) {ATTRS} from "Conv_0"
            %c = add(%a, %b)
            %y = minimum(%c, %six)
            return %y""",
        ),
        after=graph(
            X,
            f"""%w0 = constant {{value=random(0)}} : f32[4,4,3,3]
            %b = constant {{value=random(7)}} : f32[4,1,1]
            %y = kernel(%x, %w0, %b) body(%x: f32[1,4,5,5], %w: f32[4,4,3,3], %b: f32[4,1,1]) {{
              %six = constant {{value=6.0}} : f32[]
              %a = conv(%x, %w) {ATTRS} from "Conv_0"
              %c = add(%a, %b)
              %y = minimum(%c, %six)
              return %y
            }} from "Conv_0"
            return %y""",
        ),
    )


def test_residual_goes_to_the_later_conv():
    net = parse_graph(
        graph(
            X,
            f"""{WEIGHTS}
            %a = conv(%x, %w0) {ATTRS}
            %r = relu(%a)
            %b = conv(%r, %w1) {ATTRS}
            %s = conv(%x, %w2) {ATTRS}
            %t = add(%b, %s)
            %y = relu(%t)
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv+relu", "conv", "conv+add+relu"]


def test_diamond_behind_a_conv():
    """x * sigmoid(x), spelled out: both readers go in, since they meet again."""
    net = parse_graph(
        graph(
            X,
            f"""{WEIGHTS}
            %a = conv(%x, %w0) {ATTRS}
            %s = sigmoid(%a)
            %m = mul(%a, %s)
            %y = relu(%m)
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv+sigmoid+mul+relu"]


def test_shared_result_ends_the_epilogue():
    net = parse_graph(
        graph(
            X,
            f"""{WEIGHTS}
            %a = conv(%x, %w0) {ATTRS}
            %b = relu(%a)
            %c = conv(%b, %w1) {ATTRS}
            %y = add(%b, %c)
            return %y, %b""",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv+relu", "conv+add"]


def test_graph_output_ends_the_epilogue():
    net = parse_graph(
        graph(X, f"{WEIGHTS}\n%a = conv(%x, %w0) {ATTRS}\n%y = relu(%a)\nreturn %y, %a")
    )
    result = run_pass("fuse-conv", net).graph
    assert bodies(result) == ["conv"]
    assert result.output_names == ("y", "a")


def test_broadcast_that_grows_stays_outside():
    net = parse_graph(
        graph(
            f"{X}, %z: f32[2,4,5,5]",
            f"{WEIGHTS}\n%a = conv(%x, %w0) {ATTRS}\n%y = add(%a, %z)\nreturn %y",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv"]


def test_prologue_of_a_pointwise_conv():
    net = parse_graph(
        graph(
            X,
            """%w = constant {value=random(1)} : f32[4,4,1,1]
            %a = relu(%x)
            %y = conv(%a, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-conv{prologue=false}", net.copy()).graph) == ["conv"]
    assert bodies(run_pass("fuse-conv", net).graph) == ["relu+conv"]


def test_an_epilogue_is_no_prologue():
    net = parse_graph(
        graph(
            X,
            f"""{WEIGHTS}
            %w = constant {{value=random(1)}} : f32[4,4,1,1]
            %a = conv(%x, %w0) {ATTRS}
            %b = relu(%a)
            %y = conv(%b, %w) {{strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}}
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv+relu", "conv"]


def test_keeps(check_pass):
    check_pass("fuse-conv", graph(X, "%y = relu(%x)\nreturn %y"), unchanged="")


def test_an_epilogue_ends_before_its_expression_explodes():
    """A chain of silus would be written out in proportion to the product of their terms."""
    chain = "\n".join(f"%s{i + 1} = silu(%s{i})" for i in range(4))
    net = parse_graph(
        graph(
            X,
            f"""{WEIGHTS}
            %s0 = conv(%x, %w0) {ATTRS}
            {chain}
            return %s4""",
        )
    )
    assert bodies(run_pass("fuse-conv", net).graph) == ["conv+silu"]


def test_a_prologue_ends_before_it_becomes_long():
    """A where reads its operand three times: four in a row are too much in front of a conv."""
    chain = "\n".join(
        f"""%g{i} = greater(%s{i}, %t)
        %m{i} = mul(%s{i}, %t)
        %n{i} = neg(%s{i})
        %s{i + 1} = where(%g{i}, %m{i}, %n{i})"""
        for i in range(5)
    )
    net = parse_graph(
        graph(
            "%s0: f32[1,4,5,5]",
            f"""%t = constant {{value=0.5}} : f32[]
            {chain}
            %w = constant {{value=random(1)}} : f32[4,4,1,1]
            %y = conv(%s5, %w) {{strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}}
            return %y""",
        )
    )
    (body,) = bodies(run_pass("fuse-conv", net).graph)
    assert 1 <= body.count("where") <= 3
