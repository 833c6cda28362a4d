"""Appends the weights to a linked object: the tail that the engine maps (see c/weights.c).

Layout: the ELF file, zeros up to a multiple of 65536, the weights, zeros up to a multiple of 64,
128 bytes that say where everything is and hold a CRC-32 of the ELF file. Every object has a tail,
also one without weights.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

from .lre import _TAIL, _TAIL_MAGIC, Tail

ALIGNMENT = 65536


def append_tail(
    path: Path | str,
    build_id: str,
    weights: Iterable[bytes | memoryview] = (),
    *,
    with_crc: bool = False,
) -> Tail:
    """Writes `weights` (consecutive pieces, already padded to their offsets) behind the object.

    Args:
        path: The linked shared object, without a tail.
        build_id: As in the object's tables, 1-64 ASCII characters.
        weights: Pieces of the weights in order; each anything with a contiguous buffer.
        with_crc: Store the CRC-32. The engine compares with the one in its own tables.

    Raises:
        OSError: the file cannot be written.
        ValueError: the build id does not fit.
    """
    name = build_id.encode("ascii")
    if not 1 <= len(name) <= 64:
        raise ValueError(f"a build id has 1 to 64 characters, not {len(name)}")
    with open(path, "r+b") as file:
        code_crc = zlib.crc32(file.read())
        elf_bytes = file.tell()
        offset = -(-elf_bytes // ALIGNMENT) * ALIGNMENT
        size = crc = 0
        for piece in weights:
            view = memoryview(piece).cast("B")
            if size == 0:
                file.seek(offset)
            file.write(view)
            size += len(view)
            if with_crc:
                crc = zlib.crc32(view, crc)
        start = -(-(offset + size) // 64) * 64
        total = start + _TAIL.size
        file.seek(start)
        file.write(
            _TAIL.pack(
                *(_TAIL_MAGIC, 1, int(with_crc), total, elf_bytes, offset, size, crc, code_crc),
                name,
            )
        )
    return Tail(total, elf_bytes, offset, size, crc if with_crc else None, build_id)
