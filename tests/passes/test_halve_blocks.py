"""halve-blocks: images of 24 channels in three blocks of 8 instead of two of 16."""

from __future__ import annotations

import pytest
from pass_checks import POINT, SAME, check_kept, fused, graph, run_pass, weights

from leip.ir import Graph
from leip.search.layouts import all_blocked


def laid_out(inputs: str, body: str, block: int = 8) -> Graph:
    """The graph in blocked layouts, as the pass gets it."""
    return all_blocked(fused(inputs, body), block)


def halved(net: Graph, block: int = 8) -> dict[str, str]:
    """The layouts of the images after the pass, by name; what every pass keeps is checked."""
    spec = f"halve-blocks{{block={block}}}"
    result = run_pass(spec, net.copy()).graph
    check_kept(spec, net, result)
    return {
        value.name: str(value.layout)
        for node in result.nodes()
        for value in node.outputs
        if value.layout is not None
    }


def test_fires(check_pass):
    inner = "%x: f32[1,16,9,9]@NCHW8c"
    conv = f"%y = conv(%x, %w) {POINT}"
    source = """%w = constant {{value=random(1)}} : f32[12,16,1,1]
        %x.b = kernel(%x) body(%x: f32[1,16,9,9]) {{
          %y = layout_transform(%x) {{layout=NCHW8c}} : f32[1,16,9,9]@NCHW8c
          return %y
        }}
        %y = kernel(%x.b, %w) body({inner}, %w: f32[12,16,1,1]) {{
          {conv} : f32[1,12,9,9]@{layout}
          return %y
        }}
        %y.plain = kernel(%y) body(%x: f32[1,12,9,9]@{layout}) {{
          %y = layout_transform(%x) : f32[1,12,9,9]
          return %y
        }}
        return %y.plain "y\""""
    before, after = (
        graph("%x: f32[1,16,9,9]", source.format(inner=inner, conv=conv, layout=layout))
        for layout in ("NCHW8c", "NCHW4c")
    )
    check_pass("halve-blocks{block=8}", before, after=after)


def test_residual_sums_and_depthwise_ties():
    net = laid_out(
        "%x: f32[1,16,9,9]",
        f"""{weights("12,16,3,3", "48,12,1,1", "48,1,3,3", "12,48,1,1", "16,12,3,3")}
        %a = conv(%x, %w0) {SAME}
        %b = conv(%a, %w1) {POINT}
        %c = conv(%b, %w2) {{strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=48}}
        %d = conv(%c, %w3) {POINT}
        %e = add(%d, %a)
        %f = conv(%e, %w4) {SAME}
        return %f""",
    )
    layouts = halved(net)
    assert {layouts[name] for name in ("a", "e")} == {"NCHW4c"}
    assert {layouts[name] for name in ("b", "c", "f")} == {"NCHW8c"}


def test_what_is_read_after_a_prologue_keeps_its_layout():
    """The scale of squeeze-and-excite in front of the projection does not tie the two images."""
    net = laid_out(
        "%x: f32[1,16,9,9]",
        f"""{weights("48,16,3,3", "12,48,1,1", "16,12,3,3")}
        %a = conv(%x, %w0) {SAME}
        %p = reduce_mean(%a) {{axes=[2,3], keepdims=true}}
        %s = sigmoid(%p)
        %b = mul(%a, %s)
        %c = conv(%b, %w1) {POINT}
        %d = conv(%c, %w2) {SAME}
        return %d""",
    )
    layouts = halved(net)
    assert (layouts["a"], layouts["c"]) == ("NCHW8c", "NCHW4c")


@pytest.mark.parametrize(
    ("name", "body"),
    {
        "channels fill the blocks": f"{weights('32,16,3,3')}\n%y = conv(%x, %w0) {SAME}",
        "too little is won": f"{weights('92,16,3,3')}\n%y = conv(%x, %w0) {SAME}",
        "concats are addresses of whole blocks": f"""{weights("12,16,3,3", "12,16,3,3")}
            %a = conv(%x, %w0) {SAME}
            %b = conv(%x, %w1) {SAME}
            %y = concat(%a, %b) {{axis=1}}""",
        "groups": f"""{weights("12,16,3,3", "12,4,3,3")}
            %a = conv(%x, %w0) {SAME}
            %y = conv(%a, %w1) {{strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=3}}""",
    }.items(),
)
def test_keeps(name: str, body: str):
    net = laid_out("%x: f32[1,16,9,9]", f"{body}\nreturn %y")
    assert not run_pass("halve-blocks{block=8}", net).modified, name


@pytest.mark.parametrize("block", [0, 1, 2])
def test_no_blocks_to_halve(block: int):
    net = laid_out(
        "%x: f32[1,16,9,9]", f"{weights('12,16,3,3')}\n%y = conv(%x, %w0) {SAME}\nreturn %y"
    )
    assert not run_pass(f"halve-blocks{{block={block}}}", net).modified
