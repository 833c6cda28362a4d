"""Kernels whose output stage runs over other indices than those at which the output stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import ir as tvm_ir
from tvm import s_tir, tirx

from ..rewrite import with_block_body, with_loop_body

__all__ = ["Place", "element_of", "element_region", "store_at"]

# Indices of the stage → (indices into the output, conditions under which there is such an element).
Place = Callable[[list[Any]], tuple[list[Any], list[Any]]]


def store_at(function: Any, shape: Sequence[int], place: Place) -> Any:
    """Let the stage that writes the last parameter of a scheduled function store elsewhere.

        wide[i, …] = value   →   if conditions: out[place(i, …)] = value

    Args:
        function: Its last parameter is declared as the stage runs.
        shape: Of the output as it really stands.
        place: Where an element belongs.
    """
    return _Stores(function, shape, place).done()


class _Stores:
    def __init__(self, function: Any, shape: Sequence[int], place: Place) -> None:
        self.old, self.place = function, place
        self.wide = function.params[-1]
        self.output = tirx.decl_buffer(
            list(shape), self.wide.dtype, self.wide.name, data_alignment=self.wide.data_alignment
        )

    def done(self) -> Any:
        params = [*self.old.params[:-1], self.output]
        body = self._rewrite(self.old.body)
        return tirx.PrimFunc(params, body, self.old.ret_type, self.old.attrs)

    def _rewrite(self, stmt: Any) -> Any:
        if isinstance(stmt, tirx.For):
            return with_loop_body(stmt, self._rewrite(stmt.body))
        if isinstance(stmt, tirx.SeqStmt):
            return tirx.SeqStmt([self._rewrite(part) for part in stmt.seq])
        if isinstance(stmt, s_tir.SBlockRealize):
            block = self._block(stmt.block, self._rewrite(stmt.block.body))
            return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, block)
        if isinstance(stmt, tirx.BufferStore) and stmt.buffer.same_as(self.wide):
            indices, conditions = self.place(list(stmt.indices))
            store = tirx.BufferStore(self.output, stmt.value, indices)
            return tirx.IfThenElse(tirx.all(*conditions), store, None) if conditions else store
        return stmt

    def _block(self, block: Any, body: Any) -> Any:
        return with_block_body(block, body, [self._region(region) for region in block.writes])

    def _region(self, region: Any) -> Any:
        if not region.source.same_as(self.wide):
            return region
        indices, _ = self.place(element_of(region))
        return element_region(self.output, indices)


def element_of(region: Any) -> list[Any]:
    """The indices of the one element that a region is."""
    assert all(int(axis.extent) == 1 for axis in region.region), f"{region} is no element"
    return [axis.min for axis in region.region]


def element_region(buffer: Any, indices: Sequence[Any]) -> Any:
    """The region of a buffer that is the element at these indices."""
    return tirx.BufferRegion(buffer, [tvm_ir.Range.from_min_extent(i, 1) for i in indices])
