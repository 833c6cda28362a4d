"""fuse-separable: a depthwise convolution and the pointwise one that reads it as one kernel."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pass_checks import POINT, bodies, check_kept, fused, graph, run_pass, weights
from separable_nets import DEPTHWISE, RESIDUAL, TWO

from leip.ir import Graph
from leip.ir.graph import Node
from leip.passes import PassManager
from leip.passes.fuse_separable import FuseSeparable
from leip.search.layouts import all_blocked


def test_fires(check_pass):
    conv = "conv(%x, %w0) " + DEPTHWISE
    operands = "%x: f32[1,16,9,9], %w0: f32[16,1,3,3], %w1: f32[24,16,1,1]"
    before = graph(
        "%x: f32[1,16,9,9]",
        f"""{weights("16,1,3,3", "24,16,1,1")}
        %a = kernel(%x, %w0) body(%x: f32[1,16,9,9], %w: f32[16,1,3,3]) {{
          %y = conv(%x, %w) {DEPTHWISE} : f32[1,16,9,9]
          %z = relu(%y) : f32[1,16,9,9]
          return %z
        }}
        %c = kernel(%a, %w1) body(%x: f32[1,16,9,9], %w: f32[24,16,1,1]) {{
          %y = conv(%x, %w) {POINT} : f32[1,24,9,9]
          return %y
        }}
        return %c "y\"""",
    )
    after = graph(
        "%x: f32[1,16,9,9]",
        f"""{weights("16,1,3,3", "24,16,1,1")}
        %c = kernel(%x, %w0, %w1) body({operands}) {{
          %y = {conv} : f32[1,16,9,9]
          %a = relu(%y) : f32[1,16,9,9]
          %c = conv(%a, %w1) {POINT} : f32[1,24,9,9]
          return %c
        }}
        return %c "y\"""",
    )
    check_pass("fuse-separable", before, after=after)


def joined(net: Graph) -> Graph:
    result = run_pass("fuse-separable", net.copy()).graph
    check_kept("fuse-separable", net, result)
    return result


def test_layouts_stay():
    net = joined(all_blocked(fused("%x: f32[1,16,9,9]", TWO), 8))
    assert "conv+relu+conv+relu" in bodies(net)
    (kernel,) = [n for n in net.nodes() if n.op == "kernel" and len(n.inputs) > 1]
    assert str(kernel.output.layout) == "NCHW8c"


def test_residual_sums_and_chains():
    """A block of MobileNetV2: the sum reads the image in front of the expansion."""
    assert bodies(joined(fused("%x: f32[1,8,9,9]", RESIDUAL))) == ["conv", "conv+conv+add"]


KEPT = {
    "somebody else reads it": TWO.replace('return %d "y"', 'return %d "y", %b "z"'),
    "it is read twice": TWO.replace(
        "%d = relu(%c)",
        "%e = reduce_sum(%b) {axes=[1,2,3], keepdims=true}\n%d = add(%c, %e)",
    ),
    "groups, not depthwise": TWO.replace("16,1,3,3", "16,2,3,3").replace("groups=16", "groups=8"),
    "the second is none of 1 x 1": TWO.replace("24,16,1,1", "24,16,3,3"),
    "squeeze-and-excite between": TWO.replace(
        "%c = conv(%b",
        "%p = reduce_mean(%b) {axes=[2,3], keepdims=true}\n%m = mul(%b, %p)\n%c = conv(%m",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_keeps(name: str):
    net = fused("%x: f32[1,16,9,9]", KEPT[name])
    assert not run_pass("fuse-separable", net).modified, name


@dataclass(frozen=True)
class Times:
    """A model that says so much of kernels with two convs, and 10 of others."""

    both: int | None

    def as_it_is(self, kernel: Node) -> int | None:
        nodes = kernel.attrs.body.nodes()  # type: ignore[attr-defined]
        return self.both if sum(n.op == "conv" for n in nodes) == 2 else 10


@pytest.mark.parametrize(("both", "fires"), [(19, True), (20, True), (21, False), (None, False)])
def test_only_where_it_pays(both: int | None, fires: bool):
    net = fused("%x: f32[1,16,9,9]", TWO)
    result = PassManager([FuseSeparable(Times(both))], verify_level=2).run(net)
    assert bodies(result) == (["conv+relu+conv+relu"] if fires else ["conv+relu"] * 2)
