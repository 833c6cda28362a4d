"""The softmax of an attention kernel: rows of products become exponentials where they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .. import vector_code as code
from ..compute import compute_of
from ..context import Context
from ..flat_index import unravel
from ..view import Expr, View, const, opaque, scope
from .attention_parts import Attention
from .tiles import rounds

__all__ = ["Row", "Softmax", "view_of"]


def view_of(node: Any, views: Mapping[Any, View], context: Context) -> View:
    """What a node computes from the views of its operands."""
    types = tuple(value.type for value in node.outputs)
    operands = [views[value] for value in node.inputs]
    result: Any = compute_of(node.op)(node.attrs, operands, types, context)
    view: View = result if isinstance(result, View) else result[0]
    return view


@dataclass(frozen=True)
class Row:
    """Where a row of scores belongs: row `first + i` of batch `n`, keys from `base` on.

    `i` is its place in the strip.
    """

    n: Expr
    first: Expr
    i: Expr
    base: Expr


class Softmax:
    """Makes the statements of the softmax.

    Attributes:
        top: Maximum of each row so far.
        total: Its sum of exponentials so far.
        factor: What earlier sums are to be scaled by.
    """

    def __init__(
        self,
        parts: Attention,
        views: Mapping[Any, View],
        context: Context,
        memory: Any,
        place: Callable[[Expr, Expr], Expr],
        held: int,
    ) -> None:
        """`place(i, j)` is where in `memory` row i of a strip has key j; `held` rows are kept."""
        self.p, self.views, self.context = parts, views, context
        self.memory, self.place = memory, place
        self.lanes = parts.machine.lanes
        self.every = code.ramp(0, self.lanes)
        self.top = code.scratch((held,), "top")
        self.total = code.scratch((held,), "total")
        self.factor = code.scratch((held,), "factor")

    def exponentials(self, row: Row, keys: int, held: Expr | None = None) -> Any:
        """scores[i] = exp(score - maximum); their sum to total, the maximum to top.

        `held` is where top and total of the row are kept from one block of keys to the next; None
        if there is one block.
        """
        lanes, every = self.lanes, self.every
        whole, rest = divmod(keys, lanes)
        most, part = code.scratch((lanes,), "most"), code.scratch((lanes,), "part")
        *tops, highest = code.fold(code.load(most, every), lanes, lambda a, b: tirx.max(a, b))
        *adds, total = code.fold(code.load(part, every), lanes, lambda a, b: a + b)
        top, moves, sums = self._moved(highest, total, row.i, held)
        body = code.seq(
            code.store(most, code.lowest(lanes), every),
            code.loop(whole, lambda v: self._masked(row, v, most), "v"),
            *(self._masked_last(row, whole * lanes, rest, most) if rest else []),
            *tops,
            *moves,
            code.store(part, code.wide(const(0, "float32"), lanes), every),
            code.loop(rounds(keys, lanes), lambda v: self._raised(row, v, top, part), "v"),
            *adds,
            *sums,
        )
        return code.with_scratch([most, part], body)

    # --- scores ------------------------------------------------------------------------------

    def _score(self, row: Row, j: Expr) -> Expr:
        """A score with scale and mask, from the product of the row and key `base + j`."""
        views = dict(self.views)
        product = self.p.scores.output
        views[product] = View(
            product.shape,
            "float32",
            lambda *_: code.load(self.memory, self.place(row.i, j)),
            cheap=True,
        )
        for node in self.p.between:
            views[node.output] = view_of(node, views, self.context).memoised()
        batch = unravel(row.n, self.p.batch)
        at = (*batch, row.first + row.i, row.base + j)
        return scope(lambda: views[self.p.softmax.inputs[0]](*at))

    def _store_score(self, row: Row, j: Expr) -> Any:
        return code.store(self.memory, self._score(row, j), self.place(row.i, j))

    def _masked_by_keys(self) -> bool:
        """Whether scores are changed by what has an element a key, and none beyond the last."""
        made = {self.p.scores.output, *(node.output for node in self.p.between)}
        read = {value for node in self.p.between for value in node.inputs} - made
        return any(value.rank > 0 and value.shape[-1] > 1 for value in read)

    # --- the maximum -------------------------------------------------------------------------

    def _masked(self, row: Row, v: Expr, most: Any) -> Any:
        """The scores of a vector of keys."""
        scores = code.vector_loop(self.lanes, lambda x: self._store_score(row, v * self.lanes + x))
        return code.seq(scores, self._raise_maximum(row, v * self.lanes, most))

    def _masked_last(self, row: Row, start: int, rest: int, most: Any) -> list[Any]:
        """The scores of the last `rest` keys, -inf behind them."""
        low = tirx.const(float("-inf"), "float32")

        def lane(x: Expr) -> Any:
            inside = tirx.Select(x < rest, self._score(row, start + x), low)
            return code.store(self.memory, inside, self.place(row.i, start + x))

        def beyond(x: int) -> Any:
            return code.store(self.memory, low, self.place(row.i, start + x))

        if self._masked_by_keys():
            scores = [
                code.loop(rest, lambda x: self._store_score(row, start + x), "x"),
                *(beyond(x) for x in range(rest, self.lanes)),
            ]
        else:
            scores = [code.vector_loop(self.lanes, lane)]
        return [*scores, self._raise_maximum(row, start, most)]

    def _raise_maximum(self, row: Row, start: Expr, most: Any) -> Any:
        """most = max(most, a vector of scores), by lanes."""
        at = code.ramp(self.place(row.i, start), self.lanes)
        higher = tirx.max(code.load(most, self.every), code.load(self.memory, at))
        return code.store(most, higher, self.every)

    # --- the sum -----------------------------------------------------------------------------

    def _raised(self, row: Row, v: Expr, top: Expr, part: Any) -> Any:
        """exp(score - top) of a vector of keys, added to `part`."""

        def lane(x: Expr) -> Any:
            place = self.place(row.i, v * self.lanes + x)
            score = code.load(self.memory, place)
            return code.store(
                self.memory, scope(lambda: self.context.math.exp_down(score - top)), place
            )

        at = code.ramp(self.place(row.i, v * self.lanes), self.lanes)
        more = code.load(part, self.every) + code.load(self.memory, at)
        return code.seq(code.vector_loop(self.lanes, lane), code.store(part, more, self.every))

    def _moved(
        self, highest: Expr, total: Expr, i: Expr, held: Expr | None
    ) -> tuple[Any, list[Any], list[Any]]:
        """What is subtracted from scores, and how maxima and sums are kept before and after."""
        low = tirx.const(float("-inf"), "float32")
        top, shift = tirx.Var("top", "float32"), tirx.Var("shift", "float32")
        if held is None:
            # A row of -inf has the sum NaN, as softmax says: -inf - -inf.
            return top, [tirx.Bind(top, opaque(highest))], [code.store(self.total, total, i)]
        before = tirx.Var("before", "float32")
        # Nothing is subtracted as long as all is masked: the sum is 0 then, and 0 / 0 at the end.
        moves = [
            tirx.Bind(before, code.load(self.top, held)),
            tirx.Bind(top, opaque(tirx.max(before, highest))),
            tirx.Bind(shift, opaque(tirx.Select(tirx.EQ(top, low), const(0, "float32"), top))),
            code.store(self.top, top, held),
            code.store(
                self.factor, scope(lambda: self.context.math.exp_down(before - shift)), held
            ),
        ]
        grown = code.load(self.total, held) * code.load(self.factor, held) + total
        return shift, moves, [code.store(self.total, grown, held)]
