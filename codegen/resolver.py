"""From what the user typed after `--target` to facts, by asking LLVM.

TVM only logs an unknown CPU and goes on with generic code; here every unknown name is an error that
tells the nearest known ones. TVM is imported on first use.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..ir.target import Target, TargetRequest
from ..runtime.sources import cpu_features
from .cpus import CPUS, DEFAULTS, DEVICES, MODELS, REQUIRED, UNCHECKED, UNUSED
from .host_caches import host_caches

__all__ = ["checked_features", "resolve", "runs_here", "tvm_target"]

# Machine part of a triple -> (its usual name, our name of the architecture).
MACHINES = {
    "x86_64": ("x86_64", "x86"),
    "amd64": ("x86_64", "x86"),
    "aarch64": ("aarch64", "arm"),
    "arm64": ("aarch64", "arm"),
}
FLAGS = ("mcpu", "mtriple", "mattr", "device", "model")


def resolve(text: str) -> Target:
    """The facts of a target, given as it is typed after `--target`.

    `llvm` alone, or with `-mcpu=native`, is this machine: LLVM's name of its CPU and those of
    its features that are really there (hypervisors mask some), and its caches as they are.
    `-mcpu` wins over `-model`.

    Raises:
        TargetError: Another form, or an unknown CPU, feature, triple, model, device or flag.
    """
    request = TargetRequest.parse(text)
    if request.kind != "llvm":
        raise TargetError(
            f"target {request.kind!r} is not in this version",
            "--target",
            "use llvm [-mcpu=… -mtriple=… -mattr=…]",
        )
    for name, _ in request.flags:
        if name not in FLAGS:
            raise TargetError(
                f"the flag -{name} is not supported",
                "--target",
                f"supported: {', '.join('-' + flag for flag in FLAGS)}"
                + ("; the ABI follows from -mtriple" if name.endswith("abi") else ""),
            )
    cpu = _wanted_cpu(request)
    triple = _wanted_triple(request, cpu)
    machine, arch = MACHINES[triple.split("-", 1)[0]]
    here = cpu == "native" or (not cpu and _is_host_triple(triple) and not _device(request))
    if here:
        if not _is_host_triple(triple):
            raise TargetError(f"the CPU of this machine is not an {machine}", "-mcpu=native")
        cpu = _host_cpu()
    cpu = cpu or {"x86_64": "x86-64", "aarch64": "generic"}[machine]
    _check_cpu(cpu, triple)
    features = _features(triple, cpu, ())
    if here:
        features &= _host_features(arch)
    features = _with_attributes(triple, cpu, arch, features, request)
    if missing := [name for name in REQUIRED[arch] if name not in features]:
        raise TargetError(
            f"code for {triple} needs {', '.join(missing)}: floats are passed in its registers",
            "--target",
            "leave out the -mattr that turns it off",
        )
    target = _facts(arch, triple, cpu, features)
    return dataclasses.replace(target, caches=host_caches(target.caches)) if here else target


def runs_here(target: Target) -> str:
    """Why this machine cannot run the target's code; empty if it can."""
    machine = target.triple.split("-", 1)[0]
    if not _is_host_triple(target.triple):
        return f"this machine is {platform.machine()}, the target is {machine}"
    missing = [name for name in target.features if name not in _host_features(target.arch)]
    return f"this CPU lacks {', '.join(missing)}" if missing else ""


def tvm_target(target: Target) -> Any:
    """The `tvm.target.Target`: CPU, triple, and every deviation of the features spelled out."""
    import tvm

    mattr = _attributes(target.triple, target.cpu, target.arch, frozenset(target.features))
    spec: dict[str, Any] = {"kind": target.kind, "mtriple": target.triple, "mcpu": target.cpu}
    if mattr:
        spec["mattr"] = list(mattr)
    return tvm.target.Target(spec)


@functools.cache
def checked_features(arch: str) -> frozenset[str]:
    """The features that count: the engine can check for them and compiled code may use them."""
    known = cpu_features({"x86": "x86_64", "arm": "aarch64"}[arch])
    return frozenset(known) - frozenset(UNUSED[arch])


# --- the request ------------------------------------------------------------------------------


def _wanted_cpu(request: TargetRequest) -> str:
    model = request.get("model")
    if model and model not in MODELS:
        raise TargetError(f"unknown -model={model}", "--target", nearest(model, MODELS))
    return request.get("mcpu") or MODELS.get(model, "")


def _device(request: TargetRequest) -> str:
    device = request.get("device")
    if device and device not in DEVICES:
        raise TargetError(f"unknown -device={device}", "--target", nearest(device, DEVICES))
    return DEVICES.get(device, "")


def _wanted_triple(request: TargetRequest, cpu: str) -> str:
    device = _device(request)
    if text := request.get("mtriple"):
        triple = _normal_triple(text)
        if device and not triple.startswith(device):
            raise TargetError(
                f"-device={request.get('device')} and -mtriple={text} contradict each other",
                "--target",
            )
        return triple
    if device:
        return f"{device}-linux-gnu"
    host = _host_triple()
    if not cpu or cpu == "native" or cpu in _cpus(host):
        return host
    other = "x86_64-linux-gnu" if host.startswith("aarch64") else "aarch64-linux-gnu"
    return other if cpu in _cpus(other) else host


def _normal_triple(text: str) -> str:
    machine, *rest = text.split("-")
    hint = "for example -mtriple=x86_64-linux-gnu or -mtriple=aarch64-linux-gnu"
    if machine not in MACHINES:
        raise TargetError(f"no code generator for the machine {machine!r} of -mtriple={text}",
                          "--target", nearest(machine, MACHINES, hint))  # fmt: skip
    system = [part for part in rest if part not in ("unknown", "pc", "none", "conda")]
    if not system:
        system = ["linux", "gnu"]
    if system[0] != "linux" or (len(system) > 1 and system[1] not in ("gnu", "musl")):
        raise TargetError(f"the engine runs on Linux, not on -mtriple={text}", "--target", hint)
    return "-".join([MACHINES[machine][0], "linux", system[1] if len(system) > 1 else "gnu"])


def _check_cpu(cpu: str, triple: str) -> None:
    known = _cpus(triple)
    machine = triple.split("-", 1)[0]
    if cpu in known:
        if machine == "x86_64" and "64bit" not in _llvm_features(triple, cpu, ()):
            raise TargetError(
                f"-mcpu={cpu} is a 32-bit CPU; leip compiles for 64-bit ones",
                "--target",
                "the oldest of them is -mcpu=x86-64",
            )
        return
    for other in ("x86_64-linux-gnu", "aarch64-linux-gnu"):
        if cpu in _cpus(other):
            raise TargetError(
                f"-mcpu={cpu} is not an {machine} CPU", "--target", f"use -mtriple={other}"
            )
    everywhere = [*known, *_cpus("aarch64-linux-gnu")]
    raise TargetError(f"unknown CPU -mcpu={cpu}", "--target", nearest(cpu, everywhere))


def _with_attributes(
    triple: str, cpu: str, arch: str, features: frozenset[str], request: TargetRequest
) -> frozenset[str]:
    wishes: list[str] = []
    known = _all_features(triple)
    for name, value in request.flags:
        if name != "mattr":
            continue
        for item in filter(None, value.split(",")):
            sign, feature = (item[0], item[1:]) if item[0] in "+-" else ("+", item)
            if feature not in known:
                raise TargetError(
                    f"unknown feature -mattr={item}", "--target", nearest(feature, known)
                )
            if sign == "+" and feature in UNCHECKED[arch]:
                raise TargetError(f"the engine cannot check for {feature}", f"-mattr={item}")
            wishes.append(sign + feature)
    if not wishes:
        return _settle(triple, cpu, arch, features)
    base = _attributes(triple, cpu, arch, features)
    return _settle(triple, cpu, arch, _features(triple, cpu, (*base, *wishes)))


def _settle(triple: str, cpu: str, arch: str, features: frozenset[str]) -> frozenset[str]:
    # masking one feature takes along those that need it: ask until nothing changes
    while True:
        again = features & _features(triple, cpu, _attributes(triple, cpu, arch, features))
        if again == features:
            return features
        features = again


def _facts(arch: str, triple: str, cpu: str, features: frozenset[str]) -> Target:
    bits, registers = 0, 0
    if arch == "arm":
        bits, registers = (128, 32) if "neon" in features else (0, 0)
    elif "avx512f" in features:
        bits, registers = 512, 32
    elif "avx" in features:
        bits, registers = 256, 16
    elif "sse2" in features:
        bits, registers = 128, 16
    facts = CPUS.get(cpu, DEFAULTS[arch])
    return Target(
        "llvm",
        arch,
        triple,
        cpu,
        tuple(sorted(features)),
        bits,
        registers,
        facts.caches,
        facts.fma_ports,
    )


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint: the known names closest to a mistyped one."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name.lower(), names, 4, 0.5)
    if not close:
        close = [other for other in names if name.lower() in other][:4]
    if close:
        return f"did you mean {', '.join(close)}?"
    return otherwise or f"known: {', '.join(names[:60])}{' …' if len(names) > 60 else ''}"


# --- LLVM and the host ------------------------------------------------------------------------


@functools.cache
def _cpus(triple: str) -> tuple[str, ...]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    names = codegen.llvm_get_cpu_archlist(TvmTarget({"kind": "llvm", "mtriple": triple}))
    return tuple(sorted(str(name) for name in names))


@functools.cache
def _llvm_features(triple: str, cpu: str, mattr: tuple[str, ...]) -> frozenset[str]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    spec: dict[str, Any] = {"kind": "llvm", "mtriple": triple, "mcpu": cpu}
    if mattr:
        spec["mattr"] = list(mattr)
    return frozenset(str(name) for name in codegen.llvm_get_cpu_features(TvmTarget(spec)))


def _features(triple: str, cpu: str, mattr: tuple[str, ...]) -> frozenset[str]:
    arch = MACHINES[triple.split("-", 1)[0]][1]
    return _llvm_features(triple, cpu, mattr) & checked_features(arch)


def _attributes(triple: str, cpu: str, arch: str, features: frozenset[str]) -> tuple[str, ...]:
    """The `-mattr` list that turns the CPU's own features into exactly `features`."""
    own = _llvm_features(triple, cpu, ())
    off = [name for name in UNCHECKED[arch] if name in own]
    off += sorted((own & checked_features(arch)) - features)
    on = sorted(features - own)
    return (*(f"-{name}" for name in off), *(f"+{name}" for name in on))


@functools.cache
def _all_features(triple: str) -> frozenset[str]:
    known: set[str] = set(checked_features(MACHINES[triple.split("-", 1)[0]][1]))
    for cpu in _cpus(triple):
        known |= _llvm_features(triple, cpu, ())
    return frozenset(known)


@functools.cache
def _host_triple() -> str:
    from tvm.target import codegen

    return _normal_triple(str(codegen.llvm_get_system_triple()))


def _is_host_triple(triple: str) -> bool:
    machine = platform.machine().lower()
    return machine in MACHINES and triple.split("-", 1)[0] == MACHINES[machine][0]


@functools.cache
def _host_cpu() -> str:
    from tvm.target import codegen

    return str(codegen.llvm_get_system_cpu())


# Names in /proc/cpuinfo that differ from LLVM's by more than an underscore.
_CPUINFO_X86 = {
    "sse3": "pni",
    "pclmul": "pclmulqdq",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "rdrnd": "rdrand",
    "bmi": "bmi1",
    "sha": "sha_ni",
    "sahf": "lahf_lm",
    "lzcnt": "abm",
    "avxvnni": "avx_vnni",
    "avxvnniint8": "avx_vnni_int8",
    "avxvnniint16": "avx_vnni_int16",
    "avxneconvert": "avx_ne_convert",
    "avxifma": "avx_ifma",
}
_CPUINFO_ARM = {
    "fp-armv8": "fp",
    "neon": "asimd",
    "crc": "crc32",
    "lse": "atomics",
    "fullfp16": "asimdhp",
    "rdm": "asimdrdm",
    "jsconv": "jscvt",
    "complxnum": "fcma",
    "rcpc": "lrcpc",
    "dotprod": "asimddp",
    "fp16fml": "asimdfhm",
    "rcpc-immo": "ilrcpc",
    "fptoint": "frint",
}


@functools.cache
def _host_features(arch: str) -> frozenset[str]:
    """The checked features that this machine really has."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    renamed = _CPUINFO_X86 if arch == "x86" else _CPUINFO_ARM

    def spellings(name: str) -> set[str]:
        given = renamed.get(name, name)
        spelled = re.sub(r"^avx512(?=[a-z])", "avx512_", name)
        return {given, given.replace("-", "_"), spelled}

    return frozenset(name for name in checked_features(arch) if spellings(name) & flags)
