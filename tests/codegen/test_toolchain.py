from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from leip.codegen.link import link_object
from leip.codegen.toolchain import find_toolchain, run_compiler
from leip.errors import BuildError, UsageError

X86 = "x86_64-linux-gnu"
ARM = "aarch64-linux-gnu"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine with nothing on its PATH and no ziglang."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("leip.codegen.toolchain.importlib.util.find_spec", lambda name: None)
    return monkeypatch


def fake(folder: Path, name: str, exit_code: int, *, writes: bool = True) -> Path:
    """A compiler that says its name and, if it `writes`, makes an ELF head after `-o`."""
    path = folder / name
    head = r"printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0'"
    loop = f'while [ $# -gt 1 ]; do [ "$1" = -o ] && {head} >"$2"; shift; done\n'
    output = loop if writes else ""
    path.write_text(f"#!/bin/sh\necho {name} 1.0\n{output}exit {exit_code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("triple", "package"), [(X86, "gcc"), (ARM, "gcc-aarch64-linux-gnu")])
def test_no_compiler(bare: pytest.MonkeyPatch, triple: str, package: str) -> None:
    with pytest.raises(BuildError, match="no C compiler") as caught:
        find_toolchain(triple)
    assert package in caught.value.hint and "ziglang" in caught.value.hint


def test_order(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    bare.setenv("PATH", f"{folder}:/bin:/usr/bin" if not shutil.which("sh") else str(folder))
    bare.setenv("PATH", str(folder))
    for name in ("gcc", f"{ARM}-gcc", "mine", "asked"):
        fake(folder, name, 0)
    broken = fake(folder, "broken", 1)
    assert find_toolchain(ARM).command[0].endswith(f"/{ARM}-gcc")
    bare.setenv("CC", str(broken))  # $CC for another target is passed over
    assert find_toolchain(ARM).command[0].endswith(f"/{ARM}-gcc")
    bare.setenv("CC", str(folder / "mine"))
    assert find_toolchain(ARM).source == "$CC"
    assert find_toolchain(ARM, str(folder / "asked")).source == "--cc"
    assert "asked 1.0" in str(find_toolchain(ARM, str(folder / "asked")))


def test_a_compiler_that_was_asked_for_and_does_not_work() -> None:
    with pytest.raises(BuildError, match="/nowhere/cc"):
        find_toolchain(X86, "/nowhere/cc")
    gcc = shutil.which("gcc")
    if gcc is not None and sys.platform == "linux":
        other = ARM if "x86_64" in find_toolchain(X86, gcc).triple else X86
        with pytest.raises(BuildError, match="another target"):
            find_toolchain(other, gcc)


def test_a_command_that_succeeds_and_compiles_nothing(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    idle = fake(tmp_path, "idle", 0, writes=False)
    with pytest.raises(BuildError, match="writes nothing"):
        find_toolchain(X86, str(idle))
    fake(tmp_path, "gcc", 0)
    bare.setenv("CC", str(idle))
    assert find_toolchain(X86).source == "PATH"


def unfit(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "folder":
        path.mkdir()
        return path
    path.write_text("#!/bin/sh\nkill -SEGV $$\n" if kind == "crashing" else "no program")
    path.chmod(0o644 if kind == "forbidden" else 0o755)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("folder", "is a folder"),
        ("forbidden", "may not be executed"),
        ("crashing", "ended by signal 11"),
        ("garbage", "Exec format error"),
    ],
)
def test_what_is_wrong_with_a_compiler_is_told(
    bare: pytest.MonkeyPatch, tmp_path: Path, kind: str, said: str
) -> None:
    path = unfit(tmp_path, kind)
    with pytest.raises(BuildError, match=said) as caught:
        find_toolchain(X86, str(path))
    assert str(path) in caught.value.message and "--cc" in caught.value.hint
    bare.setenv("CC", str(path))
    with pytest.raises(BuildError, match=said) as caught:
        find_toolchain(X86)
    assert "$CC" in caught.value.message and str(path) in caught.value.message


@pytest.mark.parametrize("kind", ["forbidden", "crashing"])
def test_a_compiler_that_breaks_after_it_was_found(tmp_path: Path, kind: str) -> None:
    path = unfit(tmp_path, kind)
    with pytest.raises(BuildError, match=r"executed|signal 11") as caught:
        run_compiler([str(path), "-c", "plan.c"], tmp_path)
    assert caught.value.where == str(path) and "--cc" in caught.value.hint


@pytest.mark.parametrize("text", ["gcc '", " ", "''"])
def test_no_command(bare: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(UsageError, match="is no command") as caught:
        find_toolchain(X86, text)
    assert caught.value.where == "--cc"
    bare.setenv("CC", text)
    with pytest.raises(UsageError, match="is no command") as caught:
        find_toolchain(X86)
    assert caught.value.where == "$CC"


def test_what_is_written_must_be_a_shared_object(tmp_path: Path) -> None:
    program = tmp_path / "junk"
    program.write_text('#!/bin/sh\nfor a; do [ "$last" = -o ] && echo junk > "$a"; last=$a; done\n')
    program.chmod(0o755)
    with pytest.raises(BuildError, match="what it writes is no shared object"):
        find_toolchain(X86, str(program))
    with pytest.raises(BuildError, match="no shared object"):
        find_toolchain(X86, "gcc -c")


def test_a_relative_path_is_that_of_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gcc = shutil.which("gcc")
    assert gcc is not None
    (tmp_path / "mine").symlink_to(gcc)
    monkeypatch.chdir(tmp_path)
    assert find_toolchain(X86, "./mine").command[0] == str(tmp_path / "mine")


def test_link_errors_are_told(tmp_path: Path) -> None:
    toolchain = find_toolchain(X86)
    with pytest.raises(BuildError, match="nonsense"):
        link_object(toolchain, "nonsense", {}, [], tmp_path / "x.so", tmp_path)
