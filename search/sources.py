"""Which sources a kernel of a template depends on, as a hash: a log outlives all other changes."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ..ir.own_sources import own_sources
from ..schedules import compute
from ..schedules.task import Task
from ..schedules.template import Template

__all__ = ["source_files", "source_of"]

_PACKAGE = compute.__name__.rpartition(".")[0]  # leip.schedules
_ROOT = _PACKAGE.rpartition(".")[0]
# how every scheduled kernel becomes an object file
_ALWAYS = (f"{_ROOT}.codegen.kernel_object", f"{_ROOT}.codegen.lowering")

_WITH = ":"  # between the name of a plugin's module and the file that it imports


def source_of(template: Template, task: Task) -> str:
    """Hash, in hex, of the sources that a task's kernel depends on if this template makes it.

    See `source_files`.
    """
    return _digest(_modules(template, task))


def source_files(template: Template, task: Task) -> tuple[Path, ...]:
    """The files whose hash that is.

    These are the template's own module and the computes of the task's ops, and what makes an object
    file of every kernel, with all modules of `schedules/` that they import, directly or not; for
    those of plugins, the plugin's file and what it imports from beside it (`own_sources`).
    """
    return tuple(_files(_modules(template, task)).values())


def _modules(template: Template, task: Task) -> frozenset[str]:
    modules = {type(template).__module__}
    modules |= {
        compute.compute_of(n.op).__module__ for n in task.nodes if compute.has_compute(n.op)
    }
    return frozenset(modules)


@functools.cache
def _digest(modules: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for name, path in _files(modules).items():
        # the name of a plugin's module depends on where its file stands
        if _is_plugins(name):
            name = f"plugin{''.join(name.partition(_WITH)[1:])}"
        digest.update(name.encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(modules: frozenset[str]) -> dict[str, Path]:
    """The files of modules and of those that they import, by name, in the order of names."""
    files: dict[str, Path] = {}
    waiting = sorted({*modules, *_ALWAYS})
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in files or path is None:
            continue
        files[name] = path
        own = own_sources(path) if _is_plugins(name) else {}
        files.update((f"{name}{_WITH}{relative}", helper) for relative, helper in own.items())
        for file in (path, *own.values()):
            with contextlib.suppress(SyntaxError):  # a plugin may do without what it cannot import
                waiting += [found for found in _imports(name, file) if _is_ours(found)]
    return dict(sorted(files.items()))


def _is_ours(module: str) -> bool:
    """Whether a module is of `schedules/`."""
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def _is_plugins(module: str) -> bool:
    return not _is_ours(module) and module not in _ALWAYS


def _file(module: str) -> Path | None:
    """The file of a module; None if it is none that a kernel depends on."""
    if _is_plugins(module):
        loaded = getattr(sys.modules.get(module), "__file__", None)
        return Path(loaded) if loaded else None
    path = Path(__file__).parent.parent.joinpath(*module.split(".")[len(_ROOT.split(".")) :])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    path = path.with_suffix(".py")
    return path if path.is_file() else None


def _imports(module: str, path: Path) -> Iterator[str]:
    """Full names of what a file imports: modules, and names in them, which may be modules."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
