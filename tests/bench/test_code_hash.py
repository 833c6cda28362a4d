"""Whether two objects hold the same machine code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from code_hash import code_hash

from leip.codegen.toolchain import find_toolchain


def compiled(folder: Path, name: str, source: str) -> Path:
    """A shared object of one C file."""
    file = folder / f"{name}.c"
    file.write_text(source)
    command = [*find_toolchain("x86_64-linux-gnu").command, "-O1", "-shared", "-fPIC"]
    subprocess.run([*command, str(file), "-o", str(folder / f"{name}.so")], check=True)
    return folder / f"{name}.so"


def test_names_do_not_count_and_code_does(tmp_path: Path) -> None:
    first = compiled(tmp_path, "a", "int kernel_1234(int x) { return x * 5 + 1; }")
    same = compiled(tmp_path, "b", "int kernel_5678(int x) { return x * 5 + 1; }")
    other = compiled(tmp_path, "c", "int kernel_1234(int x) { return x * 7 - 2; }")
    assert code_hash(first) == code_hash(same) != code_hash(other)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no object")
    with pytest.raises(ValueError, match="not a little-endian ELF64"):
        code_hash(tmp_path / "text")
