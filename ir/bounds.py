"""What integer inputs may legally be: the largest index that no gather reads out of range."""

from __future__ import annotations

from .graph import Graph, Node, Value
from .op import Pattern

# Ops other than data movement whose result holds the values of their operand(s).
_CARRIERS = {"cast": (0,), "identity": (0,), "where": (1, 2), "clip": (0,)}


def max_ids(graph: Graph) -> dict[str, int]:
    """The largest legal value of every integer input that ends as an index, by input name.

    Followed are casts and data movement from the input to the index of a `gather` (token ids to
    embedding tables, for example), in a graph without kernels.
    """
    limits: dict[str, int] = {}
    for name, value in zip(graph.input_names, graph.inputs):
        if value.dtype.is_integer:
            limit = _limit(graph, value)
            if limit is not None:
                limits[name] = limit
    return limits


def _limit(graph: Graph, start: Value) -> int | None:
    """The smallest limit over all readers that what starts at a value reaches."""
    found: list[int] = []
    seen = {start}
    stack = [start]
    while stack:
        value = stack.pop()
        for node, index in graph.users(value):
            if node.op in ("gather", "gather_elements") and index == 1:
                axis = node.attrs.axis  # type: ignore[attr-defined]
                found.append(node.inputs[0].shape[axis] - 1)
            elif _carries(node, index):
                fresh = [output for output in node.outputs if output not in seen]
                seen.update(fresh)
                stack.extend(fresh)
    return max(0, min(found)) if found else None


def _carries(node: Node, index: int) -> bool:
    if node.op in _CARRIERS:
        return index in _CARRIERS[node.op] and not node.outputs[0].dtype.is_bool
    if node.op == "concat":
        return True
    return node.pattern in (Pattern.VIEW, Pattern.INJECTIVE) and index == 0
