"""What LLVM does not tell about CPUs: caches, vector units, boards."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.target import Caches

KB = 1 << 10


@dataclass(frozen=True)
class CpuFacts:
    """Data caches of one core and how many vector multiply-adds it starts per cycle."""

    caches: Caches
    fma_ports: int = 2


def _facts(l1: int, l2: int, l3: int, fma_ports: int = 2) -> CpuFacts:
    return CpuFacts(Caches(l1 * KB, l2 * KB, l3 * KB), fma_ports)


_SKYLAKE_SERVER = _facts(32, 1024, 1408)
_ICELAKE_SERVER = _facts(48, 1280, 1536)
_SAPPHIRE_RAPIDS = _facts(48, 2048, 1920)
_ZEN2 = _facts(32, 512, 4096)
_HASWELL = _facts(32, 256, 2048)
_NEOVERSE = _facts(64, 1024, 1024)

# By LLVM's CPU name; sizes in KB, l3 is one core's share.
CPUS: dict[str, CpuFacts] = {
    "haswell": _HASWELL,
    "broadwell": _HASWELL,
    "skylake": _HASWELL,
    "skylake-avx512": _SKYLAKE_SERVER,
    "cascadelake": _SKYLAKE_SERVER,
    "cooperlake": _SKYLAKE_SERVER,
    # rocketlake is left out: LLVM also takes servers for it whose model a hypervisor masks
    "icelake-client": _facts(48, 512, 2048, 1),
    "tigerlake": _facts(48, 1280, 3072, 1),
    "icelake-server": _ICELAKE_SERVER,
    "sapphirerapids": _SAPPHIRE_RAPIDS,
    "emeraldrapids": _SAPPHIRE_RAPIDS,
    "graniterapids": _SAPPHIRE_RAPIDS,
    "alderlake": _facts(48, 1280, 3072),
    "raptorlake": _facts(48, 2048, 3072),
    "meteorlake": _facts(48, 2048, 3072),
    "arrowlake": _facts(48, 3072, 3072),
    "lunarlake": _facts(48, 2560, 3072),
    "znver1": _facts(32, 512, 2048, 1),
    "znver2": _ZEN2,
    "znver3": _ZEN2,
    # 512-bit operations take two cycles of a 256-bit unit
    "znver4": _facts(32, 1024, 4096, 1),
    "znver5": _facts(48, 1024, 4096),
    "silvermont": _facts(24, 512, 0, 1),
    "goldmont": _facts(24, 1024, 0, 1),
    "tremont": _facts(32, 1024, 1024, 1),
    "cortex-a35": _facts(32, 256, 0, 1),
    "cortex-a53": _facts(32, 512, 0, 1),
    "cortex-a55": _facts(32, 128, 512, 1),
    "cortex-a57": _facts(32, 1024, 0, 1),
    "cortex-a72": _facts(32, 1024, 0, 1),
    "cortex-a73": _facts(32, 1024, 0, 1),
    "cortex-a75": _facts(64, 256, 512, 2),
    "cortex-a76": _facts(64, 512, 512, 2),
    "cortex-a78": _facts(64, 256, 1024, 2),
    "cortex-a78ae": _facts(64, 256, 1024, 2),
    "carmel": _facts(64, 1024, 512, 2),
    "neoverse-n1": _NEOVERSE,
    "neoverse-n2": _NEOVERSE,
    "neoverse-v1": _facts(64, 1024, 1024, 4),
    "neoverse-v2": _facts(64, 2048, 1024, 4),
}

# By architecture: a core that most of its kind are at least as good as.
DEFAULTS: dict[str, CpuFacts] = {
    "x86": _facts(32, 256, 1024),
    "arm": _facts(32, 512, 0, 1),
}

# -model= names a chip or a board; what counts is its CPU.
MODELS: dict[str, str] = {
    "bcm2837": "cortex-a53",  # Raspberry Pi 3
    "bcm2711": "cortex-a72",  # Raspberry Pi 4
    "bcm2712": "cortex-a76",  # Raspberry Pi 5
    "rasp3b": "cortex-a53",
    "rasp4b": "cortex-a72",
    "rasp5": "cortex-a76",
    "rk3399": "cortex-a72",
    "rk3588": "cortex-a76",
    "rk3566": "cortex-a55",
    "hikey960": "cortex-a73",
    "jetson-nano": "cortex-a57",
    "jetson-agx-xavier": "carmel",
    "jetson-orin": "cortex-a78ae",
    "imx8m": "cortex-a53",
    "zynqmp": "cortex-a53",
    "ultra96": "cortex-a53",
    "graviton2": "neoverse-n1",
    "graviton3": "neoverse-v1",
    "graviton4": "neoverse-v2",
}

# -device= names a family of CPUs; it decides the triple where none is given.
DEVICES: dict[str, str] = {
    "arm_cpu": "aarch64",
    "x86_cpu": "x86_64",
    "x86": "x86_64",
}

# What the calling convention of every 64-bit Linux passes floats in: LLVM gives up without.
REQUIRED: dict[str, tuple[str, ...]] = {"x86": ("sse", "sse2"), "arm": ("fp-armv8",)}

# Instructions that the engine has no check for and that LLVM would use by itself: left out.
UNCHECKED: dict[str, tuple[str, ...]] = {
    "x86": ("egpr", "ndd", "nf", "ccmp", "cf", "zu", "ppx", "push2pop2", "cmpccxadd", "movrs"),
    "arm": ("mops", "cssc", "hbc", "flagm", "altnzcv", "rcpc3", "lse128", "wfxt"),
}

# Instructions that compiled code never contains (LLVM emits them for intrinsics only): neither used
# nor stored as needed. A Raspberry Pi 4 has no AES, which LLVM's cortex-a72 has.
UNUSED: dict[str, tuple[str, ...]] = {
    "x86": ("adx", "aes", "fxsr", "mmx", "pclmul", "rdrnd", "rdseed", "sha", "vaes", "vpclmulqdq"),
    "arm": ("aes", "sha2", "sha3", "sm4"),
}
