from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leip.codegen.package import LOCK, OutputFolder
from leip.errors import BuildError, OutputError


def commit(folder: OutputFolder, content: bytes = b"object") -> None:
    library = folder.staging / "modelLibrary.so"
    library.write_bytes(content)
    folder.commit(library, {"build_id": "1"})


def test_folder_and_parents_are_made_and_only_our_files_replaced(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "OUT"
    with OutputFolder(out) as folder:
        commit(folder)
    assert sorted(os.listdir(out)) == ["lre.py", "modelLibrary.so", "model_schema.json"]
    schema = json.loads((out / "model_schema.json").read_text())
    assert schema["build_id"] == "1" and "date" in schema
    (out / "foreign.txt").write_text("mine")
    (out / "optimization_artifacts").mkdir()
    (out / "optimization_artifacts" / "log.json").write_text("{}")
    with OutputFolder(out) as folder:
        commit(folder, b"new")
    assert (out / "modelLibrary.so").read_bytes() == b"new"
    assert (out / "foreign.txt").read_text() == "mine"
    assert (out / "optimization_artifacts" / "log.json").exists()


def test_without_commit_nothing_changes(tmp_path: Path) -> None:
    out = tmp_path / "new" / "OUT"
    with pytest.raises(KeyError), OutputFolder(out) as folder:
        (folder.staging / "half").write_bytes(b"x")
        raise KeyError
    assert not (tmp_path / "new").exists()
    out.mkdir(parents=True)
    (out / "modelLibrary.so").write_bytes(b"old")
    with OutputFolder(out):
        pass
    assert os.listdir(out) == ["modelLibrary.so"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    out = tmp_path / "OUT"
    out.mkdir()
    (out / "modelLibrary.so").write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(out / "x"))

    with pytest.raises(OutputError, match="disk") as caught, OutputFolder(out) as folder:
        monkeypatch.setattr("leip.codegen.package.shutil.copyfile", full)
        commit(folder)
    assert "free some space" in caught.value.hint
    assert os.listdir(out) == ["modelLibrary.so"]
    assert (out / "modelLibrary.so").read_bytes() == b"old"


def test_a_folder_where_a_file_should_stand(tmp_path: Path) -> None:
    """Nothing is replaced then, not even what could be."""
    out = tmp_path / "OUT"
    (out / "modelLibrary.so").mkdir(parents=True)
    (out / "lre.py").write_text("old")
    with (
        pytest.raises(OutputError, match=r"modelLibrary\.so in it is a folder"),
        OutputFolder(out) as folder,
    ):
        commit(folder)
    assert sorted(os.listdir(out)) == ["lre.py", "modelLibrary.so"]
    assert (out / "lre.py").read_text() == "old"


def test_a_linker_that_finds_the_disk_full(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full"), OutputFolder(tmp_path / "OUT"):
        raise BuildError("ld: final link failed: No space left on device", "gcc")
    assert not (tmp_path / "OUT").exists()


def test_a_really_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with pytest.raises(OutputError, match="the disk is full"), OutputFolder(small) as folder:
            commit(folder, b"x" * (1 << 20))
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"), OutputFolder(tmp_path / "file"):
        pass
    with pytest.raises(OutputError), OutputFolder(tmp_path / "file" / "OUT"):
        pass
    if os.getuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(OutputError, match="permission"), OutputFolder(closed / "OUT"):
            pass


def test_two_compiles_into_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from leip.codegen.package import OutputFolder\n"
        f"with OutputFolder({str(tmp_path / 'OUT')!r}):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdin is not None and first.stdout is not None
    assert first.stdout.readline() == "in\n"
    with (
        pytest.raises(OutputError, match=f"process {first.pid} is"),
        OutputFolder(tmp_path / "OUT"),
    ):
        pass
    first.kill()  # even killed it leaves nothing that would block the next one
    first.wait()
    assert (tmp_path / "OUT" / LOCK).exists()
    with OutputFolder(tmp_path / "OUT") as folder:
        commit(folder)
    assert sorted(os.listdir(tmp_path / "OUT")) == [
        "lre.py",
        "modelLibrary.so",
        "model_schema.json",
    ]
