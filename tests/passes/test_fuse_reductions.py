"""fuse-reductions: reductions, norms and softmax with the elementwise work around them."""

from __future__ import annotations

from pass_checks import bodies, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[2,3,4]"
NORM = """%s = constant {value=random(1)} : f32[4]
%b = constant {value=random(2)} : f32[4]
"""


def test_fires(check_pass):
    check_pass(
        "fuse-reductions",
        graph(
            f"{X}, %mask: f32[3,4]",
            """%c = constant {value=0.125} : f32[]
            %a = mul(%x, %c)
            %m = add(%a, %mask)
            %p = softmax(%m)
            %y = cast(%p) {to=f16}
            return %y""",
        ),
        after=graph(
            f"{X}, %mask: f32[3,4]",
            """%y = kernel(%x, %mask) body(%x: f32[2,3,4], %mask: f32[3,4]) {
              %c = constant {value=0.125} : f32[]
              %a = mul(%x, %c)
              %m = add(%a, %mask)
              %p = softmax(%m)
              %y = cast(%p) {to=f16}
              return %y
            }
            return %y""",
        ),
    )


def test_norm_gives_its_sum_too():
    net = parse_graph(
        graph(
            f"{X}, %r: f32[2,3,4]",
            NORM
            + "%a = add(%x, %r)\n%n = layer_norm(%a, %s, %b)\n%e = exp(%n)\n%y = mul(%a, %e)\n"
            + "%z = concat(%y, %a) {axis=0}\nreturn %z",
        )
    )
    result = run_pass("fuse-reductions", net.copy()).graph
    assert bodies(result) == ["add+layer_norm+exp+mul"]
    (kernel,) = [node for node in result.nodes() if node.op == "kernel"]
    assert len(kernel.outputs) == 2
    assert bodies(run_pass("fuse-reductions{sums=false}", net).graph) == ["layer_norm+exp+mul"]


def test_sum_whose_reader_feeds_the_kernel_stays_outside():
    """A cycle trap: the norm's factor depends on the sum through a matmul outside."""
    net = parse_graph(
        graph(
            f"{X}, %r: f32[2,3,4]",
            NORM
            + """%w = constant {value=random(3)} : f32[4,4]
            %a = add(%x, %r)
            %g = matmul(%a, %w)
            %n = layer_norm(%a, %s, %b)
            %y = mul(%n, %g)
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-reductions", net).graph) == ["layer_norm+mul"]


def test_two_sums_that_feed_each_other():
    """A cycle trap of two groups: each norm is multiplied by the other one's sum."""
    net = parse_graph(
        graph(
            f"{X}, %r: f32[2,3,4]",
            NORM
            + """%a = add(%x, %r)
            %e = exp(%r)
            %c = add(%x, %e)
            %n = layer_norm(%a, %s, %b)
            %m = layer_norm(%c, %s, %b)
            %y = mul(%n, %c)
            %z = mul(%m, %a)
            return %y, %z""",
        )
    )
    result = run_pass("fuse-reductions", net).graph
    assert sorted(len(n.outputs) for n in result.nodes() if n.op == "kernel") == [1, 2]


def test_pool_takes_no_prologue():
    net = parse_graph(
        graph(
            "%x: f32[1,4,6,6]",
            """%a = exp(%x)
            %p = max_pool(%a) {kernel=[3,3], strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
            %y = relu(%p)
            return %y""",
        )
    )
    assert bodies(run_pass("fuse-reductions", net).graph) == ["max_pool+relu"]


def test_keeps(check_pass):
    check_pass("fuse-reductions", graph(X, "%y = relu(%x)\nreturn %y"), unchanged="")
