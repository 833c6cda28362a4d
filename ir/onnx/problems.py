"""Everything that keeps a model from being compiled, collected and told at once."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ModelError

MAX_GROUPS = 12
MAX_NAMES = 3


class Unsupported(Exception):
    """Raised by an import rule for a node that it cannot express.

    Args:
        what: What is not supported.
        hint: What can be done about it; "" for the general advice.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass(frozen=True)
class Problem:
    """One node that cannot be imported.

    Attributes:
        op: Op type, with its domain if that is not ONNX's own ("" for a problem of the model).
        node: Name of the node (see `Call.name`).
        opset: Version of the domain's opset that the model asks for.
        what: What is wrong or not supported.
        hint: What can be done about it.
    """

    op: str
    node: str
    opset: int
    what: str
    hint: str = ""


class ImportProblems(ModelError):
    """What `import_model` raises for a model that it read but cannot express.

    Attributes:
        problems: All of them.
    """

    def __init__(self, message: str, where: str, hint: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(message, where, hint)
        self.problems = problems


class Problems:
    """The problems of one model, in the order in which they were met."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: Problem) -> None:
        self._found.append(problem)

    def raise_if_any(self, where: str) -> None:
        """Raise one ImportProblems that lists all problems, equal ones grouped, on one screen."""
        if not self._found:
            return
        groups: dict[tuple[str, int, str, str], list[str]] = {}
        for p in self._found:
            groups.setdefault((p.op, p.opset, p.what, p.hint), []).append(p.node)
        total = len(self._found)
        head = "1 node of the model" if total == 1 else f"{total} nodes of the model"
        lines = [f"{head} cannot be compiled"]
        for (op, opset, what, hint), names in list(groups.items())[:MAX_GROUPS]:
            lines.append(f"  {op} (opset {opset}): {what}")
            lines.append(f"    {_names(names)}")
            if hint:
                lines.append(f"    {hint}")
        if len(groups) > MAX_GROUPS:
            lines.append(f"  ... and {len(groups) - MAX_GROUPS} more kinds of problems")
        advice = _general_advice(self._found)
        raise ImportProblems("\n".join(lines), where, advice, tuple(self._found))


def _names(names: list[str]) -> str:
    listed = ", ".join(repr(name) for name in names[:MAX_NAMES])
    more = f", ... ({len(names)} nodes)" if len(names) > MAX_NAMES else ""
    return f"{'node' if len(names) == 1 else 'nodes'} {listed}{more}"


def _general_advice(found: list[Problem]) -> str:
    if all(problem.hint for problem in found):
        return ""
    return (
        "Export the model with simpler ops, cut it before these nodes"
        " (onnx.utils.extract_model), or add an import rule with --plugin."
    )
