"""Pipelines as text: `canonicalize,fold-constants{max_bytes=1000}`."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError
from .base import Pass
from .registry import passes

_STEP = re.compile(r"\s*([a-z][a-z0-9-]*)\s*(?:\{([^}]*)\})?\s*(,|$)")


def parse_pipeline(text: str) -> list[Pass]:
    """The passes that a pipeline text names.

    Args:
        text: Names separated by commas, each with options in braces: `name{option=value,…}`.
            Options are int, float, bool (true or false) or str.

    Raises:
        UsageError: A pass or an option does not exist, or a value has the wrong type.
    """
    steps: list[Pass] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise UsageError(
                f"cannot read the pipeline at {text[at:]!r}",
                "-p",
                "for example: -p 'canonicalize,fold-constants{max_bytes=1000}'",
            )
        steps.append(_build(match[1], match[2] or ""))
        at = match.end()
    return steps


def format_pass(step: Pass) -> str:
    """The text that `parse_pipeline` reads back; options at their defaults are left out."""
    options = []
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if isinstance(value, bool | int | float | str) and value != field.default:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            options.append(f"{field.name}={text}")
    return f"{step.name}{{{','.join(options)}}}" if options else step.name


def format_pipeline(steps: Sequence[Pass]) -> str:
    return ",".join(format_pass(step) for step in steps)


def _build(name: str, options: str) -> Pass:
    known = passes()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"there is no pass {name!r}", "-p", hint)
    hints = typing.get_type_hints(known[name])
    fields = {field.name: hints[field.name] for field in dataclasses.fields(known[name])}
    values: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in options.split(","))):
        key, equals, value = item.partition("=")
        if not equals or key not in fields:
            raise UsageError(
                f"pass {name} has no option {key!r}", "-p", f"it has {', '.join(fields) or 'none'}"
            )
        values[key] = _value(name, key, value, fields[key])
    return known[name](**values)


def _value(name: str, key: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        if kind in (int, float, str):
            return kind(text)
    except (ValueError, KeyError):
        raise UsageError(
            f"option {key} of pass {name} takes {kind.__name__}, not {text!r}"
        ) from None
    raise UsageError(f"option {key} of pass {name} cannot be given as text")
