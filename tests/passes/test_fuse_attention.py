"""fuse-attention: products, softmax and heads as one kernel."""

from __future__ import annotations

import pytest
from pass_checks import bodies, graph, run_pass

from leip.ir import parse_graph

QKV = "%q: f32[1,3,4,2], %k: f32[1,5,4,2], %v: f32[1,5,4,2], %m: f32[1,1,1,5]"
HEADS = """%q0 = transpose(%q) {perm=[0,2,1,3]}
%k0 = transpose(%k) {perm=[0,2,1,3]}
%v0 = transpose(%v) {perm=[0,2,1,3]}
%s = matmul(%q0, %k0) {transpose_b=true}
"""


def test_fires(check_pass):
    check_pass(
        "fuse-attention",
        graph(
            QKV,
            f"""{HEADS}%c = constant {{value=0.125}} : f32[]
            %s0 = mul(%s, %c)
            %s1 = add(%s0, %m)
            %p = softmax(%s1)
            %o = matmul(%p, %v0)
            %t = transpose(%o) {{perm=[0,2,1,3]}}
            return %t""",
        ),
        after=graph(
            QKV,
            """%t = kernel(%q, %k, %m, %v)
              body(%q: f32[1,3,4,2], %k: f32[1,5,4,2], %m: f32[1,1,1,5], %v: f32[1,5,4,2]) {
              %c = constant {value=0.125} : f32[]
              %q0 = transpose(%q) {perm=[0,2,1,3]}
              %k0 = transpose(%k) {perm=[0,2,1,3]}
              %s = matmul(%q0, %k0) {transpose_b=true}
              %s0 = mul(%s, %c)
              %s1 = add(%s0, %m)
              %p = softmax(%s1)
              %v0 = transpose(%v) {perm=[0,2,1,3]}
              %o = matmul(%p, %v0)
              %t = transpose(%o) {perm=[0,2,1,3]}
              return %t
            }
            return %t""",
        ),
    )


FORMS = {
    "plain": "%p = softmax(%s)",
    "divided": "%c = constant {value=8.0} : f32[]\n%s0 = div(%s, %c)\n%p = softmax(%s0)",
    "mask first": "%s0 = add(%m, %s)\n%p = softmax(%s0)",
    "mask as full as the scores": "%m0 = mul(%g, %g)\n%s0 = add(%m0, %s)\n%p = softmax(%s0)",
    "where": "%c = constant {value=-inf} : f32[]\n%s0 = where(%b, %c, %s)\n%p = softmax(%s0)",
    "negative axis": "%p = softmax(%s) {axis=-1}",
}
INPUTS = f"{QKV}, %b: bool[1,1,3,5], %g: f32[1,4,3,5]"


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    net = parse_graph(graph(INPUTS, f"{HEADS}{FORMS[form]}\n%o = matmul(%p, %v0)\nreturn %o"))
    (body,) = bodies(run_pass("fuse-attention", net).graph)
    assert body.count("matmul") == 2 and body.count("transpose") == 3 and "softmax" in body


REFUSED = {
    "probabilities are an output": "%p = softmax(%s)\n%o = matmul(%p, %v0)\nreturn %o, %p",
    "scores are an output": "%p = softmax(%s)\n%o = matmul(%p, %v0)\nreturn %o, %s",
    "scores have another reader": (
        "%p = softmax(%s)\n%o = matmul(%p, %v0)\n%z = relu(%s)\nreturn %o, %z"
    ),
    "another axis": "%p = softmax(%s) {axis=2}\n%o = matmul(%p, %v0)\nreturn %o",
    "something between": "%p = softmax(%s)\n%d = relu(%p)\n%o = matmul(%d, %v0)\nreturn %o",
    "not elementwise before": (
        "%r = reduce_sum(%s) {axes=[3], keepdims=true}\n%s0 = add(%s, %r)\n"
        "%p = softmax(%s0)\n%o = matmul(%p, %v0)\nreturn %o"
    ),
    "probabilities on the right": (
        "%p = softmax(%s)\n%w = transpose(%v0) {perm=[0,1,3,2]}\n"
        "%w0 = slice(%w) {axes=[3], starts=[0], ends=[3], steps=[1]}\n"
        "%o = matmul(%w0, %p)\nreturn %o"
    ),
    "no product in front": "%p = softmax(%g)\n%o = matmul(%p, %v0)\nreturn %o",
    "values have batches of their own": "%p = softmax(%s)\n%o = matmul(%p, %e)\nreturn %o",
    "product of scores": "%s0 = mul(%s, %s)\n%p = softmax(%s0)\n%o = matmul(%p, %v0)\nreturn %o",
}


@pytest.mark.parametrize("form", REFUSED)
def test_keeps(form):
    net = parse_graph(graph(f"{INPUTS}, %e: f32[7,4,5,2]", HEADS + REFUSED[form]))
    assert not run_pass("fuse-attention", net).modified


def test_operands_that_others_read_stay_too():
    text = f"{HEADS}%p = softmax(%s)\n%o = matmul(%p, %v0)\n%z = relu(%k0)\nreturn %o, %z"
    result = run_pass("fuse-attention", parse_graph(graph(QKV, text))).graph
    assert [n.op for n in result.nodes() if n.op not in ("input", "kernel")] == [
        "transpose",
        "relu",
    ]


def test_transposes_are_an_option():
    net = parse_graph(graph(QKV, f"{HEADS}%p = softmax(%s)\n%o = matmul(%p, %v0)\nreturn %o"))
    result = run_pass("fuse-attention{transposes=false}", net).graph
    assert bodies(result) == ["matmul+softmax+matmul"]


def test_two_in_one_graph():
    text = f"""{HEADS}%p = softmax(%s)
    %o = matmul(%p, %v0)
    %s2 = matmul(%o, %k0) {{transpose_b=true}}
    %p2 = softmax(%s2)
    %o2 = matmul(%p2, %v0)
    return %o2"""
    net = parse_graph(graph(QKV, text))
    assert len(bodies(run_pass("fuse-attention", net).graph)) == 2
