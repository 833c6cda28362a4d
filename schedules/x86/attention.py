"""Attention: softmax(scale * q @ k^T + mask) @ v, the scores of a few rows at a time.

    parallel batch (and band of rows):
        pack k by panels of [depth, keys], v by panels of [keys, width]
        for block of keys: for strip of rows:
            copy the strip of q
            for panel: p[row, key] = Σ q[row, d] * k[d, key]     a register tile of rows x vectors
            p = exp(scale * p + mask - max);  sums               rows, while they are in L1
            for panel: y[row, :] += Σ p[row, key] * v[key, :]    a register tile of rows x vectors
        y / sums

All keys are one block where a strip's scores stay in the first-level cache. Else blocks of keys run
outside of a group of strips, and what a strip has summed up is scaled whenever its maximum grows
(Milakov and Gimelshein, Online normalizer calculation for softmax, 2018): no more than a block of
scores is ever stored.

Rows beyond the last are avoided by a last strip that overlaps the one before it, columns of v
likewise; keys beyond the last have scores of -inf.

Limit: FMA ports; beside the products exp (0.15 ns a score), the rows' maxima and sums, and packing,
4 % at 128 rows and more for fewer.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop, November 2026), share of peak with only
the products counted, 64 wide: 12 heads of 128 tokens with a mask 85 % (of the time the products
take 85 %, exp 6 %, the rest of softmax 5 %, packing 4 %), 12 of 197 tokens 82 %, 2 of 2048 tokens
87 %. Compiled for haswell 78, 82 and 84 %. Two threads, q, k and v slices of one product (a row
of q every 9-12 KB): 12 heads of 197 tokens 84 %, of 577 87 %, 2 of 2048 86 %, 16 of 50 57 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..common import pass_config, workspace_bytes
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, knob, require
from .attention_code import Tiling, write
from .attention_parts import Attention, attention
from .ranked import Ranked
from .tiles import Machine, balance, rounds

__all__ = ["AttentionTemplate"]

# A kernel of less has no parallel loop: it is done sooner than several threads have shared it out.
# Ten times WAKE_FLOPS of codegen/plan.py, which decides about kernels that have one.
FORK_FLOPS = 500_000
STRIPS = 12  # that a block of keys is used for, at most
BLOCKED = 1.1  # time of the same work with sums that are scaled and stored for every block
UNEVEN = 1.05  # of the time that threads would need if the work were cut evenly


@dataclass(frozen=True)
class AttentionConfig(Knobs):
    """Knobs of AttentionTemplate.

    Attributes:
        rows: Rows of a strip.
        key_vectors: Vectors of keys in a register tile of the first product.
        value_vectors: Vectors of columns in a register tile of the second product.
        block: Keys in a block, whole vectors; 0: all.
        strips: Strips that a block of keys is used for before the next.
        bands: Tasks that the rows of a batch are cut into.
    """

    rows: int = knob(6, choices=(1, 4, 6, 8, 12))
    key_vectors: int = knob(4, choices=(1, 2, 3, 4))
    value_vectors: int = knob(4, choices=(1, 2, 3, 4))
    block: int = knob(0, choices=(0, 128, 256, 512))
    strips: int = knob(8, choices=(4, 8, 16))
    bands: int = knob(1)


class AttentionTemplate(Ranked[Attention, AttentionConfig]):
    """See the module's docstring."""

    name = "attention_f32_strips__x86"
    Config = AttentionConfig

    def problem(self, task: Task) -> Attention:
        return attention(task)

    def configs(self, p: Attention) -> Iterator[AttentionConfig]:
        key_vectors, value_vectors = panel_vectors(p)
        for rows in range(1, min(p.rows, p.machine.registers) + 1):
            widest = [v for v in range(1, 9) if p.machine.fits(v, rows)]
            if not widest:
                return
            keys, values = min(widest[-1], key_vectors), min(widest[-1], value_vectors)
            block, bands = block_of(p, rows, keys), bands_of(p, rows)
            yield AttentionConfig(rows, keys, values, block, strips_of(p, rows, bands), bands)

    def cost(self, p: Attention, config: AttentionConfig, threads: int) -> float:
        key_vectors, value_vectors = panel_vectors(p)
        rows = config.rows
        strip = p.depth * panels_cycles(p.machine, rows, key_vectors, config.key_vectors)
        strip += p.keys * panels_cycles(p.machine, rows, value_vectors, config.value_vectors)
        each = rounds(rounds(p.rows, rows), config.bands)  # strips of a task
        if not config.block:
            return strip * each * config.bands
        return BLOCKED * strip * rounds(each, config.strips) * config.strips * config.bands

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, AttentionConfig)
        parts = attention(task)
        lanes = parts.machine.lanes
        sizes = (config.rows, config.key_vectors, config.value_vectors, config.strips, config.bands)
        require(min(sizes) >= 1, "a size is out of range", InvalidConfig)
        require(config.rows <= parts.rows, "there are fewer rows", InvalidConfig)
        require(config.block >= 0 and config.block % lanes == 0, "not whole vectors", InvalidConfig)
        tile = config.rows * max(config.key_vectors, config.value_vectors)
        require(tile <= 2 * parts.machine.registers, "far too many accumulators", InvalidConfig)
        block = config.block if 0 < config.block < parts.keys else 0
        tiling = Tiling(
            config.rows,
            config.key_vectors,
            config.value_vectors,
            block,
            config.strips if block else 1,
            config.bands,
            task.threads > 1 and task.flops >= FORK_FLOPS,
        )
        function = write(parts, tiling)
        return Lowered((function,), workspace_bytes(function), pass_config(task.level))


def panel_vectors(p: Attention) -> tuple[int, int]:
    """Vectors that cover the keys and a row of values."""
    return rounds(p.keys, p.machine.lanes), rounds(p.width, p.machine.lanes)


def panels_cycles(machine: Machine, rows: int, vectors: int, most: int) -> float:
    """Cycles of one step of the reduction over all panels, cut as evenly as they can be."""
    panels = rounds(vectors, most)
    small, wide = divmod(vectors, panels)
    cycles = wide * machine.step_cycles(small + 1, rows, False)
    return cycles + (panels - wide) * machine.step_cycles(small, rows, False)


def block_of(p: Attention, rows: int, key_vectors: int) -> int:
    """Keys in a block: all (0) if a strip's scores leave a panel of k or v some of L1."""
    lanes = p.machine.lanes
    if rounds(p.keys, lanes) * lanes * rows * 4 <= p.machine.l1 * 5 // 8:
        return 0
    panel = key_vectors * lanes
    fit = p.machine.l1 // 4 // (rows * 4)
    return max(fit // panel, 1) * panel


def strips_of(p: Attention, rows: int, bands: int) -> int:
    """Strips of a group, so that the groups of a task are equal."""
    each = rounds(rounds(p.rows, rows), bands)
    return rounds(each, rounds(each, STRIPS))


def bands_of(p: Attention, rows: int) -> int:
    """How many tasks the rows of a batch are cut into, so that threads have equal work."""
    threads = p.task.threads
    most = rounds(p.rows, rows)
    for bands in range(1, most + 1):
        if balance(p.batches * bands, threads) <= UNEVEN:
            return bands
    return most
