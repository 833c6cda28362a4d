"""A non-editable install from a wheel built out of the sdist, in an environment of its own, passes
`leip demo` from another folder; what it compiled runs with numpy alone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
def test_wheel_from_sdist_passes_the_demo(tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in files.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())

    env = tmp_path / "env"
    run(sys.executable, "-m", "venv", env, cwd=tmp_path)
    python = env / "bin" / "python"
    pip = (python, "-m", "pip", "-q", "--disable-pip-version-check")
    run(*pip, "install", "build", cwd=tmp_path)
    # with both: the wheel is built from the sdist
    run(python, "-m", "build", "--outdir", tmp_path / "dist", source, cwd=tmp_path)
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"runtime/c/engine.c", "runtime/c/lre.h", "examples/digits_test.npz"} <= packed
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    for name in ("runtime/lre.py", "runtime/c/engine.c", "runtime/c/lre.map", "codegen/peak.c"):
        assert f"leip/{name}" in inside
    assert {"leip/py.typed", "leip/examples/digits_mobile.onnx"} <= inside
    assert not any(name.startswith(("tests/", "bench/", "leip/tests")) for name in inside)

    # TVM and the like come from this environment: only leip itself is what is tried here
    run(*pip, "install", "--no-deps", wheel, cwd=tmp_path)
    others = {"PYTHONPATH": ""}
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
                    cwd=tmp_path).strip())  # fmt: skip
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    away = tmp_path / "away"
    away.mkdir()
    where = run(python, "-c", "import leip; print(leip.__file__)", cwd=away, env=others)
    assert Path(where.strip()).is_relative_to(env)
    text = run(env / "bin" / "leip", "demo", cwd=away, env=others)
    assert "accuracy" in text and "it is a 7" in text
    assert (away / "leip-demo" / "modelLibrary.so").exists()

    alone = tmp_path / "alone"
    run(sys.executable, "-m", "venv", alone, cwd=tmp_path)
    bare = alone / "bin" / "python"
    run(bare, "-m", "pip", "-q", "--disable-pip-version-check", "install", "numpy", cwd=tmp_path)
    text = run(bare, "leip-demo/lre.py", "leip-demo", cwd=away, env=others)
    assert "output logits: float32[1, 10]" in text
