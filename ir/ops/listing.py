"""The list of ops in docs/ir.md, written from the ops themselves.

python -m leip.ir.ops.listing docs/ir.md
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from ..op import Attrs, OpDef
from ..text import format_item
from . import FAMILIES

BEGIN = "<!-- ops: written by `python -m leip.ir.ops.listing docs/ir.md` -->"
END = "<!-- end of ops -->"


def render() -> str:
    """The list as Markdown."""
    return "\n".join(line for family in FAMILIES for line in _family(family))


def inserted(text: str) -> str:
    """``text`` with the list between its two marks. Raises ValueError if they are missing."""
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{render()}\n{END}{after}"


def _family(family: ModuleType) -> Iterator[str]:
    yield f"### `{family.__name__.rpartition('.')[2]}.py`"
    yield ""
    yield inspect.cleandoc(family.__doc__ or "")
    yield ""
    yield "| op | attributes | fused as |"
    yield "|---|---|---|"
    for definition in family.OPS:
        attrs = ", ".join(_attributes(definition.attrs)) or "none"
        yield f"| `{definition.name}` | {attrs} | {definition.pattern.value} |"
    yield ""
    for rule, names in _rules(family.OPS):
        summary, *constraints = rule
        yield f"{', '.join(f'`{name}`' for name in names)}: {summary}"
        yield ""
        yield from (f"- {constraint}" for constraint in constraints)
        if constraints:
            yield ""


def _attributes(attrs: type[Attrs]) -> Iterator[str]:
    for field in dataclasses.fields(attrs):
        default = ""
        if field.default is not dataclasses.MISSING:
            default = f" = {format_item(field.default)}"
        yield f"`{field.name}: {field.type}{default}`".replace("|", "\\|")


def _rules(definitions: Iterable[OpDef]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Shape rules (summary and constraints) with the ops that share them."""
    rules: dict[tuple[str, ...], list[str]] = {}
    for definition in definitions:
        rules.setdefault(_paragraphs(definition.infer.__doc__ or ""), []).append(definition.name)
    return list(rules.items())


def _paragraphs(docstring: str) -> tuple[str, ...]:
    """Summary, then one line for each constraint."""
    summary, _, rest = inspect.cleandoc(docstring).partition("\n\n")
    constraints: list[str] = []
    for line in rest.splitlines():
        text = line.strip()
        if text.startswith("C") and text.partition(":")[0][1:].isdigit():
            constraints.append(text)
        elif text and constraints:
            constraints[-1] += f" {text}"
    return (" ".join(summary.split()), *constraints)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(inserted(path.read_text()))
