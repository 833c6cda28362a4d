"""Graphs: order, users, changes; the verifier; rewriting."""

import dataclasses

import networkx as nx
import numpy as np
import pytest

from leip.errors import ConstraintError, VerifyError
from leip.ir import (
    DType,
    Graph,
    Layout,
    Refusal,
    Rewrite,
    Rewriter,
    TensorType,
    apply_rewrites,
    parse_graph,
    print_graph,
    verify,
)
from leip.ir.interpreter import run

VECTOR = TensorType(DType.F32, (4,))


def diamond():
    graph = Graph("diamond")
    x = graph.add_input("x", VECTOR)
    a = graph.op("relu", x)
    b = graph.op("neg", x)
    y = graph.op("add", a, b)
    graph.set_outputs([y], ["y"])
    return graph, x, a, b, y


def test_order_is_topological_and_stable():
    graph, *_ = diamond()
    assert [node.op for node in graph.nodes()] == ["input", "relu", "neg", "add"]
    assert nx.is_directed_acyclic_graph(graph.nx)


def test_users_and_uses():
    graph, x, a, _, y = diamond()
    assert [use.node.op for use in graph.users(x)] == ["relu", "neg"]
    assert graph.n_uses(a) == 1
    assert graph.n_uses(y) == 1 and graph.is_output(y)


def test_same_operand_twice():
    graph = Graph()
    x = graph.add_input("x", VECTOR)
    y = graph.op("mul", x, x)
    graph.set_outputs([y])
    assert [(use.node.op, use.index) for use in graph.users(x)] == [("mul", 0), ("mul", 1)]
    verify(graph)


def test_replace_remove_prune():
    graph, x, a, b, _ = diamond()
    graph.replace_uses(a, x)
    assert graph.n_uses(a) == 0
    graph.remove(a.node)
    verify(graph)
    with pytest.raises(ValueError, match="still has users"):
        graph.remove(b.node)
    graph.set_outputs([x], ["y"])
    assert graph.prune() == 2
    assert len(graph) == 1


def test_copy_shares_nothing_but_constants():
    graph, *_ = diamond()
    twin, values = graph.copy_with()
    assert print_graph(twin) == print_graph(graph)
    assert all(value in values for value in graph.outputs)
    twin.set_outputs([twin.inputs[0]])
    assert graph.outputs[0].node.op == "add"


def test_a_cycle_is_found():
    graph, _, a, _, y = diamond()
    graph.set_operand(a.node, 0, y)
    with pytest.raises(VerifyError, match="has a cycle"):
        verify(graph)


def test_verifier_names_the_node():
    graph, _, a, _, _ = diamond()
    a.type = TensorType(DType.F32, (5,))
    with pytest.raises(VerifyError, match="%v = relu"):
        verify(graph)


def test_verifier_checks_region_layouts():
    graph = parse_graph("""graph (%x: f32[1,3,8,8]) {
      %k = kernel(%x) body(%a: f32[1,3,8,8]) { %r = relu(%a) return %r }
      return %k }""")
    verify(graph)
    other = TensorType(DType.F32, (1, 3, 8, 8), Layout.parse("NCHW16c"))
    graph.outputs[0].node.attrs.body.inputs[0].type = other
    with pytest.raises(VerifyError, match="outside and"):
        verify(graph)


def test_values_of_another_graph_are_refused():
    graph, *_ = diamond()
    other = Graph()
    with pytest.raises(ValueError, match="is not a value of graph"):
        other.op("relu", graph.inputs[0])


def test_constraint_errors_name_the_origin():
    graph = Graph()
    x = graph.add_input("x", VECTOR)
    z = graph.add_input("z", TensorType(DType.F32, (3,)))
    with pytest.raises(ConstraintError, match="node 'Add_7'"):
        graph.op("add", x, z, origin="Add_7")


def test_elementwise_ops_pass_on_a_common_layout():
    graph = Graph()
    blocked = TensorType(DType.F32, (1, 24, 3, 3), Layout.parse("NCHW16c"))
    x = graph.add_input("x", blocked)
    bias = graph.add_constant(np.zeros((24, 1, 1), np.float32))
    assert graph.op("add", x, bias).type == blocked
    plain = graph.add_input("p", blocked.strip())
    assert graph.op("add", x, plain).layout is None


class DropDoubleNeg(Rewrite):
    """neg(neg(x)) → x"""

    name = "drop-double-neg"
    roots = ("neg",)

    def match(self, graph, node):
        inner = node.inputs[0].node
        if inner.op != "neg":
            return None
        if graph.n_uses(inner.output) != 1:
            return Refusal("the inner neg has other users", inner)
        return {"x": inner.inputs[0]}

    def rewrite(self, rewriter, node, parts):
        return parts["x"]


def test_rewrites_fire_until_nothing_changes():
    graph = Graph()
    x = graph.add_input("x", VECTOR)
    y = x
    for _ in range(6):
        y = graph.op("neg", y)
    graph.set_outputs([graph.op("relu", y)], ["y"])

    rewriter = apply_rewrites(graph, (DropDoubleNeg(),))

    assert rewriter.modified
    assert [node.op for node in graph.nodes()] == ["input", "relu"]
    verify(graph)


def test_a_refusal_carries_its_reason():
    graph = Graph()
    x = graph.add_input("x", VECTOR)
    inner = graph.op("neg", x)
    graph.set_outputs([graph.op("neg", inner), inner])

    rewriter = apply_rewrites(graph, (DropDoubleNeg(),))

    assert not rewriter.modified
    assert [refusal.reason for _, refusal in rewriter.refusals] == ["the inner neg has other users"]


def test_replacement_of_another_type_is_refused():
    graph, x, *_ = diamond()
    scalar = graph.add_constant(np.float32(1))
    with pytest.raises(ValueError, match="cannot become"):
        Rewriter(graph).replace(x, scalar)


def test_interpreter_runs_regions():
    graph = parse_graph("""graph (%x: f32[3]) {
      %k = kernel(%x) body(%a: f32[3]) { %n = neg(%a) %r = relu(%n) return %r }
      return %k "y" }""")
    result = run(graph, {"x": np.array([-1, 0, 2], np.float32)})
    assert result["y"].tolist() == [1, 0, 0]


def test_attrs_are_frozen():
    graph = parse_graph("graph (%x: f32[3]) { %y = cast(%x) {to=i32} return %y }")
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.outputs[0].node.attrs.to = DType.F32
