"""Which register tile: a small analytic model of an outer-product kernel.

A tile is `vectors` vector registers wide (channels or columns of B) and `points` high (pixels or
rows of A). One step of the reduction loads `vectors` weights, broadcasts `points` scalars and does
`vectors * points` multiply-adds. Four things bound it: the FMA ports, the latency of a chain of
accumulations, the two load ports, and what streams from L2: weights past the first-level cache, and
scalars whose lines push each other out of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...ir.dtypes import DType
from ...ir.target import Target

__all__ = [
    "L2_BYTES_PER_CYCLE",
    "L3_BYTES_PER_CYCLE",
    "LINE",
    "MEMORY_BYTES_PER_CYCLE",
    "NARROW",
    "NARROW_L3_BYTES_PER_CYCLE",
    "PREFETCHED",
    "REMOTE_BYTES_PER_CYCLE",
    "SPILL",
    "SUM_CYCLES",
    "TILE_CYCLES",
    "WAITED",
    "Machine",
    "balance",
    "chunks",
    "filled",
    "overlapped",
    "rounds",
    "waits_for_weights",
]

LINE = 64  # bytes of a cache line
PAGE = 4096  # bytes of a page of memory

FMA_LATENCY = 4.25  # cycles; 4, and a little to hide the loads behind (5 before Skylake and Zen 3)
LOAD_PORTS = 2  # vector loads per cycle
BROADCAST = 1.25  # of a vector load: scalars a few lines apart meet in one bank of the L1 cache
MOVED = 4  # registers more for a tile of one vector, if its broadcasts are not operands
L2_BYTES_PER_CYCLE = 20.0  # sustained; the peak of 32-64 is not reached with many streams
L3_BYTES_PER_CYCLE = 8.0  # sustained by one core
NARROW_L3_BYTES_PER_CYCLE = 20.0  # of cores without AVX-512; 25 by AVX2 loads of a Zen 5
MEMORY_BYTES_PER_CYCLE = 3.0
REMOTE_BYTES_PER_CYCLE = 16.0  # lines that another core has changed, read by one core
# Weights that a kernel reads first from beyond the second-level cache: the share of the time from
# the third level that is not hidden behind arithmetic. In a model they mostly come from memory.
WAITED, PREFETCHED = 1.3, 0.1
WAITED_AGAIN = 0.25  # of the time from the second level, for weights that a later band reads again
NARROW = 1.1  # time of the same arithmetic in twice as many instructions of half the lanes
SPILL = 2.0  # more cost of a tile that needs twice the registers, for searches, which see such too
NOT_HIDDEN = 1 / 16  # of the time of a stream: arithmetic in front of it does not hide that much
CHAINED = 4  # how sharply multiply-adds and their latency limit a step together
LOOP_CYCLES = 0.5  # loop control and address arithmetic of a step
TILE_CYCLES = 10  # the same of a tile
FINISH_CYCLES = 2.0  # of a vector of results: an epilogue of a few instructions, and its store
SUM_CYCLES = 3.0  # of a vector of partial sums: it is loaded, added and stored


@dataclass(frozen=True)
class Machine:
    """What the model needs to know about a core."""

    lanes: int
    registers: int
    ports: int
    broadcast_operand: bool  # FMAs can broadcast from memory themselves (AVX-512)
    l1: int
    l2: int
    l3: int

    @classmethod
    def of(cls, target: Target, dtype: DType = DType.F32) -> Machine:
        return cls(
            target.lanes(dtype),
            max(target.vector_registers, 8),
            max(target.fma_ports, 1),
            target.has("avx512f"),
            target.caches.l1,
            target.caches.l2,
            target.caches.l3,
        )

    def narrowed(self, lanes: int) -> Machine:
        """The same core with shorter vectors: one port of 512 bits is two of 256."""
        if lanes == self.lanes:
            return self
        return dataclasses.replace(self, lanes=lanes, ports=max(self.ports, 2))

    def held(self, vectors: int, points: int) -> int:
        """Registers that a tile takes: accumulators, weights and one broadcast.

        A broadcast that is used once ends in the register of its product (LLVM makes `vfmadd213` of
        it), so the accumulators of a tile of one vector change places with every step. Where that
        takes copies, they are copied to the stack and back: 12 points ran at half the speed of 10,
        14 at a quarter (Zen 3).
        """
        moved = MOVED if vectors == 1 and not self.broadcast_operand else 0
        return vectors * points + vectors + 1 + moved

    def fits(self, vectors: int, points: int, constants: int = 0) -> bool:
        """Whether a tile stays in registers, beside `constants` of what is computed of it."""
        return self.held(vectors, points) + constants <= self.registers

    def spilled(self, vectors: int, points: int) -> float:
        """Registers that a tile takes beyond those that there are, as a share of them."""
        return max(0, self.held(vectors, points) - self.registers) / self.registers

    def collide(self, lines: int, stride: int) -> bool:
        """Whether lines that stand `stride` bytes apart push each other out of the L1 cache.

        Its sets are chosen by the address within a page, so it has `l1 / PAGE` ways; lines a
        multiple of a page apart share one set.
        """
        sets = min(PAGE // math.gcd(stride, PAGE), PAGE // LINE)
        return rounds(lines, sets) > self.l1 // PAGE

    def step_cycles(
        self,
        vectors: int,
        points: int,
        weights_in_l1: bool,
        points_in_l1: bool = True,
        chained: bool = False,
    ) -> float:
        """Cycles of one reduction step of a tile; `chained`: see `chain_cycles`."""
        work = vectors * points / self.ports
        loads = (vectors + points) / LOAD_PORTS
        if not self.broadcast_operand:
            loads += points * (BROADCAST - 1) / LOAD_PORTS
        elif vectors == 1:
            loads = max(loads, work)  # a broadcast operand is a load, but takes no slot of its own
        stream = 0.0 if weights_in_l1 else vectors * self.lanes * 4 / L2_BYTES_PER_CYCLE
        if not points_in_l1:  # every scalar brings its line again
            stream += points * LINE / L2_BYTES_PER_CYCLE
        if chained:
            others = max(FMA_LATENCY, loads, stream) + LOOP_CYCLES
            return max(self.chain_cycles(vectors, points), others)
        return max(work, FMA_LATENCY, loads, stream) + LOOP_CYCLES

    def chain_cycles(self, vectors: int, points: int) -> float:
        """Cycles of a step by its multiply-adds and their latency together.

        Few registers hold few chains of multiply-adds, and the fewer there are beyond those that
        hide the latency, the more often a port finds none that is ready: 8, 10 and 12 chains took
        4.97, 5.39 and 6.14 cycles a step on a Zen 5, not 4.25, 5 and 6.
        """
        work = vectors * points / self.ports
        return float((work**CHAINED + FMA_LATENCY**CHAINED) ** (1 / CHAINED))

    def finish_cycles(self, vectors: int, points: int) -> float:
        """Cycles from a tile's sums to its output: a burst that the store queue must take."""
        tile = vectors * points
        return FINISH_CYCLES * tile * (1 + tile / self.registers)

    def stream_cycles(self, size: int, times: int, rate: float = L3_BYTES_PER_CYCLE) -> float:
        """Cycles to read `size` bytes again `times` times, if they do not stay in L2.

        `rate`: bytes a cycle from the third level, where they stay there.
        """
        if size <= self.l2 // 2:
            return 0.0
        return size * times / (rate if size <= self.l3 else MEMORY_BYTES_PER_CYCLE)


def waits_for_weights(size: int, share: float, visits: int) -> float:
    """Cycles that tiles wait for weights of so many bytes.

    Args:
        size: Bytes of all weights.
        share: `WAITED` or `PREFETCHED`, by the first tile of every panel: its weights come from
            beyond the second-level cache.
        visits: Bands whose first tiles wait for weights from that level; 0 if they do not.
    """
    return size * share / L3_BYTES_PER_CYCLE + size * visits / L2_BYTES_PER_CYCLE * WAITED_AGAIN


def overlapped(body: float, again: float) -> float:
    """Cycles of arithmetic and of a stream that is read behind it: of the longer one, nearly."""
    return max(body + again * NOT_HIDDEN, again)


def rounds(total: int, size: int) -> int:
    """Tiles of `size` that cover `total`."""
    return -(-total // size)


def filled(lanes: int, size: int) -> int:
    """Lanes of the longest vectors, down to four, that a run of `size` elements fills."""
    while size < lanes and lanes > 4:
        lanes //= 2
    return lanes


def chunks(total: int, limit: int) -> Iterator[int]:
    """Sizes up to `limit` that cover `total` in equal parts as well as they can, largest first."""
    seen: set[int] = set()
    for count in range(1, total + 1):
        size = rounds(total, count)
        if size <= limit and size not in seen:
            seen.add(size)
            yield size
        if size == 1:
            return


def balance(tasks: int, threads: int) -> float:
    """Time of `tasks` equal tasks on `threads` threads over the ideal; 1 is perfect."""
    return rounds(tasks, threads) * threads / tasks
