"""Which files of its author's a Python file depends on: what it imports from beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["own_sources"]


def own_sources(path: Path) -> dict[str, Path]:
    """The modules that a Python file imports, directly or not, and that stand with it.

    These are modules and packages in its folder and, if the folder is a package, in that around it.
    They are found by reading, so that the answer is the same before and after an import. What is
    imported elsewhere, from the standard library or from what is installed, is not followed.

    Args:
        path: The file. What cannot be read or parsed in it imports nothing.

    Returns:
        Files by their paths relative to the outermost folder, in that order; without `path` itself.
    """
    path = path.resolve()
    roots = _roots(path)
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        for file in _imported(waiting.pop(), roots):
            if file not in found and file != path:
                found.add(file)
                waiting.append(file)
    return {
        file.relative_to(roots[-1]).as_posix(): file
        for file in sorted(found)
        if file.is_relative_to(roots[-1])  # no link to somewhere else
    }


def _roots(path: Path) -> list[Path]:
    """The folders whose modules are its own: its own one, and that which holds its package."""
    top = path.parent
    while (top / "__init__.py").is_file() and top != top.parent:
        top = top.parent
    return list(dict.fromkeys([path.parent, top]))


def _imported(path: Path, roots: list[Path]) -> Iterator[Path]:
    for base, names in _imports(path):
        for folder in [base] if base is not None else roots:
            if folder.is_relative_to(roots[-1]):
                yield from _files(folder, names)


def _files(folder: Path, names: list[str]) -> Iterator[Path]:
    """The files that `import a.b.c` runs, if `a` is in the folder."""
    for name in names:
        module = folder / f"{name}.py"
        folder = folder / name
        if (folder / "__init__.py").is_file():
            yield (folder / "__init__.py").resolve()
        elif module.is_file():
            yield module.resolve()
            return
        elif not folder.is_dir():
            return


def _imports(path: Path) -> Iterator[tuple[Path | None, list[str]]]:
    """What a file imports: the folder that a relative import begins in, and the names from there.

    A name in a module may be a module, too.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((None, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[min(node.level, len(path.parents)) - 1] if node.level else None
            module = node.module.split(".") if node.module else []
            yield from ((base, [*module, alias.name]) for alias in node.names)
