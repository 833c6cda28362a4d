"""The canonical form: one spelling for what can be said in several ways."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.ops import SliceAttrs, SplitAttrs
from ..ir.rewriter import Rewrite, Rewriter
from .base import PassResult, RewritePass
from .rules_arithmetic import arithmetic_rules
from .rules_movement import movement_rules
from .rules_reductions import reduction_rules
from .rules_views import view_rules
from .rules_windows import window_rules


@dataclass(frozen=True)
class Canonicalize(RewritePass):
    """Bring the graph into canonical form: split → slices, x/2 → x*0.5, no-ops gone, …

    The equations stand in the docstrings of `rules_arithmetic.py`, `rules_movement.py`,
    `rules_views.py`, `rules_windows.py` and `rules_reductions.py`.

    Attributes:
        exact: Leave out what may change a result in its last bits (level 1 does).
    """

    name = "canonicalize"
    exact: bool = False

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (
            *arithmetic_rules(self.exact),
            *movement_rules(),
            *view_rules(),
            *window_rules(self.exact),
            *reduction_rules(self.exact),
        )

    def run(self, graph: Graph) -> PassResult:
        split = split_to_slices(graph)
        result = super().run(graph)
        return PassResult(graph, split or result.modified, result.refusals)


def split_to_slices(graph: Graph) -> bool:
    """split{sizes}(x) → one slice(x) per piece. Gives whether there was any."""
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        if node.op == "split":
            _slice_pieces(rewriter, node)
    return rewriter.modified


def _slice_pieces(rewriter: Rewriter, node: Node) -> None:
    attrs: SplitAttrs = node.attrs  # type: ignore[assignment]
    axis = attrs.axis % node.inputs[0].rank
    ends = list(itertools.accumulate(attrs.sizes))
    for piece, size, end in zip(node.outputs, attrs.sizes, ends):
        if not rewriter.graph.n_uses(piece):
            continue
        taken = SliceAttrs((axis,), (end - size,), (end,), (1,))
        rewriter.replace(
            piece, rewriter.op("slice", node.inputs[0], attrs=taken, origin=node.origin)
        )
    if node in rewriter.graph:
        rewriter.erase(node)
