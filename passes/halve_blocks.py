"""Images whose last block of channels would be at least half empty, in blocks of half the size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..ir.conv_kind import is_dense, is_depthwise
from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.op import Pattern
from ..ir.ties import tied_together
from .base import Pass, PassResult
from .rebuild import add_copy
from .relayout import add_relaid, is_transform

WINDOWS = ("max_pool", "avg_pool", "resize", "reduce_mean", "reduce_max", "reduce_sum")
WORTH = 0.05  # of the time of the convolutions: less is not sure to be a gain


@dataclass(frozen=True)
class HalveBlocks(Pass):
    """conv : f32[1,24,9,9]@NCHW16c → conv : f32[1,24,9,9]@NCHW8c: no lanes of padding.

    A convolution of 24 features computes 32 in blocks of 16. A core that splits a full vector
    into two halves loses nothing by computing three vectors of half the lanes instead. A
    convolution over all channels reads its image in any blocks, so images are halved in groups:
    those that other kernels, residual sums among them, tie together.

    Attributes:
        block: Channels of a block that is worth half as much. Below 4 the graph is left alone.
    """

    name = "halve-blocks"
    block: int = 0

    def run(self, graph: Graph) -> PassResult:
        halved: set[Value] = set()
        if self.block >= 4:
            for group in _groups(graph, Layout.blocked(4, 1, self.block)):
                if group.gain(self.block) > WORTH:
                    halved.update(group.images)
        if not halved:
            return PassResult(graph, False)
        return PassResult(_relaid(graph, halved, Layout.blocked(4, 1, self.block // 2)), True)


@dataclass
class _Group:
    """Images that must stand in the same layout, and the convolutions that give them."""

    images: list[Value] = field(default_factory=list)
    possible: bool = True
    convs: list[Node] = field(default_factory=list)

    def add(self, node: Node) -> None:
        """Take in a node that ties some of its images."""
        body = _body(node)
        if body is None:
            self.possible = False
        elif not is_transform(node):
            self.possible &= all(_indifferent(each) for each in body.nodes())

    def gain(self, block: int) -> float:
        """The share of the time of the convolutions that would be saved."""
        total = sum(node.flops for node in self.convs)
        if not self.possible or not total:
            return 0.0
        return sum(_saved(node, block) for node in self.convs) / total


def _saved(conv: Node, block: int) -> float:
    """Multiply-adds with the lanes that are not computed any more."""
    channels = conv.output.shape[1]
    whole, halved = (-(-channels // size) * size for size in (block, block // 2))
    return conv.flops * (1 - halved / whole)


def _groups(graph: Graph, blocked: Layout) -> Iterable[_Group]:
    """The images that stand in `blocked`, in groups."""
    nodes = list(graph.nodes())
    images = [value for node in nodes for value in node.outputs if value.layout == blocked]
    tied = {node: [[v for v in vs if v.layout == blocked] for vs in _tied(node)] for node in nodes}
    together = tied_together(images, (values for sides in tied.values() for values in sides))
    groups: dict[Value, _Group] = {}
    for value in images:
        group = groups.setdefault(together[value], _Group())
        group.images.append(value)
        group.possible &= value not in graph.outputs
    for node, (read, others) in tied.items():
        for value in (*read[:1], *others[:1]):
            groups[together[value]].add(node)
        body = _body(node)
        if others and body is not None:
            groups[together[others[0]]].convs += [n for n in body.nodes() if n.op == "conv"]
    return groups.values()


def _body(node: Node) -> Graph | None:
    return node.attrs.body if node.op == "kernel" else None  # type: ignore[attr-defined, no-any-return]


def _tied(node: Node) -> tuple[list[Value], list[Value]]:
    """What a convolution over all channels reads, after a prologue perhaps; and all others.

    Each side wants one layout, but they may differ.
    """
    body = _body(node)
    if body is None:
        return [], [*node.inputs, *node.outputs]
    free = _read_by_channel(body)
    sides: tuple[list[Value], list[Value]] = ([], list(node.outputs))
    for value, inside in zip(node.inputs, body.inputs):
        sides[inside not in free].append(value)
    return sides


def _read_by_channel(body: Graph) -> set[Value]:
    """Values that come to nothing but a convolution over all channels, as what it reads."""
    found: set[Value] = set()
    for node in reversed(list(body.nodes())):
        for value in node.outputs:
            readers = body.users(value)
            if value not in body.outputs and all(
                (reader.op == "conv" and is_dense(reader) and index == 0)
                or found.issuperset(reader.outputs)
                for reader, index in readers
            ):
                found.add(value)
    return found


def _indifferent(node: Node) -> bool:
    """Whether a node works as well in blocks of any size."""
    if node.op in ("input", "constant", *WINDOWS) or node.pattern is Pattern.ELEMENTWISE:
        return True
    return node.op == "conv" and (is_dense(node) or is_depthwise(node))


def _relaid(graph: Graph, halved: set[Value], layout: Layout) -> Graph:
    """The graph with these images in another layout."""
    result = Graph(graph.name)
    image: dict[Value, Value] = {}
    for value, name in zip(graph.inputs, graph.input_names):
        image[value] = result.add_input(name, value.type)
        result.rename(image[value], value.name)
    for node in graph.nodes():
        if node.op == "input":
            continue
        if node.op != "kernel" or halved.isdisjoint((*node.inputs, *node.outputs)):
            add_copy(result, node, image)
            continue
        operands = [image[value] for value in node.inputs]
        given = [layout if value in halved else value.layout for value in node.outputs]
        add_relaid(result, node, operands, given, image)
    result.set_outputs([image[value] for value in graph.outputs], graph.output_names)
    return result
