"""The code in README and docs/ runs.

- ```` ```console ```` blocks: every line `$ leip …` is run; it must end with 0, or, if the block
  shows `error: …` after it, fail with that line. `no-run` after the language skips a block.
- ```` ```python run ```` blocks are run; those of one page share their names.
- ```` ```python file=my_pass.py ```` blocks are written to that file for the blocks after them.

All blocks of a page run in order in one folder, where `model.onnx` is a small image classifier with
the input `image`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Block(NamedTuple):
    language: str
    options: tuple[str, ...]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start, info = 0, ""
    for number, line in enumerate(lines, 1):
        if start and line.strip() == "```":
            words = info.split() or [""]
            text = "\n".join(lines[start : number - 1])
            found.append(Block(words[0], tuple(words[1:]), text, start))
            start = 0
        elif not start and line.startswith("```"):
            start, info = number, line[3:]
    return found


def run_console(block: Block, folder: Path) -> None:
    lines = block.text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("$ leip "):
            continue
        shown = lines[number + 1] if number + 1 < len(lines) else ""
        done = subprocess.run(
            [sys.executable, "-m", "leip.cli.main", *shlex.split(line)[2:]],
            cwd=folder,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if shown.startswith("error: "):
            assert done.returncode in (1, 2) and done.stderr.splitlines()[0] == shown, line
        else:
            assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, tmp_path: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_onnx, "model.onnx")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if "no-run" in block.options:
            continue
        files = [option[5:] for option in block.options if option.startswith("file=")]
        if files:
            Path(files[0]).write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "console":
            run_console(block, tmp_path)
        elif block.language == "python" and "run" in block.options:
            code = compile(block.text, f"{page.name}:{block.line}", "exec")
            exec(code, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_readme_commands_are_one_line_each() -> None:
    """They make the environment themselves; CI runs the second as it stands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", text, re.MULTILINE)
    assert len(commands) == 2
    assert "leip demo" in commands[0] and "pytest" in commands[1]
    assert "LEIP_VERIFY=2" in commands[1]


def test_every_flag_is_on_the_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for source in sorted((ROOT / "cli").glob("*.py")):
        flags = re.findall(r'"(--[a-z_]+)"', source.read_text(encoding="utf-8"))
        missing = [flag for flag in flags if flag not in page and flag != "--version"]
        assert not missing, f"{source.name}: {missing}"


def test_every_environment_variable_is_on_the_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rooms = ("cli", "codegen", "driver", "ir", "passes", "runtime", "schedules", "bench")
    sources = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    names = {
        name
        for path in sources
        for name in re.findall(
            r'(?:environ(?:\.get)?[\[(]|_VARIABLE = )"([A-Z_]+)"', path.read_text(encoding="utf-8")
        )
    }
    assert {"LEIP_CACHE_DIR", "LEIP_VERIFY"} <= names
    missing = [name for name in sorted(names - {"PATH"}) if name not in page]
    assert not missing


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]]
    missing = [page for page in pages if f"({page})" not in index and page != "index.md"]
    assert not missing


@pytest.mark.parametrize(
    "plugin", sorted((ROOT / "examples" / "plugins").glob("*.py")), ids=lambda path: path.name
)
def test_every_example_plugin_stands_on_its_page(plugin: Path) -> None:
    page = ROOT / "docs" / f"writing-{_article(plugin.stem.removeprefix('my_'))}.md"
    assert plugin.read_text(encoding="utf-8") in page.read_text(encoding="utf-8")


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'}-{noun}"
