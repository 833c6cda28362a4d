"""Records of a tuning log as lines of JSON, and back. docs/tuning.md shows one of every kind."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .record import (
    Challenge,
    Header,
    LayoutChoice,
    MachineFacts,
    Measurement,
    Record,
    Status,
    TaskText,
    TransformTime,
    Verdict,
)

__all__ = ["FORMAT", "LONGEST", "SHORTEST", "decode", "decode_header", "encode", "encode_header"]

FORMAT = "leip.tuning/1"
SHORTEST, LONGEST = 1e-12, 1e9  # seconds of a run; LONGEST also of ratios of times
_KINDS: dict[str, type] = {
    "measurement": Measurement,
    "challenge": Challenge,
    "task": TaskText,
    "machine": MachineFacts,
    "transform": TransformTime,
    "layouts": LayoutChoice,
    "verdict": Verdict,
}
# halves of characters, but for those that stand for bytes of names that are no text
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(record: Record) -> str:
    """The line of a record, its end included."""
    return _line({"kind": _NAMES[type(record)], **dataclasses.asdict(record)})


def encode_header(header: Header) -> str:
    """The first line of a log, its end included."""
    return _line({"format": FORMAT, **dataclasses.asdict(header)})


def decode(line: str) -> Record:
    """The record of a line. Raises ValueError: what is wrong with it."""
    items = _object(line)
    kind = items.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"no record of a known kind: {kind!r}")
    record: Record = _made(_KINDS[kind], items)
    if isinstance(record, Measurement) and (record.status is Status.OK) != bool(record.times):
        raise ValueError(f"status {record.status.value!r} with {len(record.times)} times")
    if isinstance(record, Challenge) and 0 < record.ratio < 1 / LONGEST:
        raise ValueError(f"ratio cannot be {record.ratio!r}")
    return record


def decode_header(line: str) -> Header:
    """The header of a log's first line. Raises ValueError: what is wrong with it."""
    items = _object(line)
    format = items.pop("format", None)
    if format is None:
        raise ValueError("it has no format")
    if format != FORMAT:
        raise ValueError(f"its format is {format!r}, and this leip reads {FORMAT!r}")
    header: Header = _made(Header, items)
    return header


def _line(items: Mapping[str, Any]) -> str:
    text = json.dumps(items, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return _HALF.sub("\ufffd", text) + "\n"


def _object(line: str) -> dict[str, Any]:
    try:
        items = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(items, dict):
        raise ValueError("no JSON object")
    return items


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _made(kind: type, items: Mapping[str, Any]) -> Any:
    """An object of a record's class from its fields; every one is checked."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := [name for name in items if name not in fields]:
        raise ValueError(f"unknown field {unknown[0]!r}")
    values = {}
    for name, field in fields.items():
        if name not in items:
            if field.default is field.default_factory is dataclasses.MISSING:
                raise ValueError(f"field {name!r} is missing")
            continue
        try:
            values[name] = _READERS[str(field.type)](items[name])
        except (TypeError, ValueError):
            shown = repr(items[name])
            raise ValueError(f"{name} cannot be {shown[:60]}") from None
    return kind(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode("utf-8", "surrogateescape")  # raises ValueError: half a character
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _time(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    try:
        seconds = float(value)
    except OverflowError:  # an integer of hundreds of digits
        raise ValueError from None
    if not 0 <= seconds <= LONGEST:
        raise ValueError
    return seconds


def _times(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError
    times = tuple(map(_time, value))
    if times and min(times) < SHORTEST:  # no kernel takes no time
        raise ValueError
    return times


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


def _mapping(read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def reader(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError
        return {_text(name): read(item) for name, item in value.items()}

    return reader


def _knob(value: Any) -> int | bool | str:
    return value if isinstance(value, int) else _text(value)


# by the annotations of record.py, which are text
_READERS: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _whole,
    "bool": _flag,
    "float": _time,
    "Status": Status,
    "Config": _mapping(_knob),
    "tuple[float, ...]": _times,
    "tuple[str, ...]": _texts,
    "Mapping[str, str]": _mapping(_text),
    "Mapping[str, float]": _mapping(_time),
}
