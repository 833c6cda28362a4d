"""Which nodes of an ONNX graph are needed, in an order in which they can be imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx


def live_nodes(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]
) -> tuple[list[tuple[int, onnx.NodeProto]], set[str]]:
    """The nodes that `outputs` depend on, with their positions, producers first.

    ONNX demands that nodes are listed in that order; where they are not, they are sorted.

    Returns:
        (position, node) in order, and the names of all values that are read.

    Raises:
        ValueError: If nodes depend on each other in a circle, or two make one value.
    """
    maker: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if name and maker.setdefault(name, index) != index:
                raise ValueError(f"two nodes make the value {name!r}")
    reads = {}
    needed = set(outputs)
    stack = [maker[name] for name in outputs if name in maker]
    while stack:
        index = stack.pop()
        if index not in reads:
            reads[index] = list(dict.fromkeys(names_read(nodes[index])))
            needed.update(reads[index])
            stack.extend(maker[name] for name in reads[index] if name in maker)
    live = sorted(reads)
    if any(maker.get(name, -1) >= index for index in live for name in reads[index]):
        live = _sorted(live, reads, maker)
    return [(index, nodes[index]) for index in live], needed


def _sorted(live: list[int], reads: dict[int, list[str]], maker: dict[str, int]) -> list[int]:
    order: list[int] = []
    state: dict[int, int] = {}  # 1 entered, 2 done
    for root in live:
        stack = [root]
        while stack:
            index = stack[-1]
            if state.get(index) == 2:
                stack.pop()
                continue
            state[index] = 1
            waiting = [maker[n] for n in reads[index] if n in maker and state.get(maker[n]) != 2]
            if any(state.get(other) == 1 for other in waiting):
                raise ValueError("nodes of the model depend on each other in a circle")
            if waiting:
                stack.extend(reversed(waiting))
            else:
                state[index] = 2
                order.append(index)
                stack.pop()
    return order


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Names of all values that a node reads; of its subgraphs also those of inner values."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for inner in attribute.g.node:
                yield from names_read(inner)
            yield from (output.name for output in attribute.g.output)
