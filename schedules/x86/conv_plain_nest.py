"""The loop nest of convolutions of plain images: its bands, its TE form and its schedule.

parallel (group, band, part of the features):
  [for chunk of channels:]
    pad: the band's inputs, split by phases
    for tile of features:
      for tile of pixels:
        for channel, kh, kw:
          unrolled features x vectors: acc += w * x
      [ sum += acc]
      out: the epilogue of the band's rows, with chunks after the last one

Why so stands in `conv_plain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ..template import Knobs, Pack, knob
from ..view import View, const, guarded, materialise, simplify
from .anchored import Anchored, lower_anchored
from .conv_shape import ConvShape, at_pixel
from .moves import axes_of, unroll_loops
from .pixels import Row
from .tiles import Machine, rounds

__all__ = [
    "Band",
    "ConvPlainConfig",
    "Problem",
    "band_of",
    "compute",
    "reads_once",
    "row_vector",
    "schedule",
    "tiles_of",
]

MOST_UNROLLED = 200  # multiply-adds of a row of the window; LLVM kept sums of 264 in memory


@dataclass(frozen=True)
class ConvPlainConfig(Knobs):
    """Knobs of ConvPlain.

    Attributes:
        features: Output features of a tile.
        vectors: Vectors of pixels of a tile.
        rows, cols: Output pixels of a band.
        parts: Tasks that share the tiles of features of a band; each copies what the band reads.
        chunks: Equal chunks of the channels of a group, copied one after the other.
    """

    features: int = knob(8, choices=(1, 2, 4, 6, 8, 12))
    vectors: int = knob(3, choices=(1, 2, 3, 4, 6))
    rows: int = knob(8, choices=(1, 2, 4, 8, 16, 32))
    cols: int = knob(64, choices=(48, 64, 96, 128, 192, 256))
    parts: int = knob(1, choices=(1, 2, 4))
    chunks: int = knob(1, choices=(1, 2, 4, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it; `row` is the row of pixels that the image is, or None."""

    parts: Anchored
    shape: ConvShape
    machine: Machine
    buffered: bool
    row: Row | None = None

    @property
    def lanes(self) -> int:
        return self.machine.lanes


def tiles_of(shape: ConvShape, config: ConvPlainConfig) -> int:
    """Tiles of features of a group: as many in each part."""
    return rounds(rounds(shape.group_features, config.features), config.parts) * config.parts


def reads_once(p: Problem, config: ConvPlainConfig) -> bool:
    """A pointwise convolution whose features are one tile: nothing is gained by a copy."""
    return p.row is not None and tiles_of(p.shape, config) == 1


# --- bands ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A band of output pixels and the copy of what it reads.

    Attributes:
        rows, cols: Output pixels.
        grid: How many bands there are, down and across.
        width: Columns of a phase of the copy, which is one row after the other.
        height: Rows of a phase of the copy.
        computed: Outputs that are computed: whole tiles over `rows` rows of `width`.
        phases: Phases of the stride that the window reaches, (vertical, horizontal).
    """

    rows: int
    cols: int
    grid: tuple[int, int]
    width: int
    height: int
    computed: int
    phases: tuple[int, int]

    def copied(self, channels: int) -> int:
        """Elements of the copy."""
        return channels * self.phases[0] * self.phases[1] * self.height * self.width


def band_of(p: Problem, config: ConvPlainConfig) -> Band:
    """The band of a config."""
    shape = p.shape
    reach = [(k - 1) * d for k, d in zip(shape.kernel, shape.dilation, strict=True)]
    below, beside = (r // s for r, s in zip(reach, shape.stride, strict=True))
    width = config.cols + beside
    step = config.vectors * p.lanes
    computed = rounds(config.rows * width - beside, step) * step
    last = below * width + beside
    grid = rounds(shape.rows, config.rows), rounds(shape.cols, config.cols)
    phases = min(reach[0] + 1, shape.stride[0]), min(reach[1] + 1, shape.stride[1])
    height = rounds(computed + last, width)
    return Band(config.rows, config.cols, grid, width, height, computed, phases)


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: ConvPlainConfig, band: Band, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: pad -> acc [-> tile | sum] -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        pad = padded(p.shape, band, operands[0])
        acc = accumulate(p, config, band, pad, operands[1].tensor)
        return accumulated_view(p, config, band, acc)

    body = lower_anchored(parts, packs, anchor, operand=p.row.operand if p.row else None)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def padded(shape: ConvShape, band: Band, data: View) -> Any:
    """pad[n, g, down, across, c, ph, pw, h, w]: zeros outside of the image."""

    def element(n: Any, g: Any, down: Any, across: Any, c: Any, *place: Any) -> Any:
        bands, phases, at = (down, across), place[:2], place[2:]
        index, inside = [], []
        for axis in (0, 1):
            first = bands[axis] * (band.rows, band.cols)[axis] if band.grid[axis] > 1 else 0
            phase = phases[axis] if band.phases[axis] > 1 else 0
            start, stride = shape.begin[axis], shape.stride[axis]
            size = (shape.height, shape.width)[axis]
            where = (first + at[axis]) * stride + phase - start
            if start:
                inside.append(where >= 0)
            if _reach(band, axis, stride) - start > size:
                inside.append(where < size)
            index.append(where)
        channel = g * shape.channels + c
        if not inside:
            return at_pixel(data, n, channel, *index)
        zero = const(0, data.dtype)
        return guarded(tirx.all(*inside), lambda: at_pixel(data, n, channel, *index), zero)

    outer = (shape.batch, shape.groups, *band.grid, shape.channels)
    whole = (*outer, *band.phases, band.height, band.width)
    return te.compute(whole, element, name="pad")


def _reach(band: Band, axis: int, stride: int) -> int:
    """Rows or columns of the padded image up to the last that is copied."""
    size = (band.rows, band.cols)[axis]
    extent = (band.height, band.width)[axis]
    return ((band.grid[axis] - 1) * size + extent - 1) * stride + band.phases[axis]


def accumulate(p: Problem, config: ConvPlainConfig, band: Band, pad: Any, weights: Any) -> Any:
    """acc[n, g, down, across, tile, feature, pixel]: pixels as they stand in the copy; with chunks
    the sum of those of all chunks.
    """
    shape, chunk = p.shape, p.shape.channels // config.chunks
    names = ("c", "kh", "kw")
    extents = (chunk, *shape.kernel)
    c, kh, kw = (te.reduce_axis((0, n), name) for n, name in zip(extents, names, strict=True))

    def element(
        k: Any, n: Any, g: Any, down: Any, across: Any, tile: Any, m: Any, pixel: Any
    ) -> Any:
        channel = k * chunk + c
        h, w = kh * shape.dilation[0], kw * shape.dilation[1]
        below, beside = h // shape.stride[0], w // shape.stride[1]
        place = pixel + below * band.width + beside
        phases = h % shape.stride[0], w % shape.stride[1]
        x = pad(n, g, down, across, channel, *phases, place // band.width, place % band.width)
        return te.sum(x * weights[g, tile, channel, kh, kw, m], axis=[c, kh, kw])

    tiles = tiles_of(shape, config)
    whole = (shape.batch, shape.groups, *band.grid, tiles, config.features, band.computed)
    if config.chunks == 1:
        return te.compute(whole, lambda *at: element(0, *at), name="acc")
    parts = te.compute((config.chunks, *whole), element, name="acc")
    k = te.reduce_axis((0, config.chunks), "k")
    return te.compute(whole, lambda *at: te.sum(parts(k, *at), axis=[k]), name="sum")


def accumulated_view(p: Problem, config: ConvPlainConfig, band: Band, acc: Any) -> View:
    """The anchor's logical result, read from where the tiles are stored."""
    value, own = p.parts.node.output, p.shape.group_features
    if config.chunks == 1 and (p.row is None or p.buffered):
        source = acc
        acc = te.compute(source.shape, lambda *i: source(*i), name="tile")

    def read(n: Any, feature: Any, *pixel: Any) -> Any:
        h, w = pixel if len(pixel) > 1 else (0, pixel[0])
        group, within = simplify(feature // own), simplify(feature % own)
        tile = simplify(within // config.features), simplify(within % config.features)
        down, across = simplify(h // band.rows), simplify(w // band.cols)
        place = simplify(h % band.rows) * band.width + simplify(w % band.cols)
        return acc(n, group, down, across, *tile, place)

    return View(value.shape, value.dtype.tvm, read, cheap=True)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, p: Problem, config: ConvPlainConfig, band: Band) -> None:
    """The nest of the module's docstring."""
    acc, out, pad = sch.get_sblock("acc"), sch.get_sblock("out"), sch.get_sblock("pad")
    chunked = config.chunks > 1
    stored = chunked or p.row is None or p.buffered
    first = sch.get_sblock("sum" if chunked else "tile") if stored else acc
    n, g, down, across, tile, m, pixel, *reductions = sch.get_loops(first)
    part, tile = sch.split(tile, [config.parts, None])
    strip, vector, lane = sch.split(pixel, [None, config.vectors, p.lanes])
    if chunked:
        sch.reorder(*reductions, tile, strip, m, vector, lane)
        sch.merge(part, _output_loops(sch, p, config, band, out)[0])
    else:
        sch.reorder(strip, *reductions, m, vector, lane)
        at = strip if p.row is not None else tile
        sch.merge(at, _output_loops(sch, p, config, band, out)[1])
    n, g, down, across, part, *inner = sch.get_loops(first)
    strip = inner[2 if chunked else 1]
    parallel = sch.fuse(n, g, down, across, part)
    sch.parallel(parallel)
    unroll_loops(sch, [m, vector], lane)
    if stored:
        sch.compute_at(acc, strip, preserve_unit_loops=True)
        *_, m, pixel, c, kh, kw = axes_of(sch, acc)
        vector, lane = sch.split(pixel, [None, p.lanes])
        sch.reorder(c, kh, kw, m, vector, lane)
        unroll_loops(sch, [m, vector], lane)
    else:
        c, kh, kw = reductions
    if config.features * config.vectors * p.shape.kernel[1] <= MOST_UNROLLED:
        sch.unroll(kw)
    if reads_once(p, config):
        sch.compute_inline(pad)
    else:
        sch.compute_at(pad, inner[0] if chunked else parallel, preserve_unit_loops=True)
        _schedule_copy(sch, p, band, pad)
    if chunked:
        sch.decompose_reduction(first, inner[0])
    sch.decompose_reduction(acc, c)


def _output_loops(
    sch: Any, p: Problem, config: ConvPlainConfig, band: Band, out: Any
) -> tuple[Any, Any]:
    """Give the output's stage the loops over tiles, and vectors inside; that over parts and the
    innermost over tiles.

    It reads what tiles have stored by row and column of the band, which TVM cannot invert into
    loops by itself (`reverse_compute_at`).
    """
    tiles = tiles_of(p.shape, config) // config.parts
    n, feature, *pixel = sch.get_loops(out)
    group, within = sch.split(feature, [p.shape.groups, p.shape.group_features])
    part, tile, m = sch.split(within, [config.parts, tiles, config.features])
    if p.row is not None:
        step = [band.grid[1], None, config.vectors, p.lanes]
        across, strip, vector, lane = sch.split(pixel[0], step)
        down = sch.add_unit_loop(across)
        sch.reorder(n, group, down, across, part, tile, strip, m, vector, lane)
        if not p.buffered:
            sch.unroll(m)
            sch.unroll(vector)
        sch.vectorize(lane)
        return part, strip
    if len(pixel) < len(("h", "w")):
        pixel.insert(0, sch.add_unit_loop(pixel[0]))
    down, row = sch.split(pixel[0], [band.grid[0], band.rows])
    across, col = sch.split(pixel[1], [band.grid[1], band.cols])
    sch.reorder(n, group, down, across, part, tile, m, row, col)
    _vectorize_row(sch, col, p.lanes, band.grid[1] == 1)
    return part, tile


def _vectorize_row(sch: Any, col: Any, lanes: int, whole: bool) -> None:
    """A row in vectors: of a whole row `move_tails` takes the last one back to its end, parts of
    one are in vectors as equal as they can be.
    """
    extent = int(sch.get(col).extent)
    lanes = row_vector(extent, lanes)
    if not whole:
        lanes = next((n for n in range(lanes, lanes // 2, -1) if extent % n == 0), lanes)
    vector, lane = sch.split(col, [None, lanes])
    sch.vectorize(lane)
    if not whole and extent % lanes:
        sch.annotate(vector, "pragma_loop_partition_hint", True)


def row_vector(cols: int, lanes: int) -> int:
    """Lanes of the longest vectors that a row of `cols` outputs holds: a power of two."""
    while lanes > cols:
        lanes //= 2
    return lanes


def _schedule_copy(sch: Any, p: Problem, band: Band, pad: Any) -> None:
    """The copy of a band: its borders are peeled off; phases together, so that LLVM sees that
    they share what they load."""
    *_, phase, row, col = axes_of(sch, pad)
    if p.row is not None:
        _, lane = sch.split(col, [None, p.lanes])
        sch.vectorize(lane)
        return
    sch.annotate(col, "pragma_loop_partition_hint", True)
    if band.phases[1] > 1:
        sch.reorder(row, col, phase)
        sch.unroll(phase)
