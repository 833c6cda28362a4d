from __future__ import annotations

import platform
from pathlib import Path

import pytest

from leip.codegen.cpus import CPUS, MODELS
from leip.codegen.host_caches import host_caches
from leip.codegen.resolver import resolve, runs_here, tvm_target
from leip.errors import TargetError
from leip.ir.target import Caches, Target


def test_host_runs_here_and_has_only_what_is_there() -> None:
    target = resolve("llvm")
    assert runs_here(target) == ""
    assert target == resolve("llvm -mcpu=native")
    assert Target.parse(str(target)) == target


def test_host_features_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    from leip.codegen import resolver

    monkeypatch.setattr(resolver, "_host_cpu", lambda: "skylake-avx512")
    monkeypatch.setattr(resolver, "_host_triple", lambda: "x86_64-linux-gnu")
    monkeypatch.setattr(resolver.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(
        resolver, "_host_features", lambda arch: resolver.checked_features(arch) - {"avx512f"}
    )
    target = resolve("llvm")
    assert target.cpu == "skylake-avx512"
    # what needs avx512f goes with it, and the code generator is told
    assert not any(name.startswith("avx512") for name in target.features)
    assert target.vector_bits == 256
    assert "-avx512f" in [str(item) for item in tvm_target(target).attrs["mattr"]]


@pytest.mark.parametrize(
    ("text", "cpu", "bits", "registers"),
    [
        ("llvm -mcpu=skylake", "skylake", 256, 16),
        ("llvm -mcpu=skylake-avx512", "skylake-avx512", 512, 32),
        ("llvm -mcpu=x86-64", "x86-64", 128, 16),
        ("llvm -mcpu=skylake-avx512 -mattr=-avx512f", "skylake-avx512", 256, 16),
        ("llvm -mcpu=cortex-a72 -mtriple=aarch64-linux-gnu", "cortex-a72", 128, 32),
        ("llvm -mcpu=cortex-a76", "cortex-a76", 128, 32),
        ("llvm -model=bcm2837", "cortex-a53", 128, 32),
        ("llvm -device=arm_cpu -mtriple=aarch64-linux-gnu", "generic", 128, 32),
    ],
)
def test_known_cpus(text: str, cpu: str, bits: int, registers: int) -> None:
    target = resolve(text)
    assert (target.cpu, target.vector_bits, target.vector_registers) == (cpu, bits, registers)
    assert target.features == tuple(sorted(target.features))


def test_the_pages_command() -> None:
    target = resolve(
        "llvm -device=arm_cpu -model=bcm2837 -mtriple=aarch64-linux-gnu -mattr=+neon "
        "-mcpu=cortex-a72"
    )
    assert (target.arch, target.cpu, target.triple) == ("arm", "cortex-a72", "aarch64-linux-gnu")
    # a Raspberry Pi 4 has no AES, so an object must not ask for it
    assert target.features == ("crc", "fp-armv8", "neon")


def test_triples_are_normalised() -> None:
    assert resolve("llvm -mcpu=skylake -mtriple=x86_64-pc-linux-gnu").triple == "x86_64-linux-gnu"
    assert resolve("llvm -mtriple=arm64-unknown-linux").triple == "aarch64-linux-gnu"


def test_attributes_are_spelled_out() -> None:
    target = resolve("llvm -mcpu=x86-64 -mattr=+avx2,+fma")
    assert {"avx", "avx2", "fma", "sse4.2"} <= set(target.features)
    mattr = [str(item) for item in tvm_target(target).attrs["mattr"]]
    assert "+avx2" in mattr and "+fma" in mattr


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("llvm -mcpu=skylak", "unknown CPU -mcpu=skylak", "skylake"),
        ("llvm -mcpu=cortexa72", "unknown CPU", "cortex-a72"),
        ("llvm -mattr=+avx51f", "unknown feature", "avx512f"),
        ("llvm -mtriple=aarch65-linux-gnu", "no code generator", "aarch64"),
        ("llvm -mtriple=x86_64-pc-windows-msvc", "runs on Linux", "x86_64-linux-gnu"),
        ("llvm -model=bcm283", "unknown -model", "bcm2837"),
        ("llvm -device=arm", "unknown -device", "arm_cpu"),
        ("llvm -mfloat-abi=hard", "-mfloat-abi is not supported", "-mtriple"),
        ("llvm -mcpu=skylake -mtriple=aarch64-linux-gnu", "not an aarch64 CPU", "x86_64"),
        ("llvm -device=arm_cpu -mtriple=x86_64-linux-gnu", "contradict", ""),
        ("llvm -mcpu=i486", "-mcpu=i486 is a 32-bit CPU", "-mcpu=x86-64"),
        ("llvm -mcpu=lakemont", "32-bit CPU", "-mcpu=x86-64"),
        ("llvm -mcpu=x86-64 -mattr=-sse", "needs sse, sse2", "-mattr"),
        ("llvm -mcpu=skylake -mattr=-sse2", "needs sse2", "-mattr"),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=-fp-armv8", "needs fp-armv8", "-mattr"),
        ("cuda:2080ti", "not in this version", "llvm"),
    ],
)
def test_unknown_names(text: str, message: str, hint: str) -> None:
    with pytest.raises(TargetError) as caught:
        resolve(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names an ARM CPU as foreign")
def test_runs_here_tells_why_not() -> None:
    assert "aarch64" in runs_here(resolve("llvm -mcpu=cortex-a72"))
    assert "amx-fp16" in runs_here(resolve("llvm -mcpu=diamondrapids"))


def test_instructions_without_a_check_are_left_out() -> None:
    target = resolve("llvm -mcpu=diamondrapids")
    assert "-egpr" in [str(item) for item in tvm_target(target).attrs["mattr"]]
    with pytest.raises(TargetError, match="cannot check"):
        resolve("llvm -mcpu=diamondrapids -mattr=+egpr")


def _cache(folder: Path, level: int, kind: str, size: str, cpus: str) -> None:
    folder.mkdir(parents=True)
    for name, text in [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", cpus)]:
        (folder / name).write_text(f"{text}\n")


def test_caches_of_this_machine(tmp_path: Path) -> None:
    """Two hyperthreads a core, a third level that 60 others share unseen."""
    folder = tmp_path / "cache"
    _cache(folder / "index0", 1, "Data", "48K", "0,4")
    _cache(folder / "index1", 1, "Instruction", "64K", "0,4")
    _cache(folder / "index2", 2, "Unified", "2M", "0,4")
    _cache(folder / "index3", 3, "Unified", "491520K", "0-7")
    (tmp_path / "topology").mkdir()
    (tmp_path / "topology" / "thread_siblings_list").write_text("0,4\n")
    known = Caches(32 << 10, 256 << 10, 1 << 20)
    assert host_caches(known, folder) == Caches(48 << 10, 2 << 20, 4 << 20)
    (folder / "index3" / "size").write_text("8M\n")
    assert host_caches(known, folder).l3 == 2 << 20, "four cores share it, not eight"


def test_every_model_has_a_known_cpu() -> None:
    assert set(MODELS.values()) <= set(CPUS)


def test_caches_that_the_system_does_not_tell(tmp_path: Path) -> None:
    known = Caches(32 << 10, 256 << 10, 1 << 20)
    assert host_caches(known, tmp_path) == known
    _cache(tmp_path / "index0", 1, "Data", "a lot", "0")
    assert host_caches(known, tmp_path) == known


def test_a_named_cpu_has_the_caches_of_its_kind() -> None:
    target = resolve("llvm -mcpu=skylake-avx512")
    assert target.caches == Caches(32 << 10, 1 << 20, 1408 << 10)
