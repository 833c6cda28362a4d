"""order-nodes: depth first."""

from __future__ import annotations

from pass_checks import assert_same_numbers, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[4]"
BROAD = """%a = relu(%x)
%b = neg(%x)
%c = exp(%a)
%d = abs(%b)
%y = add(%c, %d)
return %y"""


def test_fires():
    source = parse_graph(graph(X, BROAD))
    result = run_pass("order-nodes", source.copy())
    assert result.modified
    assert [node.op for node in result.graph.nodes()][1:] == ["relu", "exp", "neg", "abs", "add"]
    assert_same_numbers(source, result.graph)
    assert not run_pass("order-nodes", result.graph).modified


def test_keeps(check_pass):
    text = graph(X, "%a = relu(%x)\n%c = exp(%a)\n%b = neg(%x)\n%y = add(%c, %b)\nreturn %y")
    check_pass("order-nodes", text, unchanged="")


def test_dead_nodes_and_several_outputs_survive():
    source = parse_graph(graph(X, BROAD.replace("return %y", "%z = tanh(%b)\nreturn %y, %c")))
    result = run_pass("order-nodes", source.copy()).graph
    assert len(result) == len(source)
    assert result.output_names == ("y", "c")
