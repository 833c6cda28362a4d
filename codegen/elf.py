"""Reading what matters of a shared object: needs, exports, versions, sizes. No tools needed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ElfFacts", "read_elf"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_DYNAMIC = struct.Struct("<qQ")

_SHT_DYNAMIC, _SHT_DYNSYM, _SHT_VERNEED = 6, 11, 0x6FFFFFFE
_DT_NEEDED = 1
_ALLOC, _WRITE = 2, 1


@dataclass(frozen=True)
class ElfFacts:
    """Facts of a shared object.

    Attributes:
        needed: Libraries it is linked with.
        exports: Symbols it defines for others.
        glibc: Lowest glibc version that has all symbols it needs, as "2.17"; "" if it needs none.
        code_bytes: Size of its read-only sections (code and constants).
        sections: Size of each section by name.
    """

    needed: tuple[str, ...]
    exports: tuple[str, ...]
    glibc: str
    code_bytes: int
    sections: dict[str, int]


@dataclass(frozen=True)
class _Section:
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    entry: int


def read_elf(path: Path) -> ElfFacts:
    """Read a 64-bit little-endian shared object. Raises ValueError if it is none."""
    raw = path.read_bytes()
    if raw[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
    sections = _sections(raw)
    needed: list[str] = []
    exports: list[str] = []
    versions: set[tuple[int, ...]] = set()
    for section in sections:
        strings = sections[section.link]
        if section.type == _SHT_DYNAMIC:
            for at in range(section.offset, section.offset + section.size, _DYNAMIC.size):
                tag, value = _DYNAMIC.unpack_from(raw, at)
                if tag == _DT_NEEDED:
                    needed.append(_text(raw, strings, value))
        elif section.type == _SHT_DYNSYM:
            for at in range(section.offset, section.offset + section.size, _SYMBOL.size):
                name, info, other, index, _, _ = _SYMBOL.unpack_from(raw, at)
                if index != 0 and info >> 4 in (1, 2) and other & 3 in (0, 3):
                    exports.append(_text(raw, strings, name))
        elif section.type == _SHT_VERNEED:
            versions |= _needed_versions(raw, section, strings)
    floor = max(versions, default=())
    return ElfFacts(
        tuple(needed),
        tuple(sorted(exports)),
        ".".join(map(str, floor)),
        sum(s.size for s in sections if s.flags & _ALLOC and not s.flags & _WRITE),
        {section.name: section.size for section in sections if section.name},
    )


def _sections(raw: bytes) -> list[_Section]:
    header = _HEADER.unpack_from(raw)
    start, size, count, names = header[6], header[11], header[12], header[13]
    rows = [_SECTION.unpack_from(raw, start + index * size) for index in range(count)]
    base = rows[names][4]
    found = []
    for name, kind, flags, _, offset, length, link, _, _, entry in rows:
        end = raw.index(b"\0", base + name)
        text = raw[base + name : end].decode()
        found.append(_Section(text, kind, flags, offset, length, link, entry))
    return found


def _text(raw: bytes, strings: _Section, offset: int) -> str:
    start = strings.offset + offset
    return raw[start : raw.index(b"\0", start)].decode()


def _needed_versions(raw: bytes, section: _Section, strings: _Section) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    at = section.offset
    while True:
        _, count, _, first, following = struct.unpack_from("<HHIII", raw, at)
        entry = at + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", raw, entry)
            text = _text(raw, strings, name)
            number = text.removeprefix("GLIBC_")
            if number != text and number.replace(".", "").isdigit():
                found.add(tuple(int(part) for part in number.split(".")))
            entry += step
        if following == 0:
            return found
        at += following
