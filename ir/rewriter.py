"""How passes change graphs: patterns, refusals with reasons, and recorded replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .constant import Constant
from .graph import Graph, Node, Value


@dataclass(frozen=True)
class Refusal:
    """Why a rewrite that matched does not apply."""

    reason: str
    node: Node | None = None


class Rewriter:
    """Builds and replaces in a graph, and remembers whether anything changed.

    Attributes:
        graph: The graph that is changed.
        modified: Whether `replace` or `erase` has done anything.
        refusals: `(rewrite name, refusal)` of every pattern that was recognised and refused.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.modified = False
        self.refusals: list[tuple[str, Refusal]] = []
        self._origin = ""

    def op(self, op: str, *inputs: Value, **options: Any) -> Value:
        """A new node with one output; it takes the origin of the node being rewritten."""
        options.setdefault("origin", self._origin)
        return self.graph.op(op, *inputs, **options)

    def add(self, op: str, *inputs: Value, **options: Any) -> Node:
        options.setdefault("origin", self._origin)
        return self.graph.add(op, *inputs, **options)

    def constant(self, value: np.ndarray | Constant, name: str = "") -> Value:
        return self.graph.add_constant(value, name)

    def replace(self, old: Value, new: Value) -> None:
        """Every reader of `old` reads `new`, which inherits the name; dead nodes go.

        Raises:
            ValueError: If dtype or shape differ.
        """
        if old is new:
            return
        if old.type.strip() != new.type.strip():
            raise ValueError(f"%{old.name}: {old.type} cannot become {new.type}")
        self.graph.replace_uses(old, new)
        self.modified = True
        name, dead = old.name, old.node
        if all(not self.graph.n_uses(value) for value in dead.outputs):
            self.erase(dead)
            if not new.is_input and new.node.id > dead.id:
                self.graph.rename(new, name)

    def erase(self, node: Node) -> None:
        """Remove a node that nobody reads, and then what only it has read."""
        operands = node.inputs
        self.graph.remove(node)
        self.modified = True
        for value in operands:
            producer = value.node
            if producer not in self.graph or producer.op == "input":
                continue
            if all(not self.graph.n_uses(output) for output in producer.outputs):
                self.erase(producer)


class Rewrite:
    """One equation on graphs. The docstring states it, with `→`.

    `match` gives the parts of the pattern rooted at a node (a dict of values and nodes by name),
    None if the node is something else, or a Refusal when it is the pattern but may not be
    rewritten. `rewrite` builds the replacement of the root's (only) output.
    """

    name: ClassVar[str]
    roots: ClassVar[tuple[str, ...]]  # op names at which the pattern can end

    def match(self, graph: Graph, node: Node) -> dict[str, Any] | Refusal | None:
        raise NotImplementedError

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        raise NotImplementedError


def apply_rewrites(graph: Graph, rewrites: tuple[Rewrite, ...]) -> Rewriter:
    """Apply rewrites in place, over and over until none fires (at most 16 sweeps)."""
    rewriter = Rewriter(graph)
    for _ in range(16):
        rewriter.refusals.clear()
        if not _sweep(rewriter, rewrites):
            break
    return rewriter


def _sweep(rewriter: Rewriter, rewrites: tuple[Rewrite, ...]) -> bool:
    graph = rewriter.graph
    fired = False
    for node in graph.nodes():
        for rewrite in rewrites:
            if node not in graph or node.op not in rewrite.roots:
                continue
            parts = rewrite.match(graph, node)
            if isinstance(parts, Refusal):
                rewriter.refusals.append((rewrite.name, parts))
            elif parts is not None:
                rewriter._origin = node.origin
                rewriter.replace(node.output, rewrite.rewrite(rewriter, node, parts))
                fired = True
    return fired
