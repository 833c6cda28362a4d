"""split-separable: what fuse-separable joined becomes two kernels again."""

from __future__ import annotations

import pytest
from pass_checks import POINT, bodies, fused, graph, run_pass, weights
from separable_nets import DEPTHWISE, RESIDUAL, TWO

from leip.ir.graph import Graph
from leip.ir.parse import parse_graph
from leip.ir.text import print_graph
from leip.search.layouts import all_blocked


def test_fires(check_pass):
    operands = "%x: f32[1,16,9,9], %w0: f32[16,1,3,3], %w1: f32[24,16,1,1]"
    before = graph(
        "%x: f32[1,16,9,9]",
        f"""{weights("16,1,3,3", "24,16,1,1")}
        %c = kernel(%x, %w0, %w1) body({operands}) {{
          %y = conv(%x, %w0) {DEPTHWISE} : f32[1,16,9,9]
          %a = relu(%y) : f32[1,16,9,9]
          %c = conv(%a, %w1) {POINT} : f32[1,24,9,9]
          %d = relu(%c) : f32[1,24,9,9]
          return %d
        }}
        return %c "y\"""",
    )
    after = graph(
        "%x: f32[1,16,9,9]",
        f"""{weights("16,1,3,3", "24,16,1,1")}
        %a = kernel(%x, %w0) body(%x: f32[1,16,9,9], %w0: f32[16,1,3,3]) {{
          %y = conv(%x, %w0) {DEPTHWISE} : f32[1,16,9,9]
          %a = relu(%y) : f32[1,16,9,9]
          return %a
        }}
        %c = kernel(%a, %w1) body(%a: f32[1,16,9,9], %w1: f32[24,16,1,1]) {{
          %c = conv(%a, %w1) {POINT} : f32[1,24,9,9]
          %d = relu(%c) : f32[1,24,9,9]
          return %d
        }}
        return %c "y\"""",
    )
    check_pass("split-separable", before, after=after)


def layouts(net: Graph) -> dict[str, str]:
    return {v.name: str(v.layout) for n in net.nodes() if n.op == "kernel" for v in n.outputs}


@pytest.mark.parametrize(("image", "body"), [("1,16,9,9", TWO), ("1,8,9,9", RESIDUAL)])
def test_undoes_what_was_joined(image: str, body: str) -> None:
    """Joined again it is what it was, names and layouts too; and in between two kernels."""
    net = all_blocked(fused(f"%x: f32[{image}]", body), 8)
    joined = run_pass("fuse-separable", net.copy()).graph
    apart = run_pass("split-separable", joined.copy()).graph
    assert bodies(apart) == bodies(net) != bodies(joined)
    assert layouts(apart) == layouts(net)
    assert print_graph(run_pass("fuse-separable", apart).graph) == print_graph(joined)


KEPT = {
    "two kernels": TWO,
    "one convolution": f"""{weights("16,1,3,3")}
        %a = conv(%x, %w0) {DEPTHWISE}
        %b = relu(%a)
        return %b""",
}


def test_the_value_between_may_be_called_as_new_ones_are() -> None:
    """Choices of layouts go by names."""
    net = all_blocked(fused("%x: f32[1,16,9,9]", TWO.replace("%b", "%v_1")), 8)
    (name,) = {v.name for n in net.nodes() for v in n.outputs} & {"v_1"}
    joined = run_pass("fuse-separable", net.copy()).graph
    apart = run_pass("split-separable", joined).graph
    assert layouts(apart) == layouts(net) and name in layouts(apart)


def test_keeps_two_that_read_the_same() -> None:
    text = f"""{weights("16,1,3,3", "16,16,1,1")}
    %c = kernel(%x, %w0, %w1) body(%x: f32[1,16,9,9], %w0: f32[16,1,3,3], %w1: f32[16,16,1,1]) {{
      %a = conv(%x, %w0) {DEPTHWISE} : f32[1,16,9,9]
      %b = conv(%x, %w1) {POINT} : f32[1,16,9,9]
      %c = add(%a, %b) : f32[1,16,9,9]
      return %c
    }}
    return %c "y\""""
    net = parse_graph(graph("%x: f32[1,16,9,9]", text))
    assert not run_pass("split-separable", net).modified


@pytest.mark.parametrize("name", KEPT)
def test_keeps(name: str):
    net = fused("%x: f32[1,16,9,9]", KEPT[name])
    assert not run_pass("split-separable", net).modified, name
