"""The code of an attention kernel, written out in vectors (see `attention`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .. import vector_code as code
from ..context import Context
from ..flat_index import unravel
from ..lower import immediate
from ..view import Expr, View, const
from .attention_parts import Attention
from .attention_softmax import Row, Softmax, view_of
from .batch_matmul import batch_index
from .tiles import rounds

__all__ = ["Tiling", "write"]

UNROLLED = 4  # steps of a reduction


@dataclass(frozen=True)
class Tiling:
    """How the work is cut; see `attention.Config`. `block` is 0 for all keys at once."""

    rows: int
    key_vectors: int
    value_vectors: int
    block: int
    strips: int
    bands: int
    threads: bool


@dataclass(frozen=True)
class Panel:
    """Panels of equal width that stand one behind the other.

    Attributes:
        count: How many.
        vectors: Width of each, in vectors.
        first: First vector of the first.
    """

    count: int
    vectors: int
    first: int


def panels(vectors: int, most: int) -> list[Panel]:
    """`vectors` cut into panels of at most `most`, as evenly as they can be, wide ones first."""
    count = rounds(vectors, most)
    small, wide = divmod(vectors, count)
    cut = [Panel(wide, small + 1, 0), Panel(count - wide, small, wide * (small + 1))]
    return [panel for panel in cut if panel.count]


def write(parts: Attention, tiling: Tiling) -> Any:
    """The PrimFunc of a task."""
    return _Writer(parts, tiling).function()


class _Writer:
    """Makes the statements of one kernel; methods are parts of it, from the outside in."""

    def __init__(self, parts: Attention, tiling: Tiling) -> None:
        self.p, self.t = parts, tiling
        self.lanes = parts.machine.lanes
        # Columns of v: narrow rows take narrow vectors, the last vector overlaps the one before.
        self.columns = self.lanes
        while self.columns > parts.width:
            self.columns //= 2
        self.block = tiling.block or parts.keys
        self.blocks, self.rest = divmod(parts.keys, self.block)
        self.one_block = not tiling.block
        self.key_vectors = rounds(self.block, self.lanes)
        self.value_vectors = rounds(parts.width, self.columns)
        self.strips = rounds(parts.rows, tiling.rows)
        body = parts.task.body
        self.inputs = [_buffer(value, f"x{i}") for i, value in enumerate(body.inputs)]
        self.output = _buffer(body.outputs[0], "y")
        self.context = Context(parts.task.level)
        self.views = self._views()
        self._scratch()

    def _views(self) -> dict[Any, View]:
        """Views of everything outside of the products."""
        views: dict[Any, View] = {}
        for value, buffer in zip(self.p.task.body.inputs, self.inputs, strict=True):
            views[value] = View(
                value.shape, value.dtype.tvm, lambda *at, b=buffer: code.load(b, *at), cheap=True
            )
        for node in self.p.task.body.nodes():
            if node.op == "constant":
                views[node.output] = immediate(node)
            elif node in self.p.moves:
                views[node.output] = view_of(node, views, self.context)
        return views

    def _scratch(self) -> None:
        p, t = self.p, self.t
        # One buffer, from the runtime if it is not tiny: a small one of its own would be on the
        # stack, where TVM aligns floats to 16 bytes, and every vector would cross a line.
        whole = self.blocks * self.key_vectors + rounds(self.rest, self.lanes)
        self.values = whole * self.lanes * p.depth  # where packed v begins, behind packed k
        packed = self.values + p.keys * self.value_vectors * self.columns
        # Rows of q an odd number of lines apart, so that no set of the cache gets many of them.
        self.query_stride = (rounds(p.depth, self.lanes) | 1) * self.lanes
        self.first_query = rounds(packed, self.lanes) * self.lanes
        self.first_score = self.first_query + t.rows * self.query_stride
        size = self.first_score + t.rows * self.key_vectors * self.lanes
        self.memory = code.scratch((size,), "memory")
        held = t.rows * t.strips
        self.softmax = Softmax(p, self.views, self.context, self.memory, self._place, held)
        self.sums = code.scratch((held, self.value_vectors * self.columns), "sums")

    # --- the outer loops ---------------------------------------------------------------------

    def function(self) -> Any:
        tasks = self.p.batches * self.t.bands
        loops = code.shared_loop(tasks, self._task, self.t.threads, "task")
        return code.prim_func([*self.inputs, self.output], loops)

    def _task(self, task: Expr) -> Any:
        bands = self.t.bands
        n, band = (
            (tirx.floordiv(task, bands), tirx.floormod(task, bands)) if bands > 1 else (task, 0)
        )
        each = rounds(self.strips, bands)
        buffers = [self.memory, self.softmax.total]
        strips: Any
        if self.one_block:
            strips = code.loop(each, lambda s: self._alone(n, band * each + s), "strip")
        else:
            buffers += [self.softmax.top, self.softmax.factor, self.sums]
            count = self.t.strips
            groups = rounds(each, count)
            strips = code.loop(
                groups, lambda g: self._group(n, band * each + g * count, count), "group"
            )
        return code.with_scratch(
            buffers, code.seq(self._pack_keys(n), self._pack_values(n), strips)
        )

    def _first_row(self, strip: Expr) -> Expr:
        """The strip's first row; the last strips overlap the ones before them."""
        start, last = strip * self.t.rows, self.p.rows - self.t.rows
        return tirx.min(start, last) if self.strips > 1 else _number(0)

    def _alone(self, n: Expr, strip: Expr) -> Any:
        """A strip with all keys at once."""
        row = self._first_row(strip)
        return code.seq(
            *self._scores(n, row, _number(0), self.block),
            code.loop(
                self.t.rows, lambda i: self.softmax.exponentials(Row(n, row, i, 0), self.block), "i"
            ),
            *self._weighted(_number(0), self.block, self._finished(n, row)),
        )

    def _group(self, n: Expr, first: Expr, count: int) -> Any:
        """A group of strips with one block of keys after the other."""

        def clear(i: Expr) -> Any:
            wide = self.value_vectors
            nothing = code.wide(const(0, "float32"), self.columns)
            return code.seq(
                code.store(self.softmax.top, tirx.const(float("-inf"), "float32"), i),
                code.store(self.softmax.total, const(0, "float32"), i),
                code.loop(
                    wide,
                    lambda v: code.store(
                        self.sums, nothing, i, code.ramp(v * self.columns, self.columns)
                    ),
                    "v",
                ),
            )

        def block(base: Expr, keys: int) -> Any:
            def strip(s: Expr) -> Any:
                row, held = self._first_row(first + s), s * self.t.rows
                return code.seq(
                    *self._scores(n, row, base, keys),
                    code.loop(
                        self.t.rows,
                        lambda i: self.softmax.exponentials(Row(n, row, i, base), keys, held + i),
                        "i",
                    ),
                    *self._weighted(base, keys, self._added(held), held),
                )

            return code.loop(count, strip, "strip")

        whole = code.loop(self.blocks, lambda b: block(b * self.block, self.block), "block")
        rest = block(_number(self.blocks * self.block), self.rest) if self.rest else None
        finish = code.loop(count, lambda s: self._finish_sums(n, first, s), "strip")
        return code.seq(code.loop(self.t.rows * count, clear, "i"), whole, rest, finish)

    def _place(self, i: Expr, j: Expr) -> Expr:
        """Where a strip's score of row i and key j stands in memory."""
        return i * (self.key_vectors * self.lanes) + j + self.first_score

    # --- packing -----------------------------------------------------------------------------

    def _pack_keys(self, n: Expr) -> Any:
        whole = code.loop(
            self.blocks, lambda b: self._pack_block(n, b * self.block, self.block), "block"
        )
        last = _number(self.blocks * self.block)
        return code.seq(whole, self._pack_block(n, last, self.rest) if self.rest else None)

    def _pack_block(self, n: Expr, base: Expr, keys: int) -> Any:
        """Panels of a block of keys: [panel, depth, vector, lane]."""
        vectors = rounds(keys, self.lanes)
        start = base * self.p.depth  # blocks before it are whole vectors
        loops = []
        for cut in panels(vectors, self.t.key_vectors):

            def panel(q: Expr, cut: Panel = cut) -> Any:
                def vector(v: Expr) -> Any:
                    first = cut.first + q * cut.vectors
                    place = start + (first * self.p.depth + v) * self.lanes
                    column = base + (first + v) * self.lanes
                    return self._pack_vector(n, column, place, cut.vectors * self.lanes)

                return code.loop(cut.vectors, vector, "v")

            loops.append(code.loop(cut.count, panel, "panel"))
        return code.seq(*loops)

    def _pack_vector(self, n: Expr, column: Expr, place: Expr, stride: int) -> Any:
        """As many keys as there are lanes, the lanes of memory[place + d * stride]."""
        p, lanes = self.p, self.lanes
        k = self.views[p.k]
        batch = batch_index(n, p.batch, k.shape[:-2])

        def key(j: int) -> Expr:
            return tirx.min(column + j, p.keys - 1) if p.keys % lanes else column + j

        if not p.k_by_rows or p.depth < lanes:

            def one(d: Expr) -> Any:
                def element(j: int) -> Any:
                    at = (key(j), d) if p.k_by_rows else (d, key(j))
                    return code.store(self.memory, k(*batch, *at), place + d * stride + j)

                return code.seq(*(element(j) for j in range(lanes)))

            if p.k_by_rows or p.keys % lanes:
                return code.loop(p.depth, one, "d")
            return code.loop(
                p.depth,
                lambda d: code.store(
                    self.memory,
                    k(*batch, d, code.ramp(column, lanes)),
                    code.ramp(place + d * stride, lanes),
                ),
                "d",
            )

        def square(b: Expr) -> Any:
            d = b * lanes
            if p.depth % lanes:
                d = tirx.min(d, p.depth - lanes)
            rows = [k(*batch, key(j), code.ramp(d, lanes)) for j in range(lanes)]
            statements, columns = code.transposed(rows)
            stores = [
                code.store(self.memory, value, code.ramp(place + (d + i) * stride, lanes))
                for i, value in enumerate(columns)
            ]
            return code.seq(*statements, *stores)

        return code.loop(rounds(p.depth, lanes), square, "b")

    def _column(self, vector: Expr) -> Expr:
        """First column of a vector of v."""
        start = vector * self.columns
        if self.p.width % self.columns:
            return tirx.min(start, self.p.width - self.columns)
        return start

    def _pack_values(self, n: Expr) -> Any:
        """Panels of v: [panel, key, vector, lane]."""
        p = self.p
        v = self.views[p.v]
        batch = batch_index(n, p.batch, v.shape[:-2])
        loops = []
        for cut in panels(self.value_vectors, self.t.value_vectors):

            def panel(q: Expr, cut: Panel = cut) -> Any:
                first = cut.first + q * cut.vectors

                def key(k: Expr) -> Any:
                    def vector(w: int) -> Any:
                        at = code.ramp(self._column(first + w), self.columns)
                        place = (first * p.keys + k * cut.vectors + w) * self.columns + self.values
                        return code.store(
                            self.memory, v(*batch, k, at), code.ramp(place, self.columns)
                        )

                    return code.seq(*(vector(w) for w in range(cut.vectors)))

                return code.loop(p.keys, key, "k")

            loops.append(code.loop(cut.count, panel, "panel"))
        return code.seq(*loops)

    def _pack_queries(self, n: Expr, row: Expr) -> Any:
        """A strip's rows of q. Where they stand their distance is often a multiple of a page."""
        p = self.p
        q = self.views[p.q]
        batch = batch_index(n, p.batch, q.shape[:-2])

        def copy(i: Expr, d: Expr, lanes: int) -> Any:
            place = self.first_query + i * self.query_stride + d
            value = q(*batch, row + i, code.ramp(d, lanes))
            return code.store(self.memory, value, code.ramp(place, lanes))

        def one(i: Expr) -> Any:
            vectors, rest = divmod(p.depth, self.lanes)
            whole = code.loop(vectors, lambda v: copy(i, v * self.lanes, self.lanes), "v")
            tail = code.loop(rest, lambda d: copy(i, vectors * self.lanes + d, 1), "d")
            return code.seq(whole, tail)

        return code.loop(self.t.rows, one, "i")

    # --- the first product -------------------------------------------------------------------

    def _scores(self, n: Expr, row: Expr, base: Expr, keys: int) -> list[Any]:
        """scores[row, key] of a strip and a block of keys, as the product gives them."""
        p, lanes = self.p, self.lanes
        loops = [self._pack_queries(n, row)]

        def query(i: int, d: Expr) -> Expr:
            return code.load(self.memory, self.first_query + i * self.query_stride + d)

        for cut in panels(rounds(keys, lanes), self.t.key_vectors):

            def panel(index: Expr, cut: Panel = cut) -> Any:
                first = cut.first + index * cut.vectors
                start = base * p.depth + first * p.depth * lanes
                tile = code.scratch((self.t.rows, cut.vectors * lanes), "tile")

                def step(d: Expr) -> Any:
                    return self._outer(
                        tile,
                        [query(i, d) for i in range(self.t.rows)],
                        start + d * (cut.vectors * lanes),
                        cut.vectors,
                        lanes,
                    )

                def put(i: int, v: int) -> Any:
                    return code.store(
                        self.memory,
                        code.load(tile, i, code.ramp(v * lanes, lanes)),
                        code.ramp(self._place(i, (first + v) * lanes), lanes),
                    )

                return code.with_scratch(
                    [tile],
                    code.seq(
                        *self._cleared(tile, cut.vectors, lanes),
                        self._steps(p.depth, step),
                        *(put(i, v) for i in range(self.t.rows) for v in range(cut.vectors)),
                    ),
                )

            loops.append(code.loop(cut.count, panel, "panel"))
        return loops

    def _cleared(self, tile: Any, vectors: int, lanes: int) -> list[Any]:
        zero = code.wide(const(0, "float32"), lanes)
        return [
            code.store(tile, zero, i, code.ramp(v * lanes, lanes))
            for i in range(self.t.rows)
            for v in range(vectors)
        ]

    def _steps(self, extent: int, step: Any) -> Any:
        """for k: step(k), some of them unrolled."""

        def some(k: Expr) -> Any:
            return code.seq(*(step(k * UNROLLED + i) for i in range(UNROLLED)))

        rest = range(extent // UNROLLED * UNROLLED, extent)
        return code.seq(code.loop(extent // UNROLLED, some, "k"), *(step(_number(k)) for k in rest))

    def _outer(
        self,
        tile: Any,
        scalars: Sequence[Expr],
        place: Expr,
        vectors: int,
        lanes: int,
    ) -> Any:
        """tile[i, v] += scalars[i] * memory[place + v] of one step of a reduction."""
        statements, row = [], []
        for v in range(vectors):
            held = tirx.Var("b", code.vector_type(lanes))
            statements.append(
                tirx.Bind(held, code.load(self.memory, code.ramp(place + v * lanes, lanes)))
            )
            row.append(held)
        for i, scalar in enumerate(scalars):
            for v in range(vectors):
                at = code.ramp(v * lanes, lanes)
                value = code.load(tile, i, at) + code.wide(scalar, lanes) * row[v]
                statements.append(code.store(tile, value, i, at))
        return code.seq(*statements)

    # --- the second product ------------------------------------------------------------------

    def _weighted(self, base: Expr, keys: int, put: Any, held: Expr | None = None) -> list[Any]:
        """Σ scores[row, key] * v[key, column] by tiles, each vector given to `put`."""
        p, columns = self.p, self.columns
        loops = []
        for cut in panels(self.value_vectors, self.t.value_vectors):

            def panel(index: Expr, cut: Panel = cut) -> Any:
                first = cut.first + index * cut.vectors
                tile = code.scratch((self.t.rows, cut.vectors * columns), "tile")

                def step(k: Expr) -> Any:
                    place = (first * p.keys + (base + k) * cut.vectors) * columns + self.values
                    return self._outer(
                        tile,
                        [code.load(self.memory, self._place(i, k)) for i in range(self.t.rows)],
                        place,
                        cut.vectors,
                        columns,
                    )

                stores = [
                    put(i, first + v, code.load(tile, i, code.ramp(v * columns, columns)))
                    for i in range(self.t.rows)
                    for v in range(cut.vectors)
                ]
                start = (
                    self._cleared(tile, cut.vectors, columns)
                    if held is None
                    else self._scaled(tile, cut.vectors, first, held)
                )
                body = code.seq(*start, self._steps(keys, step), *stores)
                return code.with_scratch([tile], body)

            loops.append(code.loop(cut.count, panel, "panel"))
        return loops

    def _scaled(self, tile: Any, vectors: int, first: Expr, held: Expr) -> list[Any]:
        """The tile as it is after the blocks before, scaled to the new maximum."""
        columns = self.columns

        def one(i: int, v: int) -> Any:
            at = code.ramp((first + v) * columns, columns)
            factor = code.wide(code.load(self.softmax.factor, held + i), columns)
            value = code.load(self.sums, held + i, at) * factor
            return code.store(tile, value, i, code.ramp(v * columns, columns))

        return [one(i, v) for i in range(self.t.rows) for v in range(vectors)]

    def _added(self, held: Expr) -> Any:
        columns = self.columns

        def put(i: int, vector: Expr, value: Expr) -> Any:
            return code.store(self.sums, value, held + i, code.ramp(vector * columns, columns))

        return put

    def _finished(self, n: Expr, row: Expr) -> Any:
        def put(i: int, vector: Expr, value: Expr) -> Any:
            return self._put(n, row + i, vector, value, code.load(self.softmax.total, i))

        return put

    def _put(self, n: Expr, row: Expr, vector: Expr, value: Expr, total: Expr) -> Any:
        """A vector of the result where it is stored."""
        index = [
            *unravel(n, self.p.batch),
            row,
            code.ramp(self._column(vector), self.columns),
        ]
        inverse = const(1, "float32") / total
        result = value * code.wide(inverse, self.columns)
        return code.store(self.output, result, *(index[axis] for axis in self.p.perm))

    def _finish_sums(self, n: Expr, first: Expr, s: Expr) -> Any:
        """The rows of a strip divided by their sums."""
        row, held = self._first_row(first + s), s * self.t.rows

        def one(i: Expr) -> Any:
            def vector(v: Expr) -> Any:
                at = code.ramp(v * self.columns, self.columns)
                value = code.load(self.sums, held + i, at)
                return self._put(n, row + i, v, value, code.load(self.softmax.total, held + i))

            return code.loop(self.value_vectors, vector, "v")

        return code.loop(self.t.rows, one, "i")


def _number(value: int) -> Expr:
    return tirx.const(value, "int32")


def _buffer(value: Any, name: str) -> Any:
    return tirx.decl_buffer(value.type.physical_shape, value.dtype.tvm, name=name)
