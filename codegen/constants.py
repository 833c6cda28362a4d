"""The weights of an object: packed constants, each stored once, streamed to the file."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BuildError
from ..ir.constant import Constant
from ..ir.types import TensorType
from ..schedules.template import Pack
from .memory import ALIGNMENT

__all__ = ["WeightStore", "read_spool", "stored_type"]

CHUNK = 4 << 20


@dataclass(frozen=True)
class _Slot:
    constant: Constant
    pack: Pack | None
    offset: int
    bytes: int


class WeightStore:
    """Places for constants. A constant is packed when it is written, and not kept.

    Equal contents with the same packing get one place.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str], _Slot] = {}
        self.bytes = 0

    def add(self, constant: Constant, pack: Pack | None = None) -> int:
        """The byte offset at which a kernel finds the constant in the form of `pack`."""
        key = (constant.hash, pack.key if pack is not None else "")
        slot = self._slots.get(key)
        if slot is None:
            size = stored_type(constant, pack).nbytes
            slot = _Slot(constant, pack, -(-self.bytes // ALIGNMENT) * ALIGNMENT, size)
            self._slots[key] = slot
            self.bytes = slot.offset + size
        return slot.offset

    @property
    def digest(self) -> str:
        """Hash of what is stored where (from the constants' hashes and the packings' keys)."""
        digest = hashlib.sha256()
        for (content, packing), slot in self._slots.items():
            digest.update(f"{slot.offset} {slot.bytes} {content} {packing}\n".encode())
        return digest.hexdigest()

    def pieces(self) -> Iterator[memoryview]:
        """The bytes in order, padding included; packs one constant at a time.

        Raises:
            BuildError: If a packing gives another type than it promised.
        """
        at = 0
        for slot in self._slots.values():
            if slot.offset > at:
                yield memoryview(bytes(slot.offset - at))
            if slot.bytes:
                yield _packed(slot).reshape(-1).view(np.uint8).data
            at = slot.offset + slot.bytes

    def spool(self, path: Path) -> int:
        """Write the weights to a file of their own. Gives their CRC-32."""
        crc = 0
        with path.open("wb") as file:
            for piece in self.pieces():
                crc = zlib.crc32(piece, crc)
                file.write(piece)
        return crc


def read_spool(path: Path) -> Iterator[memoryview]:
    """What `WeightStore.spool` wrote, in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield memoryview(chunk)


def stored_type(constant: Constant, pack: Pack | None) -> TensorType:
    """Type of the stored array: the kernel's parameter."""
    return pack.type if pack is not None else constant.type


def _packed(slot: _Slot) -> np.ndarray:
    if slot.pack is None:
        return slot.constant.array
    array = np.ascontiguousarray(slot.pack.apply(slot.constant.array))
    wanted = slot.pack.type
    if array.shape != wanted.physical_shape or array.dtype != wanted.dtype.numpy:
        raise BuildError(
            f"the packing gave {array.dtype}{list(array.shape)} instead of {wanted}",
            f"packing {slot.pack.key}",
            "this is a bug of the template",
        )
    return array
