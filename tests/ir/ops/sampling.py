"""Seeded values, and the tables of samples that the `samples_*` modules fill."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from leip.ir import Attrs, NoAttrs

Sample = tuple[Attrs, list[np.ndarray]]

SAMPLES: dict[str, list[Sample]] = {}
HALF_SAMPLES: dict[str, list[Sample]] = {}
EMPTY_SAMPLES: dict[str, list[Sample]] = {}

NO = NoAttrs()


def floats(
    *shape: int, low: float = -3.0, high: float = 3.0, dtype: type | np.dtype = np.float32
) -> np.ndarray:
    """Uniform floats in [low, high)."""
    return np.asarray(_rng.uniform(low, high, shape)).astype(dtype)


def integers(
    *shape: int, low: int = -9, high: int = 10, dtype: type | np.dtype = np.int64
) -> np.ndarray:
    """Uniform integers in [low, high); unsigned dtypes start at 0."""
    low = max(low, 0) if np.dtype(dtype).kind == "u" else low
    return np.asarray(_rng.integers(low, high, shape)).astype(dtype)


def bools(*shape: int) -> np.ndarray:
    return np.asarray(_rng.integers(0, 2, shape)).astype(bool)


def distinct(*shape: int, dtype: type | np.dtype = np.float32) -> np.ndarray:
    """A shuffled range: no two equal elements."""
    size = int(np.prod(shape))
    return (_rng.permutation(size) - size // 2).reshape(shape).astype(dtype)


def of(dtype: type | np.dtype, *shape: int) -> np.ndarray:
    """Values of any dtype."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return bools(*shape)
    if dtype.kind in "iu":
        return integers(*shape, dtype=dtype)
    return floats(*shape, dtype=dtype)


def permutation(size: int) -> np.ndarray:
    """range(size), shuffled."""
    return _rng.permutation(size)


_rng = np.random.default_rng(0)


def reseed(op: str) -> None:
    """Start the values of an op: each has a seed of its own."""
    global _rng
    _rng = np.random.default_rng(zlib.crc32(op.encode()))


def define(op: str) -> Callable[[Callable[[], list[Sample]]], None]:
    """Enter the samples that a function makes; each op has a seed of its own."""

    def enter(make: Callable[[], list[Sample]]) -> None:
        reseed(op)
        samples = SAMPLES.setdefault(op, [])
        samples += [(attrs, [np.asarray(array) for array in arrays]) for attrs, arrays in make()]

    return enter
