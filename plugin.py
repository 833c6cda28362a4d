"""Extending leip from outside the tree: passes, ops, templates and searches of your own.

A plugin is a Python file that registers what it brings when it is loaded:

    from leip.plugin import register_op, register_pass, register_template

    register_pass(MyPass, after="canonicalize")
    register_op(MY_OP, compute=my_compute, import_rule=("com.example", "MyOp", my_rule))
    register_template(MyTemplate())

It is named by `leip compile --plugin my.py` (or `plugins=["my.py"]` in Python). The processes that
build kernels load it too, and its source, with that of what it imports from its own folder or
package, is part of the keys of the kernel cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import LeipError, UsageError, line_in

if TYPE_CHECKING:
    from .ir.op import OpDef
    from .passes.base import Pass

__all__ = [
    "digest",
    "fault",
    "load",
    "register_op",
    "register_pass",
    "register_search",
    "register_template",
    "replace_defaults",
]

_loaded: dict[Path, str] = {}


def load(paths: Iterable[str | Path]) -> None:
    """Load plugin files, each once per process.

    Raises:
        UsageError: If a file cannot be read or fails while it is loaded.
    """
    for path in paths:
        resolved = Path(path).resolve()
        if resolved not in _loaded:
            _loaded[resolved] = _digest(resolved)
            try:
                _execute(resolved)
            except BaseException:
                del _loaded[resolved]
                raise


def digest(paths: Iterable[str | Path]) -> str:
    """Hash of the plugins' sources, in the order given, with what they import from beside them.

    It is "" if there are none.
    """
    parts = [_digest(Path(path).resolve()) for path in paths]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def fault(error: BaseException) -> LeipError | None:
    """What to say of an error that came through the code of a plugin; None if it did not."""
    for path in reversed(_loaded):
        if line := line_in(error, str(path)):
            return LeipError(
                f"the plugin fails: {type(error).__name__}: {error}",
                f"{path}:{line}",
                "run again with --debug to see where it was called",
            )
    return None


def register_pass(step: type[Pass], *, after: str = "", before: str = "") -> type[Pass]:
    """Put a pass into the pipeline, after or before the pass of that name.

    Args:
        step: A frozen dataclass derived from `leip.passes.Pass`.
        after: Name of the pass after whose last run it runs, or
        before: name of the pass before whose first run it runs. With neither it can only be run
            by name (`leip opt -p`).

    Raises:
        UsageError: If the name is taken or the place is unknown.
    """
    from .passes.registry import register_pass as register

    return register(step, after=after, before=before)


def register_op(
    definition: OpDef,
    *,
    compute: Callable[..., Any] | None = None,
    import_rule: tuple[str, str, Callable[..., Any]] | None = None,
) -> None:
    """Add an op.

    Args:
        definition: Name, attributes, shape rule and numpy reference.
        compute: `compute(attrs, inputs, out_types, context)`, its meaning in TE on views (see
            docs/writing-an-op.md).
        import_rule: `(domain, ONNX op type, rule)`: how the importer makes it from an ONNX node.

    Raises:
        UsageError: If an op of that name exists already.
    """
    from .ir import op

    op.register(definition)
    if compute is not None:
        from .schedules.compute import register_compute

        register_compute(definition.name, compute)
    if import_rule is not None:
        from .ir.onnx import register_rule

        domain, op_type, rule = import_rule
        register_rule(op_type, rule, domain)


def register_template(template: Any) -> None:
    """Add a schedule template; it is asked before the built-in ones, the last added first."""
    from .schedules.select import register_template as register

    register(template)


def replace_defaults(defaults: Callable[[Any, Any], Any] | None) -> None:
    """Let `defaults(template, task)` say the config of untuned kernels; None: the template does.

    For trying out a search, which begins there (docs/tuning.md).
    """
    from .schedules.select import replace_defaults as replace

    replace(defaults)


def register_search(
    *,
    space: Callable[..., Any] | None = None,
    proposer: Callable[..., Any] | None = None,
    scheduler: Callable[[], Any] | None = None,
    measurer: Callable[[], Any] | None = None,
    judge: Callable[[Path, Path, int, int], Any] | None = None,
) -> None:
    """Put parts of your own into the search (docs/writing-a-search.md).

    Args:
        space: `space(task, template)` gives a `leip.search.space.SearchSpace`, one per task.
        proposer: `proposer(space, seed)` gives a `leip.search.proposer.Proposer`, one per task.
        scheduler: `scheduler()` gives a `leip.search.scheduler.Scheduler`.
        measurer: `measurer()` gives a `leip.search.measurer.Measurer`, for example of another
            machine.
        judge: `judge(before, tuned, threads, level)` runs two objects in turns and gives a
            `leip.codegen.contest.Contest`.
    """
    from .search.registry import register

    register(space=space, proposer=proposer, scheduler=scheduler, measurer=measurer, judge=judge)


def _digest(path: Path) -> str:
    from .ir.own_sources import own_sources

    try:
        digest = hashlib.sha256(path.read_bytes())
        for name, file in own_sources(path).items():
            digest.update(f"\0{name}\0".encode() + file.read_bytes())
        return digest.hexdigest()
    except OSError as error:
        raise UsageError(
            f"cannot read the plugin: {error.strerror}", str(path), "give a Python file"
        ) from None


def _execute(path: Path) -> None:
    name = f"leip_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError("a plugin must be a .py file", str(path), "give a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except LeipError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:  # whatever a user's file raises is its author's news
        del sys.modules[name]
        line = line_in(error, str(path))
        raise UsageError(
            f"the plugin failed to load: {type(error).__name__}: {error}",
            f"{path}:{line}" if line else str(path),
            f"run it alone to see more: python {path}",
        ) from error
