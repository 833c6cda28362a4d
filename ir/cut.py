"""Minimum cuts: the exact answer to a choice between two for many things at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import networkx as nx

SOURCE = "source"
SINK = "sink"

Arc = tuple[Hashable, Hashable, int | None]


def minimum_cut(arcs: Iterable[Arc]) -> set[Hashable]:
    """The nodes on the source's side of the cheapest cut between `SOURCE` and `SINK`.

    Of several cheapest cuts it is the one with the most nodes on the source's side, so the answer
    does not depend on how it was found.

    Args:
        arcs: `(tail, head, capacity)`; None is an arc that may not be cut. Parallel arcs add up.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from([SOURCE, SINK])
    for tail, head, capacity in arcs:
        if capacity is None:
            graph.add_edge(tail, head)  # networkx: without a capacity it is infinite
        elif graph.has_edge(tail, head):
            if "capacity" in graph[tail][head]:
                graph[tail][head]["capacity"] += capacity
        else:
            graph.add_edge(tail, head, capacity=capacity)
    _, (near, _) = nx.minimum_cut(graph, SOURCE, SINK)
    return set(near)
