"""fuse-matmul: a matmul, what follows it, and strided operands are one kernel."""

from __future__ import annotations

from pass_checks import bodies, graph, run_pass

from leip.ir import parse_graph


def test_fires(check_pass):
    check_pass(
        "fuse-matmul",
        graph(
            "%x: f32[3,4], %r: f32[3,2]",
            """%w = constant {value=random(1)} : f32[4,2]
            %b = constant {value=random(2)} : f32[2]
            %m = matmul(%x, %w)
            %a = add(%m, %b)
            %g = gelu(%a)
            %y = add(%r, %g)
            return %y""",
        ),
        after=graph(
            "%x: f32[3,4], %r: f32[3,2]",
            """%w = constant {value=random(1)} : f32[4,2]
            %b = constant {value=random(2)} : f32[2]
            %y = kernel(%x, %w, %b, %r)
              body(%x: f32[3,4], %w: f32[4,2], %b: f32[2], %r: f32[3,2]) {
              %m = matmul(%x, %w)
              %a = add(%m, %b)
              %g = gelu(%a)
              %y = add(%g, %r)
              return %y
            }
            return %y""",
        ),
    )


HEADS = """%q0 = transpose(%q) {perm=[0,2,1,3]}
%k0 = slice(%k) {axes=[2], starts=[2], ends=[4], steps=[1]}
%k1 = transpose(%k0) {perm=[0,2,1,3]}
%s = matmul(%q0, %k1) {transpose_b=true}
%p = softmax(%s)
%o = matmul(%p, %k1)
%t = transpose(%o) {perm=[0,2,1,3]}
"""
QK = "%q: f32[1,3,2,4], %k: f32[1,3,4,4]"


def test_heads_are_strides():
    """The keys are read by two products; each takes a copy of the slice and the transpose."""
    net = parse_graph(graph(QK, f"{HEADS}return %t"))
    assert bodies(run_pass("fuse-matmul", net).graph) == [
        "transpose+slice+transpose+matmul",
        "slice+transpose+matmul+transpose",
    ]


def test_transposes_that_others_read_stay_too():
    net = parse_graph(graph(QK, f"{HEADS}return %t, %k1"))
    result = run_pass("fuse-matmul", net).graph
    assert "transpose" in [node.op for node in result.nodes()]
    assert bodies(result) == [
        "transpose+slice+transpose+matmul",
        "slice+transpose+matmul+transpose",
    ]


def test_transposes_are_an_option():
    net = parse_graph(graph(QK, f"{HEADS}return %t"))
    assert bodies(run_pass("fuse-matmul{transposes=false}", net).graph) == ["matmul", "matmul"]


def test_keeps(check_pass):
    text = graph("%x: f32[3,4]", "%y = transpose(%x) {perm=[1,0]}\nreturn %y")
    check_pass("fuse-matmul", text, unchanged="")
