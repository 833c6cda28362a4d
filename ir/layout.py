"""Layouts: how a logical tensor stands in memory.

A value's shape is always logical (images are N, C, H, W); its layout says in which order the axes
are stored and which of them are split into blocks. `NCHW16c` stores `[N, ceil(C/16), H, W, 16]`;
the lanes beyond C are padding and are zero at every kernel boundary.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np

# Logical axes by rank; images have names of their own, everything else is lettered.
AXES = {3: "NCW", 4: "NCHW", 5: "NCDHW"}


def axis_letters(rank: int) -> str:
    """The letters of the logical axes of a tensor of this rank."""
    return AXES.get(rank, "ABEFGIJKLM"[:rank])


@dataclass(frozen=True)
class Layout:
    """Axes, splits and padding of a tensor in memory.

    Attributes:
        order: The logical axes in the order in which their outer parts are stored.
        tiles: `(axis, size)` of the inner blocks, outermost first, stored after all outer parts.
    """

    order: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...] = ()

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def is_plain(self) -> bool:
        return not self.tiles and self.order == tuple(range(self.rank))

    @classmethod
    def blocked(cls, rank: int, axis: int, size: int) -> Layout:
        """Row-major with one axis split into blocks: `blocked(4, 1, 16)` is NCHW16c."""
        return cls(tuple(range(rank)), ((axis, size),))

    @classmethod
    def parse(cls, text: str) -> Layout:
        """`NCHW`, `NHWC`, `NCHW16c`. Raises ValueError if the text is no layout."""
        return _parse(text)

    def __str__(self) -> str:
        letters = axis_letters(self.rank)
        outer = "".join(letters[axis] for axis in self.order)
        return outer + "".join(f"{size}{letters[axis].lower()}" for axis, size in self.tiles)

    def block(self, axis: int) -> int:
        """The product of the block sizes of one axis; 1 if it is not split."""
        size = 1
        for tiled, extent in self.tiles:
            size *= extent if tiled == axis else 1
        return size

    def physical_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The stored shape of a tensor of this logical shape, blocks last."""
        outer = tuple(-(-shape[axis] // self.block(axis)) for axis in self.order)
        return outer + tuple(size for _, size in self.tiles)

    def has_padding(self, shape: tuple[int, ...]) -> bool:
        """Whether some stored lanes belong to no element."""
        return any(shape[axis] % self.block(axis) for axis, _ in self.tiles)

    def to_physical(self, array: np.ndarray) -> np.ndarray:
        """A logical array as it is stored, pad lanes zero; C-contiguous."""
        pads = [(0, -size % self.block(axis)) for axis, size in enumerate(array.shape)]
        padded = np.pad(array, pads) if any(after for _, after in pads) else array
        split: list[int] = []
        place: dict[tuple[int, int], int] = {}  # (axis, depth) -> position in the split array
        for axis, size in enumerate(padded.shape):
            sizes = [extent for tiled, extent in self.tiles if tiled == axis]
            for depth, extent in enumerate([size // self.block(axis), *sizes]):
                place[axis, depth] = len(split)
                split.append(extent)
        return np.ascontiguousarray(padded.reshape(split).transpose(self._stored_axes(place)))

    def to_logical(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of `to_physical`: a stored array as the logical array of `shape`."""
        place: dict[tuple[int, int], int] = {}
        for axis in range(self.rank):
            for depth in range(1 + sum(tiled == axis for tiled, _ in self.tiles)):
                place[axis, depth] = len(place)
        inverse = np.argsort(self._stored_axes(place))
        padded = tuple(
            -(-size // self.block(axis)) * self.block(axis) for axis, size in enumerate(shape)
        )
        logical = array.transpose(inverse).reshape(padded)
        return np.ascontiguousarray(logical[tuple(slice(size) for size in shape)])

    def _stored_axes(self, place: dict[tuple[int, int], int]) -> list[int]:
        depth = dict.fromkeys(range(self.rank), 0)
        stored = [place[axis, 0] for axis in self.order]
        for axis, _ in self.tiles:
            depth[axis] += 1
            stored.append(place[axis, depth[axis]])
        return stored


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> Layout:
    match = re.fullmatch(r"([A-Z]+)((?:\d+[a-z])*)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a layout (expected for example NCHW, NHWC or NCHW16c)")
    outer, inner = match.groups()
    letters = axis_letters(len(outer))
    if sorted(outer) != sorted(letters):
        raise ValueError(f"layout {text!r} must name each of the axes {letters} once")
    tiles = []
    for size, letter in re.findall(r"(\d+)([a-z])", inner):
        if letter.upper() not in letters or int(size) < 1:
            raise ValueError(f"layout {text!r} has a block {size}{letter} of no axis of {letters}")
        tiles.append((letters.index(letter.upper()), int(size)))
    return Layout(tuple(letters.index(letter) for letter in outer), tuple(tiles))
