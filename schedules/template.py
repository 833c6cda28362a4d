"""What a schedule template is.

A template owns three things that decide each other: how a task is computed (its TE form), how that
is scheduled, and how its constant operands are packed. It offers a default config that is good
without tuning, the few that are worth measuring by hand (`space`), all that a search chooses from
(`points`), and `build`.

There are three ways to say no. `NotApplicable(reason)`: the template cannot take this task.
`InvalidConfig(reason)`: this point of the space is not a legal one. Anything else that is raised
is a bug and propagates.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..ir.types import TensorType
from .task import Task

__all__ = [
    "InvalidConfig",
    "Knobs",
    "Lowered",
    "NotApplicable",
    "Pack",
    "Template",
    "config_text",
    "knob",
    "require",
]


class NotApplicable(Exception):
    """A template cannot take a task; the message is the reason."""


class InvalidConfig(Exception):
    """A config is not a legal point for a task; the message is the reason."""


def require(condition: bool, reason: str, error: type[Exception] = NotApplicable) -> None:
    """Raise `error(reason)` unless the condition holds."""
    if not condition:
        raise error(reason)


@dataclass(frozen=True)
class Pack:
    """How a constant operand stands in memory for a kernel.

    Attributes:
        type: Plain type of the packed array: this is what the kernel's parameter is.
        apply: From the constant's *logical* array to the packed array (of `type`). Pure.
        key: Names the function and all its parameters: the packed array is cached by
            (content of the constant, key).
        padded: The packed array is the logical one, padded with zeros at the ends of its axes.
    """

    type: TensorType
    apply: Callable[[np.ndarray], np.ndarray]
    key: str
    padded: bool = False


@dataclass(frozen=True)
class Lowered:
    """A scheduled kernel, ready for code generation.

    Attributes:
        functions: TVM PrimFuncs; the first is the kernel itself. Parameters: the body's inputs
            (packed forms for packed constants) and then its outputs, all contiguous and 16-byte
            aligned. The global symbol is the code generator's business.
        workspace: Upper bound of the bytes of temporary memory that one worker takes.
        pass_config: Entries for `tvm.transform.PassContext(config=...)`.
    """

    functions: tuple[Any, ...]
    workspace: int = 0
    pass_config: Mapping[str, Any] = field(default_factory=dict)


def knob(default: Any, *, choices: tuple[Any, ...] = (), help: str = "") -> Any:
    """A field of a config: its default, the values worth trying, and what it does."""
    return field(default=default, metadata={"choices": choices, "help": help})


@dataclass(frozen=True)
class Knobs:
    """Base of all configs: named knobs, each int, bool or str; text is `a=1,b=yes,c=name`."""

    def to_text(self) -> str:
        """Canonical text; `from_text` is the inverse."""
        return config_text({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @classmethod
    def from_text(cls, text: str, base: Knobs | None = None) -> Knobs:
        """Parse `a=1,b=yes`; knobs that are not named keep the value of `base` (or the default).

        Raises:
            InvalidConfig: An unknown knob, or a value that is not of the knob's type.
        """
        start = base if base is not None else cls()
        known = {f.name: getattr(start, f.name) for f in dataclasses.fields(cls)}
        changes: dict[str, Any] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, value = part.partition("=")
            if name not in known:
                raise InvalidConfig(f"no knob {name!r}; there are {', '.join(known) or 'none'}")
            changes[name] = _read(name, value, known[name])
        return dataclasses.replace(start, **changes)

    def __str__(self) -> str:
        return self.to_text()


def config_text(config: Mapping[str, int | bool | str]) -> str:
    """Knobs by name as `Knobs.from_text` reads them; nothing need be known of their template."""
    spelled = {
        name: ("no", "yes")[value] if isinstance(value, bool) else str(value)
        for name, value in config.items()
    }
    return ",".join(f"{name}={value}" for name, value in spelled.items())


def _read(name: str, text: str, like: Any) -> Any:
    if isinstance(like, bool):
        if text.lower() not in ("yes", "no", "true", "false", "1", "0"):
            raise InvalidConfig(f"knob {name} takes yes or no, not {text!r}")
        return text.lower() in ("yes", "true", "1")
    if isinstance(like, int):
        try:
            return int(text)
        except ValueError:
            raise InvalidConfig(f"knob {name} takes an integer, not {text!r}") from None
    return text


class Template(ABC):
    """One way to compute a family of tasks. Stateless: one instance serves all.

    Attributes:
        name: `<op>_<dtype or any>_<idea>__<arch>`; appears in IR text, logs and symbols.
        Config: The class of its configs.
        takes_pairs: Whether it computes bodies of two convolutions. Kernels are joined
            (`fuse-separable`) for such a template only: another one that looks for a convolution
            may take the first and leave the second out.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Knobs]] = Knobs
    takes_pairs: ClassVar[bool] = False

    @abstractmethod
    def check(self, task: Task) -> None:
        """Return if the template can take the task. Raises NotApplicable(reason) if not."""

    def prefer(self, task: Task) -> None:  # noqa: B027 - most are always worth it
        """Return if the template is worth choosing among others that take the task as well.

        Not asked where somebody wants this template by its name. `check` has passed before.

        Raises:
            NotApplicable: One that comes later in the table is likely to be as fast.
        """

    def default(self, task: Task) -> Knobs:
        """The config that is used without tuning."""
        return self.Config()

    def space(self, task: Task) -> Iterable[Knobs]:
        """The configs worth measuring, the default first, in a fixed order."""
        yield self.default(task)

    def points(self, task: Task) -> Iterable[Knobs]:
        """What a search chooses from: all configs that may be good, and what lies around them.

        In a fixed order; wider than `space`, which is what is worth measuring without a search.
        A few may be no legal ones: `build` tells.
        """
        return self.space(task)

    def model(self, task: Task) -> Callable[[Knobs], float] | None:
        """What a config of the task costs by the template's own model; None: it has no model.

        In any unit, not negative and finite: only comparisons count. A search begins by it.
        """
        return None

    def cycles(self, task: Task, config: Knobs) -> float | None:
        """Cycles that a config takes on all threads together, by the template's own model.

        Not negative and finite; None: there is no model, or one in another unit. Layouts of images
        are chosen by it (`driver/template_cost.py`): the kernel of a task is compared with those of
        the same task in other layouts, which other templates may make. So are kernels that could
        be one (`passes/fuse_separable.py`).
        """
        return None

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        """Packings of constant operands by position among the body's inputs."""
        return {}

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        """Positions of operands whose memory the result may take, if nobody reads them later.

        Among those of `in_place.same_elements`. One counts as long as every element of it is read
        by whoever writes this element of the result, before that, and none is written twice: no
        tiles that overlap, no stage that reads it beside the one that writes. Those are left out
        which the code does not bear out (`in_place.objection`).
        """
        return ()

    @abstractmethod
    def build(self, task: Task, config: Knobs) -> Lowered:
        """Compute and schedule. Raises InvalidConfig if the point is not legal."""

    def __repr__(self) -> str:
        return f"<template {self.name}>"
