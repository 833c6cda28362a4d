"""Facts about targets, as plain data: no TVM, no LLVM.

What LLVM knows about a CPU (its features, its real name) is asked by `codegen/resolver.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import TargetError
from .dtypes import DType


@dataclass(frozen=True)
class Caches:
    """Data caches of one core, in bytes; l3 is the share that one core can count on."""

    l1: int
    l2: int
    l3: int


@dataclass(frozen=True)
class Target:
    """What code is generated for.

    Attributes:
        kind: Code generator: "llvm" or "cuda".
        arch: "x86", "arm", "cuda" or "generic"; selects the templates.
        triple: LLVM target triple.
        cpu: LLVM's CPU name.
        features: Instruction-set features to use, LLVM's names, sorted.
        vector_bits: Width of the vector registers to use; 0 if there are none.
        vector_registers: How many of them an inner loop may use.
        caches: Data caches.
        fma_ports: Vector multiply-adds started per cycle.
    """

    kind: str
    arch: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bits: int
    vector_registers: int
    caches: Caches
    fma_ports: int = 2

    def has(self, feature: str) -> bool:
        return feature in self.features

    def lanes(self, dtype: DType) -> int:
        """Elements of a vector register; 1 without vectors."""
        return max(1, self.vector_bits // dtype.bits)

    @property
    def splits_vectors(self) -> bool:
        """Whether two vectors of half the lanes take no longer than a full one.

        So it is where 512 bits go through data paths of 256: one full multiply-add a cycle.
        """
        return self.vector_bits >= 512 and self.fma_ports == 1

    def __str__(self) -> str:
        """One line that `Target.parse` reads back."""
        caches = f"{self.caches.l1}/{self.caches.l2}/{self.caches.l3}"
        return (
            f"{self.kind} arch={self.arch} triple={self.triple} cpu={self.cpu} "
            f"vector={self.vector_bits}x{self.vector_registers} caches={caches} "
            f"fma={self.fma_ports} features={','.join(self.features)}"
        )

    @classmethod
    def parse(cls, text: str) -> Target:
        """The inverse of `str`. Raises TargetError if the text is not of that form."""
        kind, *items = text.split()
        facts = dict(item.split("=", 1) for item in items if "=" in item)
        try:
            bits, registers = map(int, facts["vector"].split("x"))
            l1, l2, l3 = map(int, facts["caches"].split("/"))
            features = tuple(name for name in facts["features"].split(",") if name)
            return cls(
                kind,
                facts["arch"],
                facts["triple"],
                facts["cpu"],
                features,
                bits,
                registers,
                Caches(l1, l2, l3),
                int(facts["fma"]),
            )
        except (KeyError, ValueError):
            raise TargetError(f"{text!r} is not the text form of a target") from None


@dataclass(frozen=True)
class TargetRequest:
    """What the user typed after `--target`, split into its flags.

    Attributes:
        kind: "llvm" or "cuda".
        model: What follows the colon of `cuda:2080ti`; "" if nothing.
        flags: The `-name=value` flags in order, for example `("mcpu", "skylake")`.
    """

    kind: str
    model: str = ""
    flags: tuple[tuple[str, str], ...] = ()

    def get(self, flag: str) -> str:
        """The last value given for a flag; "" if none."""
        return next((value for name, value in reversed(self.flags) if name == flag), "")

    def __str__(self) -> str:
        head = f"{self.kind}:{self.model}" if self.model else self.kind
        return " ".join([head, *(f"-{name}={value}" for name, value in self.flags)])

    @classmethod
    def parse(cls, text: str) -> TargetRequest:
        """`llvm -mcpu=skylake -mattr=+avx2`.

        Raises:
            TargetError: If the family is unknown or a flag is not of the form `-name=value`.
        """
        head, *rest = text.split() or [""]
        kind, _, model = head.partition(":")
        if kind not in ("llvm", "cuda"):
            raise TargetError(
                f"unknown target {head!r}", "--target", "known: llvm [-mcpu=… -mtriple=…], cuda"
            )
        flags = []
        for item in rest:
            match = re.fullmatch(r"--?([A-Za-z][\w-]*)=(\S+)", item)
            if match is None:
                raise TargetError(
                    f"{item!r} is not of the form -name=value",
                    "--target",
                    "for example -mcpu=skylake",
                )
            flags.append((match[1], match[2]))
        return cls(kind, model, tuple(flags))
