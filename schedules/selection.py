"""The k best elements of a row, written out: what `topk` is made of.

Elements are compared as keys: integers in whose order the greatest is the best, and whose equals
are equal elements. NaNs are one key above infinity, as numpy sorts them.

    keys, places ← the first elements of the row, as many as there is room for
    narrow
    for block of the rest: if any key > threshold: append those; if there is no room: narrow
    narrow; sort

`narrow` leaves the k best, in the order of the row, and takes the worst of them as the threshold.
It halves an interval of keys until exactly k are above its middle, or until one key is left: of the
elements with this key it takes the first. So a row of a few thousand elements costs some ten passes
of one comparison a vector whatever k is, and a longer one about one comparison a vector.

Limit: comparisons; memory for a few long rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from . import vector_code as code
from .view import Expr, const, dtype_of

__all__ = ["Selection", "key_type", "keys_of"]

BLOCK = 4  # vectors that are looked at together
ROOM = 2048  # elements that are kept at least: 16 KB of keys and places
RUN = 512  # elements that are sorted by counting, quadratic in them

Stmt = Any
Read = Callable[[Expr, int], tuple[Expr, Expr]]
"""(keys, places) of so many elements from a place on."""


def key_type(dtype: str) -> str:
    """The integers that elements of a dtype are compared as."""
    return "int64" if dtype.endswith("64") else "int32"


def keys_of(x: Expr, dtype: str, lanes: int, largest: bool) -> Expr:
    """The keys of a vector of elements (float32, float64 or integers)."""
    type = key_type(dtype)
    bits = 64 if type == "int64" else 32

    def number(value: int) -> Expr:
        return code.wide(const(value, type), lanes)

    top = (1 << (bits - 1)) - 1
    if dtype.startswith("float"):
        raw = tirx.reinterpret(code.vector_type(lanes, type), x)
        size = tirx.bitwise_and(raw, number(top))  # of |x|
        infinity = 0x7F800000 if bits == 32 else 0x7FF0000000000000
        key = tirx.bitwise_xor(
            raw, tirx.bitwise_and(tirx.shift_right(raw, number(bits - 1)), number(top))
        )
        key = tirx.Select(tirx.EQ(size, number(0)), number(0), key)  # -0 is 0
        key = tirx.Select(size > number(infinity), number(top), key)
    elif dtype == f"uint{bits}":
        raw = tirx.reinterpret(code.vector_type(lanes, type), x)
        key = tirx.bitwise_xor(raw, number(-top - 1))
    else:
        key = x if dtype == type else x.astype(code.vector_type(lanes, type))
    return key if largest else tirx.bitwise_xor(key, number(-1))


@dataclass
class Selection:
    """Statements on the buffers of one selection.

    Attributes:
        k: Elements that are wanted, at least 1.
        size: Elements of the row, at least k.
        type: int32 or int64, the type of keys.
        lanes: Keys of a vector.
    """

    k: int
    size: int
    type: str
    lanes: int
    room: int = field(init=False)

    def __post_init__(self) -> None:
        self.room = min(self.size, max(4 * self.k, ROOM))
        slack = 2 * self.block
        self.keys = code.scratch((self.room + slack,), "keys", self.type)
        self.places = code.scratch((self.room + slack,), "places", "int32")
        self.fresh = code.scratch((self.block,), "fresh", self.type)
        self.parts = code.scratch((BLOCK * self.lanes,), "parts", self.type)
        self.count = code.scratch((1,), "count", "int32")
        self.kept = code.scratch((1,), "kept", "int32")
        self.spare = code.scratch((1,), "spare", "int32")
        self.low = code.scratch((1,), "low", self.type)
        self.high = code.scratch((1,), "high", self.type)
        self.sorting = [
            code.scratch((max(self.k, self.few) + self.block,), name, dtype)
            for dtype, name in (
                (self.type, "ranks"),
                (self.type, "sorted_keys"),
                ("int32", "sorted_places"),
            )
        ]

    @property
    def block(self) -> int:
        return BLOCK * self.lanes

    @property
    def few(self) -> int:
        """Rows up to this length are sorted as a whole."""
        return self.block

    @property
    def lowest(self) -> int:
        return -(1 << (63 if self.type == "int64" else 31))

    def scratches(self, *, sorts: bool) -> list[Any]:
        """All buffers that the statements need."""
        own = [self.keys, self.places, self.fresh, self.parts, self.count]
        own += [self.kept, self.spare, self.low, self.high]
        return own + (self.sorting if sorts else [])

    # --- parts of statements

    def number(self, value: int) -> Expr:
        return const(value, self.type)

    def bound(self, value: Expr, name: str = "v") -> tuple[Stmt, Any]:
        """A variable that holds a value, and the statement that makes it."""
        variable = tirx.Var(name, dtype_of(value))
        return tirx.Bind(variable, value), variable

    def vector(self, at: Expr) -> Expr:
        return code.load(self.keys, code.ramp(at, self.lanes))

    def any(self, condition: Expr) -> Expr:
        """Whether a condition holds in any lane."""
        if self.lanes == 1:
            return condition
        return tirx.call_llvm_pure_intrin("bool", "llvm.vector.reduce.or", condition)

    def folded(
        self, vectors: Sequence[Expr], combine: Callable[[Expr, Expr], Expr], into: Any
    ) -> Stmt:
        """Stores the combination of all lanes of vectors."""
        total, *rest = vectors
        for vector in rest:
            total = combine(total, vector)
        *statements, value = code.fold(total, self.lanes, combine, self.type)
        return code.seq(*statements, code.store(into, value.astype(str(into.dtype)), 0))

    def over_blocks(
        self,
        start: int,
        step: Callable[[Expr, Expr], Expr],
        finish: Callable[[list[Expr]], Stmt],
    ) -> Stmt:
        """acc[v] = step(acc[v], keys) for all vectors of keys, v by turns; then finish(acc)."""
        lanes, acc = self.lanes, self.parts

        def at(v: int) -> Expr:
            return code.ramp(v * lanes, lanes)

        def block(index: Expr) -> Stmt:
            return code.seq(
                *(
                    code.store(
                        acc,
                        step(code.load(acc, at(v)), self.vector(index * self.block + v * lanes)),
                        at(v),
                    )
                    for v in range(BLOCK)
                )
            )

        zero = code.wide(self.number(start), lanes)
        blocks = tirx.floordiv(code.load(self.count, 0) + (self.block - 1), self.block)
        return code.seq(
            *(code.store(acc, zero, at(v)) for v in range(BLOCK)),
            code.loop(blocks, block, "n"),
            finish([code.load(acc, at(v)) for v in range(BLOCK)]),
        )

    def counted(self, above: Callable[[Expr], Expr], into: Any) -> Stmt:
        """Stores how many keys fulfil a condition."""
        one, none = (code.wide(self.number(n), self.lanes) for n in (1, 0))
        return self.over_blocks(
            0,
            lambda total, keys: total + tirx.Select(above(keys), one, none),
            lambda sums: self.folded(sums, lambda a, b: a + b, into),
        )

    def as_vector(self, buffer: Any) -> Expr:
        return code.wide(code.load(buffer, 0), self.lanes)

    # --- statements

    def begin(self, read: Read, size: int) -> Stmt:
        """The first `size` elements (at most the room) become those that are kept."""
        lanes = self.lanes

        def some(at: Expr, lanes: int) -> Stmt:
            keys, places = read(at, lanes)
            where = code.ramp(at, lanes)
            return code.seq(
                code.store(self.keys, keys, where), code.store(self.places, places, where)
            )

        whole = size // lanes
        return code.seq(
            code.loop(whole, lambda i: some(i * lanes, lanes)),
            code.loop(size - whole * lanes, lambda i: some(i + whole * lanes, 1))
            if size % lanes
            else None,
            code.store(self.count, const(size, "int32"), 0),
            code.store(self.low, self.number(self.lowest), 0),
        )

    def narrow(self) -> Stmt:
        """Of the kept elements, at least k, only the k best stay; `low` is the threshold."""
        count, low, high = (code.load(b, 0) for b in (self.count, self.low, self.high))
        lanes, lowest = self.lanes, code.wide(self.number(self.lowest), self.lanes)
        ends = [
            code.store(self.keys, lowest, code.ramp(count + v * lanes, lanes)) for v in range(BLOCK)
        ]
        test, middle = tirx.Var("test", self.type), tirx.Var("middle", self.type)
        # The mean, rounded up, without overflow.
        mean = tirx.bitwise_or(low, high) - tirx.shift_right(
            tirx.bitwise_xor(low, high), self.number(1)
        )
        above, wanted = code.load(self.kept, 0), const(self.k, "int32")
        within, many = above >= wanted, above > wanted
        down = tirx.Select(within, middle, middle - self.number(1))
        halve = code.seq(
            tirx.Bind(middle, mean),
            tirx.Bind(test, high),
            self.counted(lambda keys: keys >= code.wide(middle, lanes), self.kept),
            code.store(self.low, tirx.Select(within, middle, low), 0),
            code.store(self.high, tirx.Select(many, test, down), 0),
        )
        return code.seq(
            *ends,
            self.over_blocks(self.lowest, tirx.max, self._ends_of_interval),
            tirx.While(low < high, halve),
            self.counted(lambda keys: keys > self.as_vector(self.low), self.kept),
            code.store(self.spare, const(self.k, "int32") - above, 0),
            self._compact(),
            code.store(self.count, const(self.k, "int32"), 0),
        )

    def _ends_of_interval(self, best: list[Expr]) -> Stmt:
        """The threshold is at most the best key, and no worse than the best of each of k groups."""
        old = code.load(self.low, 0)
        groups = [list(best)]
        while self.lanes * len(groups) < self.k and len(groups) < BLOCK:
            groups = [half for g in groups for half in (g[: len(g) // 2], g[len(g) // 2 :])]
        raised: Stmt = None
        if self.k <= self.lanes * len(groups):
            tops = []
            for group in groups:
                top, *rest = group
                for other in rest:
                    top = tirx.max(top, other)
                tops.append(top)
            raised = code.seq(
                self.folded(tops, tirx.min, self.high),
                code.store(self.low, tirx.max(old, code.load(self.high, 0)), 0),
            )
        return code.seq(raised, self.folded(best, tirx.max, self.high))

    def _compact(self) -> Stmt:
        """Keeps what is above the threshold, and of what is equal to it the first `spare`."""
        kept, spare = code.load(self.kept, 0), code.load(self.spare, 0)
        one, none = const(1, "int32"), const(0, "int32")

        def element(at: Expr) -> Stmt:
            hold_key, key = self.bound(code.load(self.keys, at), "key")
            hold_place, place = self.bound(code.load(self.places, at), "place")
            low = code.load(self.low, 0)
            hold_equal, equal = self.bound(
                tirx.Select(tirx.all(tirx.EQ(key, low), spare > none), one, none), "equal"
            )
            above = tirx.Select(key > low, one, none)
            return code.seq(
                hold_key,
                hold_place,
                hold_equal,
                code.store(self.keys, key, kept),
                code.store(self.places, place, kept),
                code.store(self.spare, spare - equal, 0),
                code.store(self.kept, kept + above + equal, 0),
            )

        def vector(index: Expr) -> Stmt:
            start = index * self.lanes
            hit = self.any(self.vector(start) >= self.as_vector(self.low))
            return tirx.IfThenElse(
                hit, code.loop(self.lanes, lambda lane: element(start + lane), "lane"), None
            )

        vectors = tirx.floordiv(code.load(self.count, 0) + (self.lanes - 1), self.lanes)
        return code.seq(code.store(self.kept, none, 0), code.loop(vectors, vector, "n"))

    def stream(self, read: Read, start: int, size: Expr) -> Stmt:
        """Elements `start` to `size` join those that are kept where they are above `low`."""
        lanes, block = self.lanes, self.block
        room = tirx.IfThenElse(
            code.load(self.count, 0) > const(self.room, "int32"), self.narrow(), None
        )

        def append(key: Expr, place: Expr) -> Stmt:
            count = code.load(self.count, 0)
            above = key > code.load(self.low, 0)
            return code.seq(
                code.store(self.keys, key, count),
                code.store(self.places, place, count),
                code.store(
                    self.count,
                    count + tirx.Select(above, const(1, "int32"), const(0, "int32")),
                    0,
                ),
            )

        def vectors(index: Expr) -> Stmt:
            base = start + index * block
            held = [self.bound(read(base + v * lanes, lanes)[0], "k") for v in range(BLOCK)]
            best = held[0][1]
            for _, keys in held[1:]:
                best = tirx.max(best, keys)
            hit = self.any(best > self.as_vector(self.low))
            found = code.seq(
                *(
                    code.store(self.fresh, keys, code.ramp(v * lanes, lanes))
                    for v, (_, keys) in enumerate(held)
                ),
                code.loop(
                    block, lambda i: append(code.load(self.fresh, i), read(base + i, 1)[1]), "lane"
                ),
                room,
            )
            return code.seq(*(hold for hold, _ in held), tirx.IfThenElse(hit, found, None))

        blocks = tirx.floordiv(size - start, block)

        def one(index: Expr) -> Stmt:
            key, place = read(start + blocks * block + index, 1)
            hold, held = self.bound(key, "key")
            return code.seq(hold, append(held, place))

        return code.seq(
            code.loop(blocks, vectors, "n"), code.loop(size - start - blocks * block, one, "n")
        )

    def select(self, read: Read, more: Expr = 0) -> Stmt:
        """The k best of the row (few: all), in the order of the row, in `keys` and `places`.

        `more`: elements that the row has besides `size`; only if those are more than the room.
        """
        first = self.room
        settle: Stmt = None
        if self.size <= self.few:
            pass  # the ranks of all are found faster
        elif self.size > first:
            many = code.load(self.count, 0) > const(self.k, "int32")
            settle = code.seq(
                self.narrow(),
                self.stream(read, first, const(self.size, "int32") + more),
                tirx.IfThenElse(many, self.narrow(), None),
            )
        elif self.size > self.k:
            settle = self.narrow()
        return code.seq(self.begin(read, first), settle)

    def sort(self, write: Callable[[Expr, Expr], Stmt]) -> Stmt:
        """Calls `write(rank, place)` for the k elements that are kept, the best one first."""
        ranks, keys, places = self.sorting
        if self.size <= self.few:

            def one(i: Expr) -> Stmt:
                rank = code.load(ranks, i).astype("int32")
                found = write(rank, code.load(self.places, i))
                return tirx.IfThenElse(rank < const(self.k, "int32"), found, None)

            return code.seq(self._rank(const(0, "int32"), self.size), code.loop(self.size, one))
        runs = [(start, min(RUN, self.k - start)) for start in range(0, self.k, RUN)]
        if len(runs) == 1:
            by_rank = code.loop(
                self.k,
                lambda i: write(code.load(ranks, i).astype("int32"), code.load(self.places, i)),
            )
            return code.seq(self._rank(const(0, "int32"), self.k), by_rank)

        def into_order(start: Expr, size: int) -> Stmt:
            def move(i: Expr) -> Stmt:
                hold, to = self.bound(start + code.load(ranks, i).astype("int32"), "to")
                return code.seq(
                    hold,
                    code.store(keys, code.load(self.keys, start + i), to),
                    code.store(places, code.load(self.places, start + i), to),
                )

            return code.seq(self._rank(start, size), code.loop(size, move))

        whole, rest = divmod(self.k, RUN)
        statements = [
            code.loop(whole, lambda run: into_order(run * RUN, RUN), "run"),
            into_order(const(whole * RUN, "int32"), rest) if rest else None,
        ]
        source, target = (keys, places), (self.keys, self.places)
        width = RUN
        while width < self.k:
            statements.append(self._merge(source, target, width))
            source, target = target, source
            width *= 2
        found = source[1]
        statements.append(code.loop(self.k, lambda i: write(i, code.load(found, i))))
        return code.seq(*statements)

    def _rank(self, start: Expr, size: int) -> Stmt:
        """ranks[i] = how many of `size` keys from `start` on come before key i of them."""
        lanes, end = self.lanes, const(size, "int32")
        ones, zeros = (code.wide(self.number(n), lanes) for n in (1, 0))
        register = code.ramp(0, lanes)
        rank = code.load(self.parts, register)

        def vector(index: Expr) -> Stmt:
            base = index * lanes
            hold, keys = self.bound(self.vector(start + base), "mine")

            def add(j: Expr, before: Callable[[Expr], Expr]) -> Stmt:
                """One more for all keys that key j comes before."""
                other = code.wide(code.load(self.keys, start + j), lanes)
                return code.store(self.parts, rank + before(other), register)

            def at_least(other: Expr) -> Expr:
                return tirx.Select(other >= keys, ones, zeros)

            def above(other: Expr) -> Expr:
                return tirx.Select(other > keys, ones, zeros)

            def own(lane: Expr) -> Stmt:
                """For a key of the vector itself: equal ones come behind it in later lanes."""

                def before(other: Expr) -> Expr:
                    if lanes == 1:
                        return above(other)
                    index = tirx.Ramp(const(0, "int32"), const(1, "int32"), lanes)
                    later = index > code.wide(lane, lanes)
                    return tirx.Select(later, at_least(other), above(other))

                return add(base + lane, before)

            behind = base + lanes
            return code.seq(
                hold,
                code.store(self.parts, zeros, register),
                code.loop(base, lambda j: add(j, at_least), "n"),
                code.loop(tirx.min(end - base, const(lanes, "int32")), own, "n"),
                code.loop(
                    tirx.max(end - behind, const(0, "int32")), lambda j: add(behind + j, above), "n"
                ),
                code.store(self.sorting[0], rank, code.ramp(base, lanes)),
            )

        return code.loop(-(-size // lanes), vector, "vector")

    def _merge(self, source: Any, target: Any, width: int) -> Stmt:
        """Pairs of sorted runs of `width` become one each."""
        left, right, k = self.kept, self.spare, const(self.k, "int32")

        def pair(index: Expr) -> Stmt:
            base = index * (2 * width)
            middle = tirx.min(base + width, k)
            end = tirx.min(base + 2 * width, k)

            def step(t: Expr) -> Stmt:
                a, b = code.load(left, 0), code.load(right, 0)
                first = code.load(source[0], a) >= code.load(source[0], b)
                take = tirx.all(a < middle, tirx.any(b >= end, first))
                hold, taken = self.bound(
                    tirx.Select(take, const(1, "int32"), const(0, "int32")), "taken"
                )
                hold_from, place = self.bound(
                    tirx.Select(tirx.EQ(taken, const(1, "int32")), a, b), "from"
                )
                return code.seq(
                    hold,
                    hold_from,
                    code.store(target[0], code.load(source[0], place), base + t),
                    code.store(target[1], code.load(source[1], place), base + t),
                    code.store(left, a + taken, 0),
                    code.store(right, b + (const(1, "int32") - taken), 0),
                )

            return code.seq(
                code.store(left, base, 0),
                code.store(right, middle, 0),
                code.loop(end - base, step, "n"),
            )

        return code.loop(-(-self.k // (2 * width)), pair, "pair")
