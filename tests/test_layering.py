"""The fences between the rooms: who imports whom, and what stays lazy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# room -> what it may import, of ours and of the libraries that are fenced in
ALLOWED = {
    "ir": {"errors", "networkx"},
    "ir/onnx": {"errors", "ir", "onnx"},
    "passes": {"errors", "ir"},
    "schedules": {"errors", "ir", "tvm"},
    "search": {"errors", "ir", "passes", "schedules"},
    "codegen": {"errors", "ir", "schedules", "search", "runtime", "plugin", "tvm"},
    "runtime": set(),
    "driver": {
        *("errors", "ir", "passes", "schedules", "search", "codegen", "runtime", "plugin", "leip"),
    },
    "cli": {"driver", "errors"},
    "examples": {"ir", "passes", "schedules", "search", "plugin", "tvm"},
}
FENCED = {"tvm", "tvm_ffi", "onnx", "networkx"}
WIRING = ("__init__.py", "errors.py", "plugin.py")
# The few exceptions, each with its reason.
EXCEPTIONS = {
    ("cli/main.py", "leip"): "the version",
    ("codegen/build.py", "leip"): "the version",
}


def python_files() -> list[Path]:
    rooms = sorted({room.partition("/")[0] for room in ALLOWED})
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def imports_of(path: Path) -> Iterator[str]:
    """What a file imports: rooms and root modules of ours by name ("leip" for the root itself),
    other libraries by their top-level name. Imports for type checking only do not count."""
    package = path.relative_to(ROOT).parent.parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            yield from (_name(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            words = (node.module or "").split(".") if node.module else []
            if not node.level:
                yield _name(words)
                continue
            base = list(package[: len(package) - node.level + 1])
            full = base + words
            if full:
                yield _room(full)
            else:
                for alias in node.names:
                    yield alias.name if not alias.name.startswith("__") else "leip"


def _name(words: list[str]) -> str:
    if words[0] == "leip":
        return _room(words[1:]) if words[1:] else "leip"
    return "tvm" if words[0] == "tvm_ffi" else words[0]


def _room(words: list[str]) -> str:
    return words[0]


def room_of(path: Path) -> str:
    folder = path.relative_to(ROOT).parent.as_posix()
    return max((room for room in ALLOWED if f"{folder}/".startswith(f"{room}/")), key=len)


def test_every_import_is_allowed() -> None:
    ours = {room.partition("/")[0] for room in ALLOWED}
    ours |= {Path(name).stem for name in WIRING if name != "__init__.py"} | {"leip"}
    wrong = []
    for path in python_files():
        room = room_of(path)
        name = path.relative_to(ROOT).as_posix()
        for target in imports_of(path):
            if target not in ours | FENCED or target == room.partition("/")[0]:
                continue
            if target not in ALLOWED[room] and (name, target) not in EXCEPTIONS:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_exceptions_are_needed() -> None:
    for name, target in EXCEPTIONS:
        assert target in set(imports_of(ROOT / name)), f"{name} no longer imports {target}"


def test_no_file_stands_outside_the_rooms() -> None:
    assert sorted(path.name for path in ROOT.glob("*.py")) == sorted(WIRING)


@pytest.mark.parametrize("module", ["leip", "leip.runtime", "leip.cli.main", "leip.driver"])
def test_importing_is_light(module: str) -> None:
    heavy = ["tvm", "onnx"] + (["networkx"] if module != "leip.driver" else [])
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_runtime_needs_numpy_only() -> None:
    code = "import sys, leip.runtime; print([m for m in ('rich', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def packages_on_disk() -> list[str]:
    rooms = sorted({room.partition("/")[0] for room in ALLOWED})
    found = {path.parent for room in rooms for path in (ROOT / room).rglob("__init__.py")}
    return sorted(folder.relative_to(ROOT).as_posix() for folder in found)


def test_packages_are_those_of_pyproject() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    names = ["leip", *(f"leip.{package.replace('/', '.')}" for package in packages_on_disk())]
    assert sorted(listed) == sorted(names)


def test_architecture_page_lists_packages_and_files_of_ir() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w/]+)/` \|", page, re.MULTILINE)
    assert sorted(listed) == packages_on_disk()
    files = re.findall(r"^\| `ir/([\w/]+\.py)` \|", page, re.MULTILINE)
    folder = ROOT / "ir"
    on_disk = [p.name for p in folder.glob("*.py") if p.name != "__init__.py"]
    assert sorted(files) == sorted(on_disk)


def test_architecture_page_lists_files_of_search() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`search/.*?) \|", page, re.MULTILINE)
    files = [name for row in rows for name in re.findall(r"`search/(\w+\.py)`", row)]
    on_disk = [p.name for p in (ROOT / "search").glob("*.py") if p.name != "__init__.py"]
    assert sorted(files) == sorted(on_disk)


def test_architecture_page_lists_files_of_x86() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`x86/.*?) \|", page, re.MULTILINE)
    files = [name for row in rows for name in re.findall(r"`x86/(\w+\.py)`", row)]
    folder = ROOT / "schedules" / "x86"
    on_disk = [p.name for p in folder.glob("*.py") if p.name != "__init__.py"]
    assert sorted(files) == sorted(on_disk)


def test_graphs_are_changed_through_their_methods_only() -> None:
    """`.nx` is for reading outside of ir/."""
    words = ("add_edge(", "add_node(", "remove_node(", "remove_edge(")
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        if room_of(path) not in ("ir", "ir/onnx")
        and any(word in path.read_text(encoding="utf-8") for word in words)
    ]
    assert not wrong
