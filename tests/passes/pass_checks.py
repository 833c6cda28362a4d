"""What tests of passes share: IR text, seeded runs, and what every pass has to keep."""

from __future__ import annotations

import numpy as np
from tolerances import assert_close

from leip.ir import Graph, interpreter, parse_graph, print_graph, structurally_equal, verify
from leip.passes import PassManager, PassResult, parse_pipeline
from leip.passes.order_nodes import depth_first
from leip.passes.rebuild import rebuilt

SAME = "{strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"
POINT = "{strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}"
FUSE = ["fuse-conv", "fuse-matmul", "fuse-reductions", "fuse-elementwise", "wrap-kernels"]


def graph(inputs: str, body: str) -> str:
    """IR text from its parameters and its lines."""
    lines = "\n".join(f"  {line.strip()}" for line in body.strip().splitlines())
    return f'graph "main" ({inputs}) {{\n{lines}\n}}\n'


def weights(*shapes: str) -> str:
    """Lines of random constants `%w0`, `%w1`, …"""
    return "\n".join(
        f"%w{i} = constant {{value=random({i})}} : f32[{shape}]" for i, shape in enumerate(shapes)
    )


def fused(inputs: str, body: str) -> Graph:
    """The graph with every op in a kernel, as passes over layouts get it."""
    net = parse_graph(graph(inputs, body))
    for spec in FUSE:
        net = run_pass(spec, net).graph
    return net


def seeded_feeds(net: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Values for every input: standard normal floats, small non-negative integers."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for name, value in zip(net.input_names, net.inputs, strict=True):
        if value.dtype.is_float:
            array = rng.standard_normal(value.shape)
        else:
            array = rng.integers(0, 2, value.shape)
        feeds[name] = array.astype(value.dtype.numpy)
    return feeds


def assert_same_numbers(before: Graph, after: Graph) -> None:
    """Both graphs give the same outputs, by name, for seeded inputs."""
    feeds = seeded_feeds(before)
    expected = interpreter.run(before, feeds)
    actual = interpreter.run(after, feeds)
    assert list(actual) == list(expected)
    for name in expected:
        assert_close("conv", actual[name], expected[name])


def run_pass(spec: str, net: Graph) -> PassResult:
    """One pass, checked as at LEIP_VERIFY=2."""
    (step,) = parse_pipeline(spec)
    text = print_graph(net)
    manager = PassManager([step], verify_level=2)
    result = manager.run(net)
    (record,) = manager.records
    assert record.modified == (print_graph(result) != text)
    return PassResult(result, record.modified, record.refusals)


def same_graph(left: Graph, right: Graph) -> bool:
    """Structural equality, whatever the order of nodes that do not depend on each other."""
    return structurally_equal(rebuilt(left, depth_first(left)), rebuilt(right, depth_first(right)))


def check_kept(spec: str, source: Graph, result: Graph) -> None:
    """What holds for every pass: valid, same names and numbers, a fixed point."""
    verify(result)
    assert result.input_names == source.input_names
    assert result.output_names == source.output_names
    assert_same_numbers(source, result)
    again = run_pass(spec, result.copy())
    assert not again.modified, f"it fires again:\n{print_graph(again.graph)}"


def bodies(net: Graph) -> list[str]:
    """What each kernel computes, in order: `conv+add+relu`."""
    return [
        "+".join(n.op for n in node.attrs.body.nodes() if n.op not in ("input", "constant"))
        for node in net.nodes()
        if node.op == "kernel"
    ]
