"""Running sums, written out: what `cumsum` is made of.

Along an axis with others behind it, elements of those stand in lanes:

    parallel (outer axes, run of inner elements): sums = 0
        for i along the axis: sums += x[i]; y[i] = sums

Along the innermost axis the sums of a vector are found in log2(lanes) additions of it to itself,
moved by 1, 2, 4, … lanes, and the last one is carried into the next vector. Rows are shared among
threads; of a few long rows each thread first sums up a part, then scans it from there on.

Limit: memory; along the innermost axis in cache the chain of an addition and a broadcast a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from . import vector_code as code
from .view import Expr, const

__all__ = ["Scan", "scan_inner", "scan_outer"]

Stmt = Any
At = Callable[..., Sequence[Expr]]
VECTORS = 4  # of sums that are kept in registers


@dataclass(frozen=True)
class Scan:
    """What is summed up.

    Attributes:
        dtype: Of the elements and of their sums, as TVM calls it.
        lanes: Elements of a vector.
        threads: Threads that take part.
        exclusive: Sums leave their own element out.
        reverse: Sums run from the end.
    """

    dtype: str
    lanes: int
    threads: int
    exclusive: bool
    reverse: bool

    @property
    def carried(self) -> str:
        """What sums of whole vectors are kept as: the chain of their additions takes no longer."""
        return "float64" if self.dtype == "float32" else self.dtype

    def zero(self, lanes: int) -> Expr:
        return code.wide(const(0, self.dtype), lanes)

    def at(self, index: Expr, size: int) -> Expr:
        """Place of the element that is the index-th to be summed up."""
        return (size - 1) - index if self.reverse else index

    def shared(self, elements: int) -> bool:
        return self.threads > 1 and elements >= code.GRAIN


def scan_outer(scan: Scan, x: Any, y: Any, shape: tuple[int, int, int], at: At) -> Stmt:
    """Along the middle one of three axes; `at(outer, place, inner)` is an index of x and y."""
    outer, size, inner = shape
    shared = scan.shared(outer * size * inner)

    def piece(row: Expr, start: Expr, vectors: int, lanes: int) -> Stmt:
        sums = code.scratch((vectors * lanes,), "sums", scan.dtype)
        held = [code.ramp(v * lanes, lanes) for v in range(vectors)]

        def step(index: Expr) -> Stmt:
            place = scan.at(index, size)
            there = [at(row, place, code.ramp(start + v * lanes, lanes)) for v in range(vectors)]
            add = [
                code.store(sums, code.load(sums, v) + code.load(x, *to), v)
                for v, to in zip(held, there, strict=True)
            ]
            put = [
                code.store(y, code.load(sums, v), *to) for v, to in zip(held, there, strict=True)
            ]
            return code.seq(*put, *add) if scan.exclusive else code.seq(*add, *put)

        clear = [code.store(sums, scan.zero(lanes), v) for v in held]
        return code.with_scratch([sums], code.seq(*clear, code.loop(size, step)))

    statements = []
    for start, count, vectors, lanes in _pieces(inner, scan.lanes):

        def run(
            flat: Expr,
            start: int = start,
            count: int = count,
            vectors: int = vectors,
            lanes: int = lanes,
        ) -> Stmt:
            row, index = tirx.floordiv(flat, count), tirx.floormod(flat, count)
            return piece(row, start + index * (vectors * lanes), vectors, lanes)

        total = outer * count
        pays = shared and total * vectors * lanes * size >= code.GRAIN
        statements.append(code.shared_loop(total, run, pays, "run"))
    return code.seq(*statements)


def _pieces(size: int, lanes: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, count, vectors, lanes) of pieces that together are `size` elements."""
    start = 0
    for vectors in (VECTORS, 1):
        count = (size - start) // (vectors * lanes)
        if count:
            yield start, count, vectors, lanes
            start += count * vectors * lanes
    while lanes > 1:
        lanes //= 2
        if size - start >= lanes:
            yield start, 1, 1, lanes
            start += lanes


def scan_inner(scan: Scan, x: Any, y: Any, shape: tuple[int, int], at: At) -> Stmt:
    """Along the second of two axes; `at(row, place)` is an index of x and y."""
    rows, size = shape
    shared = scan.shared(rows * size)
    parts = max(1, min(scan.threads // rows, size // code.GRAIN)) if shared else 1
    length = size // parts // scan.lanes * scan.lanes if parts > 1 else size

    def scanned(row: Expr, start: Expr, size_: int, first: Expr) -> Stmt:
        carry = code.scratch((1,), "carry", scan.carried)
        body = code.seq(
            code.store(carry, first, 0), _row(scan, x, y, at, row, start, size_, size, carry)
        )
        return code.with_scratch([carry], body)

    if parts == 1:

        def whole(row: Expr) -> Stmt:
            return scanned(row, const(0, "int32"), size, const(0, scan.carried))

        return code.shared_loop(rows, whole, shared)
    totals = code.scratch((rows, parts), "totals", scan.carried)

    def total(flat: Expr) -> Stmt:
        row, part = tirx.floordiv(flat, parts), tirx.floormod(flat, parts)
        kind = scan.carried if scan.lanes == 1 else scan.dtype
        sums = code.scratch((VECTORS * scan.lanes,), "sums", kind)
        return code.with_scratch(
            [sums], _total(scan, x, at, row, part * length, length, size, sums, (totals, row, part))
        )

    def part(flat: Expr) -> Stmt:
        row, index = tirx.floordiv(flat, parts), tirx.floormod(flat, parts)
        before = const(0, scan.carried)
        for other in range(parts - 1):
            more = before + code.load(totals, row, other)
            before = tirx.Select(index > const(other, "int32"), more, before)

        def of(some: int) -> Stmt:
            return scanned(row, index * length, some, before)

        rest = size - (parts - 1) * length
        if rest == length:
            return of(length)
        return tirx.IfThenElse(tirx.EQ(index, parts - 1), of(rest), of(length))

    both = code.seq(code.parallel(rows * parts, total), code.parallel(rows * parts, part))
    return code.with_scratch([totals], both)


def _row(
    scan: Scan, x: Any, y: Any, at: At, row: Expr, start: Expr, some: int, size: int, carry: Any
) -> Stmt:
    """Scans `some` elements from the start-th on, from what `carry` holds on."""
    lanes = scan.lanes
    vectors = some // lanes if lanes > 1 else 0

    def where(index: Expr, lanes: int) -> Expr:
        """Of a vector, in the order of memory."""
        first = start + index
        return code.ramp((size - lanes) - first if scan.reverse else first, lanes)

    def vector(index: Expr) -> Stmt:
        statements: list[Any] = []

        def bound(value: Expr) -> Any:
            variable = tirx.Var("sums", code.vector_type(lanes, scan.dtype))
            statements.append(tirx.Bind(variable, value))
            return variable

        place = where(index * lanes, lanes)
        sums = bound(code.load(x, *at(row, place)))
        step = 1
        while step < lanes:
            sums = bound(sums + _moved(scan, sums, step, scan.zero(lanes)))
            step *= 2
        before = code.wide(code.load(carry, 0).astype(scan.dtype), lanes)
        out = sums
        if scan.exclusive:
            out = bound(_moved(scan, sums, 1, scan.zero(lanes)))
        end = tirx.Shuffle([sums], [const(0 if scan.reverse else lanes - 1, "int32")])
        return code.seq(
            *statements,
            code.store(y, before + out, *at(row, place)),
            code.store(carry, code.load(carry, 0) + end.astype(scan.carried), 0),
        )

    def element(index: Expr) -> Stmt:
        place = where(index + vectors * lanes, 1)
        before, total = tirx.Var("before", scan.carried), tirx.Var("total", scan.carried)
        value = code.load(x, *at(row, place)).astype(scan.carried)
        result = (before if scan.exclusive else total).astype(scan.dtype)
        return code.seq(
            tirx.Bind(before, code.load(carry, 0)),
            tirx.Bind(total, before + value),
            code.store(y, result, *at(row, place)),
            code.store(carry, total, 0),
        )

    rest = some - vectors * lanes
    return code.seq(code.loop(vectors, vector, "vector"), code.loop(rest, element))


def _moved(scan: Scan, vector: Expr, by: int, zeros: Expr) -> Expr:
    """A vector whose elements stand `by` lanes later (reverse: earlier), zeros before them."""
    lanes = scan.lanes
    shift = by if scan.reverse else -by
    index = [lane + shift if 0 <= lane + shift < lanes else lanes for lane in range(lanes)]
    return tirx.Shuffle([vector, zeros], [const(i, "int32") for i in index])


def _total(
    scan: Scan,
    x: Any,
    at: At,
    row: Expr,
    start: Expr,
    some: int,
    size: int,
    sums: Any,
    into: tuple[Any, Expr, Expr],
) -> Stmt:
    """Sums up `some` elements, whole vectors, from the start-th on."""
    lanes = scan.lanes
    vectors = math.gcd(some // lanes, VECTORS)
    held = [code.ramp(v * lanes, lanes) for v in range(vectors)]
    step = vectors * lanes
    buffer, *to = into

    def add(index: Expr) -> Stmt:
        first = start + index * step
        base = (size - step) - first if scan.reverse else first
        steps = []
        for n, v in enumerate(held):
            more = code.load(x, *at(row, code.ramp(base + n * lanes, lanes)))
            more = more.astype(scan.carried) if lanes == 1 else more
            steps.append(code.store(sums, code.load(sums, v) + more, v))
        return code.seq(*steps)

    combined = code.load(sums, held[0])
    for v in held[1:]:
        combined = combined + code.load(sums, v)
    plus: Callable[[Expr, Expr], Expr] = lambda a, b: a + b  # noqa: E731
    *fold, value = code.fold(combined, lanes, plus, scan.dtype)
    return code.seq(
        *(code.store(sums, code.wide(const(0, str(sums.dtype)), lanes), v) for v in held),
        code.loop(some // step, add),
        *fold,
        code.store(buffer, value.astype(scan.carried), *to),
    )
