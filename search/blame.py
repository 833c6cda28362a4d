"""Errors that name the part of a plugin that is at fault.

Each names the class and, where it raised, the line. What leip's own parts raise is a bug of leip,
and stays what it is.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LeipError, UsageError, line_in

__all__ = ["blamed", "is_ours", "part_error", "part_name"]

_ROOT = __package__.partition(".")[0] if __package__ else ""


@contextmanager
def blamed(kind: str, part: object) -> Iterator[None]:
    """Turn what a plugin's part raises meanwhile into an error that names it."""
    try:
        yield
    except LeipError:
        raise
    except (Exception, SystemExit) as error:  # whatever it raises is its author's news
        if is_ours(part):
            raise
        raise part_error(kind, part, f"raises {type(error).__name__}: {error}", error) from error


def part_error(
    kind: str, part: object, message: str, error: BaseException | None = None
) -> UsageError:
    """The error of a part that does what it must not; `error` is what it raised."""
    name, file = part_name(part), getattr(sys.modules.get(_module(part)), "__file__", None) or ""
    line = line_in(error, file) if error is not None else 0
    return UsageError(
        f"the {kind} {name} {message}",
        f"{file}:{line}" if line else file or name,
        "what was measured is in the log; --debug shows where it was called",
    )


def is_ours(part: object) -> bool:
    """Whether a part is leip's own."""
    return _module(part).partition(".")[0] == _ROOT


def part_name(part: object) -> str:
    """The name of a part's class, or of the function that makes it."""
    part = _without_arguments(part)
    named = part if hasattr(part, "__qualname__") else type(part)
    return str(getattr(named, "__qualname__", ""))


def _module(part: object) -> str:
    return str(getattr(_without_arguments(part), "__module__", ""))


def _without_arguments(part: object) -> object:
    while isinstance(part, functools.partial):
        part = part.func
    return part
