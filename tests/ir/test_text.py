"""IR text: printing and parsing are inverses, and bad text is refused with a line number."""

import numpy as np
import pytest

from leip.errors import ModelError, ParseError
from leip.ir import DType, Graph, TensorType, parse_graph, print_graph, structurally_equal
from leip.ir.text import constants

NET = """graph "net" (%x: f32[1,3,8,8], %ids "ids:0": i64[2]) {
  %c = constant {value=[[1.5,-inf],[nan,0.1]]} : f32[2,2]
  %flag = constant {value=true} : bool[]
  %w = constant {value=fill(0.5)} : f32[4,3,3,3]
  %d = relu(%x) : f32[1,3,8,8]
  %y = conv(%d, %w) {strides=[1,1],pads=[1,1,1,1],dilations=[1,1]} : f32[1,4,8,8] from "C \\"0\\""
  %z = layout_transform(%y) {layout=NCHW16c} : f32[1,4,8,8]@NCHW16c
  %k = kernel(%z) {template="t", config="a=1"} body(%a: f32[1,4,8,8]@NCHW16c) {
    %r = relu(%a) : f32[1,4,8,8]@NCHW16c
    return %r
  } : f32[1,4,8,8]@NCHW16c
  %h = cast(%ids) {to=f32} : f32[2]
  return %k "out/1", %h, %c, %flag
}
"""


def test_round_trip():
    graph = parse_graph(NET)
    text = print_graph(graph)

    again = parse_graph(text, constants(graph))

    assert print_graph(again) == text
    assert structurally_equal(graph, again)
    assert again.output_names == ("out/1", "h", "c", "flag")
    assert again.input_names == ("x", "ids:0")


def test_large_constants_print_as_hash_and_need_the_pool():
    graph = parse_graph(NET)
    text = print_graph(graph)
    assert "value=#" in text

    with pytest.raises(ParseError, match="is not in the pool"):
        parse_graph(text)


def test_random_constants_are_seeded():
    text = "graph (%x: f32[1]) { %c = constant {value=random(3)} : f32[40] return %c }"
    first, second = (parse_graph(text).outputs[0].array for _ in range(2))
    assert np.array_equal(first, second)
    assert first.std() > 0.5


def test_structural_equality_ignores_names_and_origins_only():
    graph = parse_graph(NET)
    renamed = parse_graph(NET.replace("%y", "%other").replace(' from "C \\"0\\""', ""))
    changed = parse_graph(NET.replace("fill(0.5)", "fill(0.25)"))
    inside = parse_graph(NET.replace("%r = relu(%a)", "%r = tanh(%a)"))

    assert structurally_equal(graph, renamed)
    assert not structurally_equal(graph, changed)
    assert not structurally_equal(graph, inside)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("graph (%x: f32[1]) { return %y }", "%y is used before it is defined"),
        ("graph (%x: f33[1]) { return %x }", "unknown element type 'f33'"),
        (
            "graph (%x: f32[1]) {\n  %y = frobnicate(%x) : f32[1]\n return %y }",
            "line 2.*frobnicate",
        ),
        ("graph (%x: f32[1]) {\n\n %y = relu(%x) : f32[2]\n return %y }", "line 3.*relu gives"),
        ("graph (%x: f32[1]) { %y = cast(%x) {two=f32} return %y }", "cast has no attribute 'two'"),
        (
            "graph (%x: f32[1]) {\n %y = add(%x) return %y }",
            "line 2.*add C0: it does not take 1 operands",
        ),
        ("graph (%x: f32[1]) { return %x", "expected"),
        ("graph (%x: f32[1]) { return %x } more", "expected a end"),
        ("graph (%x: f32[1]@NCHW) { return %x }", "does not fit shape"),
        ("graph (%x: f32[1]) { § }", "unexpected character"),
        ("", "expected 'graph', found 'the end'"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises(ModelError, match=f"(?s){message}"):
        parse_graph(text)


def test_names_are_made_unique_and_printable():
    graph = Graph()
    x = graph.add_input("a/b:0", TensorType(DType.F32, (2,)))
    first = graph.op("relu", x, name="a/b:0")
    second = graph.op("relu", first, name="a/b:0")
    graph.set_outputs([second])

    assert len({x.name, first.name, second.name}) == 3
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)
