"""What there is to compile: the engine's C files, the flags they need, the features they know."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE / "c"
VERSION_SCRIPT = INCLUDE / "lre.map"
PYTHON_ENGINE = HERE / "lre.py"

ENGINE = tuple(
    INCLUDE / f"{name}.c"
    for name in (
        "engine",
        "infer",
        "tables",
        "pool",
        "tvm_backend",
        "workspace",
        "pages",
        "weights",
        "huge_weights",
        "crc32",
        "cpu_features",
        "limits",
    )
)

# Without -march: the engine must run on any CPU of the architecture, to say what the CPU lacks.
COMPILE_FLAGS = ("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
ARM_FLAGS = ("-mno-outline-atomics",)
LINK_FLAGS = (
    "-shared",
    *("-Xlinker", f"--version-script={VERSION_SCRIPT.name}"),  # relative to where the linker runs
    "-Wl,-Bsymbolic",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
    "-Wl,--gc-sections",
)
LINK_LIBRARIES = ("-lm", "-lpthread")


def headers() -> tuple[Path, ...]:
    """All headers: their content belongs into the key of a cached engine."""
    return tuple(sorted(INCLUDE.glob("*.h")))


def cpu_features(arch: str) -> tuple[str, ...]:
    """The CPU features, by LLVM's names, that an object for "x86_64" or "aarch64" may ask for."""
    macro = {"x86_64": "X86", "aarch64": "ARM64"}[arch]
    text = (INCLUDE / "cpu_features_list.h").read_text(encoding="utf-8")
    return tuple(re.findall(rf'^{macro}\("([^"]+)"', text, re.MULTILINE))
