"""Whether two objects hold the same machine code, whatever their kernels are called.

Symbols carry a hash of the task, and that names the level; so two levels that build the very same
kernels differ in names. What is compared is the section `.text` of the ELF file.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

HEADER = struct.Struct("<16xHHIQQQIHHHHHH")  # ELF64, after the identification
SECTION = struct.Struct("<IIQQQQIIQQ")


def code_hash(library: Path) -> str:
    """SHA-256 of an object's `.text`. Raises ValueError if there is none."""
    data = library.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{library} is not a little-endian ELF64 file")
    header = HEADER.unpack_from(data)
    table, size, count, names = header[5], header[10], header[11], header[12]
    sections = [SECTION.unpack_from(data, table + size * index) for index in range(count)]
    strings = sections[names][4]
    for section in sections:
        start = strings + section[0]
        if data[start : data.index(b"\0", start)] == b".text":
            return hashlib.sha256(data[section[4] : section[4] + section[5]]).hexdigest()
    raise ValueError(f"{library} has no .text")
