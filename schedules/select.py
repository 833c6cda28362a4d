"""Which template makes a kernel: a table, most specific first.

Choosing is separate from building. The result says why: which templates were asked before, and
with what reason they refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import UsageError
from ..ir import levels
from .task import Task
from .template import Knobs, NotApplicable, Template

__all__ = [
    "GENERIC",
    "TEMPLATES",
    "Choice",
    "Override",
    "default_config",
    "register_template",
    "replace_defaults",
    "select",
    "template",
    "templates",
    "unregister_template",
]

# (module, class), most specific first; imported when templates are first asked for.
TEMPLATES: list[tuple[str, str]] = [
    ("x86.conv_separable", "ConvSeparable"),
    ("x86.conv_plain", "ConvPlain"),
    ("x86.conv_first", "ConvFirst"),
    ("x86.depthwise", "DepthwiseBlocked"),
    ("x86.conv_winograd", "ConvWinograd"),
    ("x86.conv_direct", "ConvDirect"),
    ("x86.conv_int8", "ConvInt8"),
    ("x86.dots", "Dots"),
    ("x86.matmul", "MatmulPacked"),
    ("x86.attention", "AttentionTemplate"),
    ("x86.batch_matmul", "BatchMatmul"),
    ("x86.pool", "Pool"),
    ("x86.rows", "RowsTemplate"),
    ("x86.transpose_tile", "TransposeTile"),
    ("x86.layout_squares", "LayoutSquares"),
    ("x86.pointwise", "PointwiseTemplate"),
    ("x86.pointwise", "MovementTemplate"),
    ("x86.stages", "StagesTemplate"),
    ("generic.plain", "PlainTemplate"),
]
GENERIC = "any_plain__generic"

Defaults = Callable[[Template, Task], Knobs | None]

_extra: list[Template] = []
_loaded: list[Template] = []
_defaults: list[Defaults] = []  # the function that replaces defaults, if there is one


@dataclass(frozen=True)
class Choice:
    """A template and a config for a task.

    Attributes:
        template: The template.
        config: One of its configs, legal for the task.
        why: One line a template that was asked, in order: the reason of each.
    """

    template: Template
    config: Knobs
    why: str = field(compare=False, default="")

    @property
    def text(self) -> str:
        """`name{config}`."""
        return f"{self.template.name}{{{self.config.to_text()}}}"


@dataclass(frozen=True)
class Override:
    """A choice from outside: a template by name, and knobs as text (the rest at its default)."""

    template: str = ""
    config: str = ""

    @property
    def text(self) -> str:
        """`name{config}`, as `Choice.text`."""
        return f"{self.template}{{{self.config}}}"

    @classmethod
    def parse(cls, text: str) -> Override:
        """What has this text; whether there is such a template and config `select` says."""
        name, _, config = text.rstrip("}").partition("{")
        return cls(name, config)


def templates() -> list[Template]:
    """All templates, registered ones first, then the table's, most specific first."""
    if not _loaded:
        for module, name in TEMPLATES:
            made: Template = getattr(importlib.import_module(f".{module}", __package__), name)()
            _loaded.append(made)
    return [*_extra, *_loaded]


def register_template(template: Template) -> None:
    """Add a template from outside the tree; it is asked before the built-in ones.

    Raises:
        UsageError: If the name is taken.
    """
    if any(known.name == template.name for known in templates()):
        raise UsageError(f"a template named {template.name!r} exists already")
    _extra.insert(0, template)


def unregister_template(name: str) -> None:
    """Forget a template from outside the tree (for tests). Unknown names are ignored."""
    _extra[:] = [template for template in _extra if template.name != name]


def default_config(template: Template, task: Task) -> Knobs:
    """The config that a task gets without tuning: the template's default, or what replaces it."""
    replaced = _defaults[-1](template, task) if _defaults else None
    return replaced if replaced is not None else template.default(task)


def replace_defaults(defaults: Defaults | None) -> None:
    """Let a function say which config a task gets without tuning, and where a search begins.

    For trying a search out: from bad defaults it has something to find. The function is asked with
    template and task; where it gives None the template's own default holds. None ends it.
    """
    _defaults[:] = [defaults] if defaults is not None else []


def template(name: str) -> Template:
    """The template of this name. Raises UsageError if there is none."""
    for known in templates():
        if known.name == name:
            return known
    known_names = ", ".join(t.name for t in templates())
    raise UsageError(f"no template named {name!r}", hint=f"there are: {known_names}")


def select(task: Task, override: Override | None = None) -> Choice:
    """The template and config for a task.

    Args:
        task: The task.
        override: Take this template and these knobs instead (a tuning record, or a user).

    Raises:
        UsageError: If the override names no template, or one that refuses the task.
        InvalidConfig: If its config does not parse.
    """
    if override is not None and override.template:
        chosen = template(override.template)
        try:
            chosen.check(task)
        except NotApplicable as no:
            raise UsageError(f"template {chosen.name} cannot take this task: {no}") from no
        config = chosen.Config.from_text(override.config, default_config(chosen, task))
        return Choice(chosen, config, f"{chosen.name}: asked for")
    plain = task.level <= levels.ORACLE
    reasons: list[str] = []
    for candidate in templates():
        if plain and candidate.name != GENERIC:
            continue
        try:
            candidate.check(task)
            candidate.prefer(task)
        except NotApplicable as no:
            reasons.append(f"{candidate.name}: no, {no}")
            continue
        reasons.append(f"{candidate.name}: yes" + (", level 1" if plain else ""))
        config = default_config(candidate, task)
        if override is not None and override.config:
            config = type(config).from_text(override.config, config)
        return Choice(candidate, config, "\n".join(reasons))
    raise AssertionError("the generic template takes everything")
