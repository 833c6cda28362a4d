"""MobileNetV2 for a Raspberry Pi 4, run by an emulator through lre.h, agrees with this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from models import builders

import leip
from leip.codegen.toolchain import find_toolchain
from leip.errors import BuildError
from leip.runtime import sources

TRIPLE = "aarch64-linux-gnu"
SYSROOT = Path("/usr") / TRIPLE


@pytest.fixture(scope="module")
def emulate(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """`emulate(library, x)`: the first output, computed by the C example under qemu."""
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("qemu-aarch64 is missing (Debian: apt install qemu-user)")
    if not (SYSROOT / "lib" / "ld-linux-aarch64.so.1").exists():
        pytest.skip("an aarch64 C library is missing (Debian: apt install libc6-arm64-cross)")
    try:
        toolchain = find_toolchain(TRIPLE)
    except BuildError as error:
        pytest.skip(error.message)
    folder = tmp_path_factory.mktemp("aarch64")
    program = folder / "run_lre"
    source = sources.INCLUDE / "examples" / "run_lre.c"
    flags = ["-std=c11", "-O2", "-I", str(sources.INCLUDE), str(source), "-o", str(program), "-ldl"]
    subprocess.run([*toolchain.command, *flags], check=True)

    def run(library: Path, x: np.ndarray) -> np.ndarray:
        x.tofile(folder / "x.bin")
        command = [qemu, "-cpu", "cortex-a72", "-L", str(SYSROOT), str(program), str(library)]
        options = ["--threads", "2", "--runs", "1", "--output-dir", str(folder)]
        done = subprocess.run([*command, *options, str(folder / "x.bin")], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return np.fromfile(folder / "0.bin", dtype=np.float32)

    return run


def test_mobilenet_v2(emulate, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = builders.save(builders.mobilenet_v2(), tmp_path / "mobilenet_v2.onnx")
    arm = leip.compile(
        model,
        tmp_path / "arm",
        target=f"llvm -device=arm_cpu -model=bcm2837 -mtriple={TRIPLE} -mcpu=cortex-a72",
        threads=2,
    )
    assert tuple(map(int, arm.glibc.split("."))) <= (2, 28)
    here = leip.load(leip.compile(model, tmp_path / "here", threads=2).path)
    feeds = here.random_inputs(3)
    wanted = next(iter(here.infer(feeds).values()))
    other = next(iter(here.infer(here.random_inputs(4)).values()))
    got = emulate(arm.library, next(iter(feeds.values()))).reshape(wanted.shape)
    assert np.abs(got - wanted).max() <= 5e-4 * np.abs(wanted - other).max()
