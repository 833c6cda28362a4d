"""canonicalize: one spelling for what can be said in several ways."""

from __future__ import annotations

import random

import pytest
from pass_checks import assert_same_numbers, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[2,3,4]"
IMAGE = "%x: f32[1,4,6,6]"

# what → (inputs, before, after)
FIRES = {
    "identity": (X, "%y = identity(%x)\nreturn %y", "return %x \"y\""),
    "cast to itself": (X, "%y = cast(%x) {to=f32}\nreturn %y", 'return %x "y"'),
    "times one": (X, "%c = constant {value=fill(1)} : f32[4]\n%y = mul(%x, %c)\nreturn %y",
                  'return %x "y"'),
    "plus zero": (X, "%c = constant {value=0.0} : f32[]\n%y = add(%c, %x)\nreturn %y",
                  'return %x "y"'),
    "to the power of one": (X, "%c = constant {value=1.0} : f32[]\n%y = pow(%x, %c)\nreturn %y",
                            'return %x "y"'),
    "constant goes second": (
        X, "%c = constant {value=random(1)} : f32[4]\n%y = add(%c, %x)\nreturn %y",
        "%c = constant {value=random(1)} : f32[4]\n%y = add(%x, %c)\nreturn %y"),
    "uniform constant is a scalar": (
        X, "%c = constant {value=fill(3)} : f32[3,4]\n%y = mul(%x, %c)\nreturn %y",
        "%c = constant {value=3.0} : f32[]\n%y = mul(%x, %c)\nreturn %y"),
    "leading ones go": (
        X, "%c = constant {value=[[[1.0],[2.0],[3.0]]]} : f32[1,3,1]\n%y = add(%x, %c)\nreturn %y",
        "%c = constant {value=[[1.0],[2.0],[3.0]]} : f32[3,1]\n%y = add(%x, %c)\nreturn %y"),
    "minus a constant": (
        X, "%c = constant {value=2.5} : f32[]\n%y = sub(%x, %c)\nreturn %y",
        "%c = constant {value=-2.5} : f32[]\n%y = add(%x, %c)\nreturn %y"),
    "divided by a power of two": (
        X, "%c = constant {value=8.0} : f32[]\n%y = div(%x, %c)\nreturn %y",
        "%c = constant {value=0.125} : f32[]\n%y = mul(%x, %c)\nreturn %y"),
    "squared": (X, "%c = constant {value=2.0} : f32[]\n%y = pow(%x, %c)\nreturn %y",
                "%y = mul(%x, %x)\nreturn %y"),
    "cubed": (X, "%c = constant {value=3.0} : f32[]\n%y = pow(%x, %c)\nreturn %y",
              "%s = mul(%x, %x)\n%y = mul(%s, %x)\nreturn %y"),
    "square root as a power": (
        X, """%c = constant {value=0.5} : f32[]
        %e = constant {value=1e-5} : f32[]
        %a = mul(%x, %x)
        %m = reduce_mean(%a) {axes=[2]}
        %v = add(%m, %e)
        %y = pow(%v, %c)
        return %y""",
        """%e = constant {value=1e-5} : f32[]
        %a = mul(%x, %x)
        %m = reduce_mean(%a) {axes=[2]}
        %v = add(%m, %e)
        %y = sqrt(%v)
        return %y"""),
    "reciprocal square root as a power": (
        X, "%c = constant {value=-0.5} : f32[]\n%a = abs(%x)\n%y = pow(%a, %c)\nreturn %y",
        "%a = abs(%x)\n%y = rsqrt(%a)\nreturn %y"),
    "constants merge": (
        X, """%a = constant {value=2.0} : f32[]
        %b = constant {value=4.0} : f32[]
        %s = mul(%x, %a)
        %y = mul(%s, %b)
        return %y""",
        "%c = constant {value=8.0} : f32[]\n%y = mul(%x, %c)\nreturn %y"),
    "relu6 from maximum and minimum": (
        X, """%a = constant {value=0.0} : f32[]
        %b = constant {value=6.0} : f32[]
        %s = maximum(%x, %a)
        %y = minimum(%s, %b)
        return %y""",
        "%y = clip(%x) {min=0.0, max=6.0}\nreturn %y"),
    "relu of relu": (X, "%a = relu(%x)\n%y = relu(%a)\nreturn %y", "%y = relu(%x)\nreturn %y"),
    "clip without bounds": (X, "%y = clip(%x)\nreturn %y", 'return %x "y"'),
    "clip at zero": (X, "%y = clip(%x) {min=0.0}\nreturn %y", "%y = relu(%x)\nreturn %y"),
    "clip of relu": (X, "%a = relu(%x)\n%y = clip(%a) {max=6.0}\nreturn %y",
                     "%y = clip(%x) {min=0.0, max=6.0}\nreturn %y"),
    "two signs": (X, "%a = neg(%x)\n%y = neg(%a)\nreturn %y", 'return %x "y"'),
    "abs of abs": (X, "%a = abs(%x)\n%y = abs(%a)\nreturn %y", "%y = abs(%x)\nreturn %y"),
    "plus the negative": ("%x: f32[4], %z: f32[4]", "%a = neg(%z)\n%y = add(%x, %a)\nreturn %y",
                          "%y = sub(%x, %z)\nreturn %y"),
    "plus itself": (X, "%y = add(%x, %x)\nreturn %y",
                    "%c = constant {value=2.0} : f32[]\n%y = mul(%x, %c)\nreturn %y"),
    "one branch of where": (
        "%x: f32[4], %z: f32[4]",
        "%c = constant {value=true} : bool[]\n%y = where(%c, %x, %z)\nreturn %y",
        'return %x "y"'),
    "where with equal branches": (
        "%x: f32[4], %c: bool[4]", "%y = where(%c, %x, %x)\nreturn %y", 'return %x "y"'),
    "reciprocal square root": (
        X, "%c = constant {value=1.0} : f32[]\n%a = sqrt(%x)\n%y = div(%c, %a)\nreturn %y",
        "%y = rsqrt(%x)\nreturn %y"),
    "prelu with one slope": (
        X, "%c = constant {value=fill(0.25)} : f32[4]\n%y = prelu(%x, %c)\nreturn %y",
        "%y = leaky_relu(%x) {alpha=0.25}\nreturn %y"),
    "widening cast and back": (
        X, "%a = cast(%x) {to=f64}\n%y = cast(%a) {to=f32}\nreturn %y", 'return %x "y"'),
    # movement
    "reshape to the same shape": (X, "%y = reshape(%x) {shape=[2,3,4]}\nreturn %y",
                                  'return %x "y"'),
    "reshape of reshape": (
        X, "%a = reshape(%x) {shape=[6,4]}\n%y = reshape(%a) {shape=[2,12]}\nreturn %y",
        "%y = reshape(%x) {shape=[0,-1]}\nreturn %y"),
    "transposes cancel": (
        X, "%a = transpose(%x) {perm=[1,2,0]}\n%y = transpose(%a) {perm=[2,0,1]}\nreturn %y",
        'return %x "y"'),
    "transposes compose": (
        X, "%a = transpose(%x) {perm=[1,2,0]}\n%y = transpose(%a) {perm=[1,2,0]}\nreturn %y",
        "%y = transpose(%x) {perm=[2,0,1]}\nreturn %y"),
    "transpose of an axis of one": (
        "%x: f32[4,1,5]", "%y = transpose(%x) {perm=[1,0,2]}\nreturn %y",
        "%y = reshape(%x) {shape=[1,4,5]}\nreturn %y"),
    "slice of everything": (
        X, "%y = slice(%x) {axes=[1], starts=[0], ends=[3], steps=[1]}\nreturn %y",
        'return %x "y"'),
    "slice of slice": (
        X, """%a = slice(%x) {axes=[1], starts=[1], ends=[3], steps=[1]}
        %y = slice(%a) {axes=[1,2], starts=[1,0], ends=[2,2], steps=[1,1]}
        return %y""",
        "%y = slice(%x) {axes=[1,2], starts=[2,0], ends=[3,2], steps=[1,1]}\nreturn %y"),
    "split": (
        X, "%a, %b = split(%x) {axis=2, sizes=[1,3]}\nreturn %a, %b",
        """%a = slice(%x) {axes=[2], starts=[0], ends=[1], steps=[1]}
        %b = slice(%x) {axes=[2], starts=[1], ends=[4], steps=[1]}
        return %a, %b"""),
    "split with an unused piece": (
        X, "%a, %b = split(%x) {axis=2, sizes=[1,3]}\n%y = relu(%b)\nreturn %y",
        """%b = slice(%x) {axes=[2], starts=[1], ends=[4], steps=[1]}
        %y = relu(%b)
        return %y"""),
    "split with unused pieces at the end": (
        X, "%a, %b, %c = split(%x) {axis=2, sizes=[1,2,1]}\n%y = relu(%a)\nreturn %y",
        """%a = slice(%x) {axes=[2], starts=[0], ends=[1], steps=[1]}
        %y = relu(%a)
        return %y"""),
    "gather of one row": (
        X, "%i = constant {value=1} : i64[]\n%y = gather(%x, %i) {axis=1}\nreturn %y",
        """%a = slice(%x) {axes=[1], starts=[1], ends=[2], steps=[1]}
        %y = reshape(%a) {shape=[0,-1]}
        return %y"""),
    "concat of one": (X, "%y = concat(%x) {axis=1}\nreturn %y", 'return %x "y"'),
    "concat of concat": (
        X, "%a = concat(%x, %x) {axis=1}\n%y = concat(%a, %x) {axis=1}\nreturn %y",
        "%y = concat(%x, %x, %x) {axis=1}\nreturn %y"),
    "expand to the same shape": (X, "%y = expand(%x) {shape=[1,1,4]}\nreturn %y", 'return %x "y"'),
    "expand before a sum": (
        "%x: f32[4,1], %z: f32[4,5]", "%a = expand(%x) {shape=[4,5]}\n%y = add(%a, %z)\nreturn %y",
        "%y = add(%x, %z)\nreturn %y"),
    "tile of axes of one": (
        "%x: f32[4,1]", "%y = tile(%x) {repeats=[1,3]}\nreturn %y",
        "%y = expand(%x) {shape=[-1,3]}\nreturn %y"),
    "pad of nothing": (X, "%y = pad(%x) {pads=[0,0,0,0,0,0]}\nreturn %y", 'return %x "y"'),
    # reshape, slice, transpose: in that order
    "reshape before transpose": (
        X, "%a = transpose(%x) {perm=[0,2,1]}\n%y = reshape(%a) {shape=[2,2,2,3]}\nreturn %y",
        """%a = reshape(%x) {shape=[0,0,2,2]}
        %y = transpose(%a) {perm=[0,2,3,1]}
        return %y"""),
    "slice before transpose": (
        X, """%a = transpose(%x) {perm=[2,0,1]}
        %y = slice(%a) {axes=[0], starts=[1], ends=[3], steps=[1]}
        return %y""",
        """%a = slice(%x) {axes=[2], starts=[1], ends=[3], steps=[1]}
        %y = transpose(%a) {perm=[2,0,1]}
        return %y"""),
    "reshape before slice": (
        "%i: f32[5,12]", """%x = relu(%i)
        %a = slice(%x) {axes=[1], starts=[4], ends=[8], steps=[1]}
        %y = reshape(%a) {shape=[5,2,2]}
        return %y""",
        """%x = relu(%i)
        %a = reshape(%x) {shape=[0,6,2]}
        %y = slice(%a) {axes=[1], starts=[2], ends=[4], steps=[1]}
        return %y"""),
    "the keys among queries, keys, values": (
        "%i: f32[5,3,4]", """%x = relu(%i)
        %a = slice(%x) {axes=[1], starts=[1], ends=[2], steps=[1]}
        %y = reshape(%a) {shape=[5,2,2]}
        return %y""",
        """%x = relu(%i)
        %a = reshape(%x) {shape=[0,6,2]}
        %y = slice(%a) {axes=[1], starts=[2], ends=[4], steps=[1]}
        return %y"""),
    "activation before reshape": (
        X, "%a = exp(%x)\n%b = reshape(%a) {shape=[0,-1]}\n%y = relu(%b)\nreturn %y",
        "%a = exp(%x)\n%b = relu(%a)\n%y = reshape(%b) {shape=[0,-1]}\nreturn %y"),
    "bias before reshape": (
        X, """%c = constant {value=random(1)} : f32[4]
        %a = exp(%x)
        %b = reshape(%a) {shape=[6,4]}
        %y = add(%b, %c)
        return %y""",
        """%c = constant {value=random(1)} : f32[4]
        %a = exp(%x)
        %b = add(%a, %c)
        %y = reshape(%b) {shape=[6,4]}
        return %y"""),
    "residual before reshape": (
        "%x: f32[6,4], %r: f32[2,3,4]", """%w = constant {value=random(1)} : f32[4,4]
        %a = matmul(%x, %w)
        %b = reshape(%a) {shape=[2,3,4]}
        %y = add(%r, %b)
        return %y""",
        """%w = constant {value=random(1)} : f32[4,4]
        %a = matmul(%x, %w)
        %s = reshape(%r) {shape=[6,4]}
        %b = add(%s, %a)
        %y = reshape(%b) {shape=[2,3,4]}
        return %y"""),
    # windows
    "pool over everything": (
        IMAGE,
        "%y = avg_pool(%x) {kernel=[6,6], strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}\n"
        "return %y",
        "%y = reduce_mean(%x) {axes=[2,3]}\nreturn %y"),
    "pool over nothing": (
        IMAGE,
        "%y = max_pool(%x) {kernel=[1,1], strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}\n"
        "return %y",
        'return %x "y"'),
    "large maximum by axes": (
        IMAGE,
        "%y = max_pool(%x) {kernel=[5,6], strides=[1,1], pads=[2,1,2,4], dilations=[1,1]}\n"
        "return %y",
        """%a = max_pool(%x) {kernel=[1,6], strides=[1,1], pads=[0,1,0,4], dilations=[1,1]}
        %y = max_pool(%a) {kernel=[5,1], strides=[1,1], pads=[2,0,2,0], dilations=[1,1]}
        return %y"""),
    "large average by axes": (
        IMAGE,
        "%y = avg_pool(%x) {kernel=[5,6], strides=[1,1], pads=[2,1,2,4], dilations=[1,1], "
        "count_include_pad=true}\nreturn %y",
        """%a = avg_pool(%x) {kernel=[1,6], strides=[1,1], pads=[0,1,0,4], dilations=[1,1], \
count_include_pad=true}
        %y = avg_pool(%a) {kernel=[5,1], strides=[1,1], pads=[2,0,2,0], dilations=[1,1], \
count_include_pad=true}
        return %y"""),
    "columns of wide windows that are apart come first": (
        "%x: f32[2,3,14,14]",
        "%y = avg_pool(%x) {kernel=[7,7], strides=[7,7], pads=[0,0,0,0], dilations=[1,1]}\n"
        "return %y",
        """%a = avg_pool(%x) {kernel=[7,1], strides=[7,1], pads=[0,0,0,0], dilations=[1,1]}
        %y = avg_pool(%a) {kernel=[1,7], strides=[1,7], pads=[0,0,0,0], dilations=[1,1]}
        return %y"""),
    "one weight a channel scales": (
        "%x: f32[2,3,4,5], %w: f32[3,1,1,1]",
        "%y = conv(%x, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1], groups=3}\nreturn %y",
        "%s = reshape(%w) {shape=[0,0,0]}\n%y = mul(%x, %s)\nreturn %y",
    ),
    "pad into conv": (
        IMAGE, """%w = constant {value=random(1)} : f32[2,4,3,3]
        %a = pad(%x) {pads=[0,0,1,2,0,0,0,1]}
        %y = conv(%a, %w) {strides=[1,1], pads=[0,0,1,1], dilations=[1,1]}
        return %y""",
        """%w = constant {value=random(1)} : f32[2,4,3,3]
        %y = conv(%x, %w) {strides=[1,1], pads=[1,2,1,2], dilations=[1,1]}
        return %y"""),
    "global pool keeps its axes": (
        IMAGE, "%y = reduce_mean(%x) {axes=[2,3], keepdims=false}\nreturn %y",
        "%a = reduce_mean(%x) {axes=[2,3]}\n%y = reshape(%a) {shape=[0,0]}\nreturn %y"),
    "reduction over an axis of one": (
        "%x: f32[4,1]", "%y = reduce_sum(%x) {axes=[1], keepdims=false}\nreturn %y",
        "%y = reshape(%x) {shape=[0]}\nreturn %y"),
    "reduction over the first and the last axis": (
        "%x: f32[6,3,20]", "%y = reduce_mean(%x) {axes=[0,2]}\nreturn %y",
        "%a = reduce_mean(%x) {axes=[2]}\n%y = reduce_mean(%a) {axes=[0]}\nreturn %y"),
    "statistics of images": (
        "%x: f32[6,3,4,5]", "%y = reduce_max(%x) {axes=[0,2,3], keepdims=false}\nreturn %y",
        """%a = reduce_max(%x) {axes=[2,3]}
        %b = reduce_max(%a) {axes=[0]}
        %y = reshape(%b) {shape=[-1]}
        return %y"""),
    "norm over several axes": (
        "%x: f32[2,3,4,5], %s: f32[3,4,5], %b: f32[3,4,5]",
        "%y = layer_norm(%x, %s, %b) {axis=1}\nreturn %y",
        """%a = reshape(%x) {shape=[0,-1]}
        %c = reshape(%s) {shape=[-1]}
        %d = reshape(%b) {shape=[-1]}
        %n = layer_norm(%a, %c, %d) {axis=-1}
        %y = reshape(%n) {shape=[0,3,4,5]}
        return %y"""),
    "window over one pixel": (
        "%x: f32[1,4,1,1]", """%w = constant {value=random(1)} : f32[2,4,3,3]
        %y = conv(%x, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}
        return %y""",
        """%w = constant {value=random(1)} : f32[2,4,3,3]
        %v = slice(%w) {axes=[2,3], starts=[1,1], ends=[2,2], steps=[1,1]}
        %y = conv(%x, %v) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        return %y"""),
    "window over one row": (
        "%x: f32[1,4,1,9]", """%w = constant {value=random(1)} : f32[2,4,5,5]
        %y = conv(%x, %w) {strides=[2,2], pads=[2,2,2,2], dilations=[1,1]}
        return %y""",
        """%w = constant {value=random(1)} : f32[2,4,5,5]
        %v = slice(%w) {axes=[2,3], starts=[2,0], ends=[3,5], steps=[1,1]}
        %y = conv(%x, %v) {strides=[2,2], pads=[0,2,0,2], dilations=[1,1]}
        return %y"""),
    "window wider than the image": (
        IMAGE, """%w = constant {value=random(1)} : f32[2,4,3,3]
        %y = conv(%x, %w) {strides=[1,1], pads=[6,7,6,7], dilations=[6,7]}
        return %y""",
        """%w = constant {value=random(1)} : f32[2,4,3,3]
        %v = slice(%w) {axes=[2,3], starts=[1,1], ends=[2,2], steps=[1,1]}
        %y = conv(%x, %v) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        return %y"""),
    "last tap beyond the image": (
        "%x: f32[1,4,6,2]", """%w = constant {value=random(1)} : f32[2,4,3,3]
        %y = conv(%x, %w) {strides=[1,5], pads=[1,0,1,2], dilations=[1,1]}
        return %y""",
        """%w = constant {value=random(1)} : f32[2,4,3,3]
        %v = slice(%w) {axes=[2,3], starts=[0,0], ends=[3,2], steps=[1,1]}
        %y = conv(%x, %v) {strides=[1,5], pads=[1,0,1,0], dilations=[1,1]}
        return %y"""),
    "conv over a line": (
        "%x: f32[1,4,9], %w: f32[2,4,3]",
        "%y = conv(%x, %w) {strides=[2], pads=[1,1], dilations=[1]}\nreturn %y",
        """%a = reshape(%x) {shape=[0,0,1,9]}
        %b = reshape(%w) {shape=[0,0,1,3]}
        %c = conv(%a, %b) {strides=[1,2], pads=[0,1,0,1], dilations=[1,1]}
        %y = reshape(%c) {shape=[0,0,-1]}
        return %y"""),
}  # fmt: skip

# what → (inputs, text, reason)
KEEPS = {
    "square root of what may be negative": (
        X, "%c = constant {value=0.5} : f32[]\n%y = pow(%x, %c)\nreturn %y", "may be -inf or -0"),
    "square root of a sum with a negative number": (
        X, """%c = constant {value=0.5} : f32[]
        %n = constant {value=-1.0} : f32[]
        %a = abs(%x)
        %s = add(%a, %n)
        %y = pow(%s, %c)
        return %y""",
        "may be -inf or -0"),
    "reciprocal that is not accurate": (
        X, "%c = constant {value=0.0} : f32[]\n%y = div(%x, %c)\nreturn %y",
        "without an accurate reciprocal"),
    "inner sum with another reader": (
        X, """%a = constant {value=2.0} : f32[]
        %s = mul(%x, %a)
        %b = constant {value=4.0} : f32[]
        %y = mul(%s, %b)
        return %s, %y""", "the inner result has other users"),
    "a sum that rounds": (
        X, """%a = constant {value=12582912.0} : f32[]
        %b = constant {value=-12582911.0} : f32[]
        %s = add(%x, %a)
        %y = add(%s, %b)
        return %y""", "the constants cancel, so the sum rounds"),
    "clips without overlap": (
        X, "%a = clip(%x) {min=2.0}\n%y = clip(%a) {max=1.0}\nreturn %y",
        "the ranges do not overlap"),
    "narrowing cast and back": (
        X, "%a = cast(%x) {to=i32}\n%y = cast(%a) {to=f32}\nreturn %y", "i32 does not hold every"),
    "slice with steps": (
        X, """%a = slice(%x) {axes=[2], starts=[0], ends=[4], steps=[2]}
        %y = slice(%a) {axes=[2], starts=[0], ends=[1], steps=[1]}
        return %y""", "a step is not 1"),
    "gather in another order": (
        X, "%i = constant {value=[2,0]} : i64[2]\n%y = gather(%x, %i) {axis=1}\nreturn %y",
        "not consecutive"),
    "gather out of range": (
        X, "%i = constant {value=9} : i64[]\n%y = gather(%x, %i) {axis=1}\nreturn %y",
        "out of range"),
    "inner concat with another reader": (
        X, "%a = concat(%x, %x) {axis=1}\n%y = concat(%a, %x) {axis=1}\nreturn %a, %y",
        "the inner concat has other users"),
    "pad that is not zero": (
        IMAGE, """%w = constant {value=random(1)} : f32[2,4,3,3]
        %a = pad(%x) {pads=[0,0,1,1,0,0,1,1], value=1.0}
        %y = conv(%a, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        return %y""", "the padding is not zero"),
    "image longer than the needed taps": (
        "%x: f32[1,4,6,33]", """%w = constant {value=random(1)} : f32[2,4,3,3]
        %y = conv(%x, %w) {strides=[1,1], pads=[1,30,1,10], dilations=[1,36]}
        return %y""", "the image would have to be cut"),
    "pad of channels": (
        IMAGE, """%w = constant {value=random(1)} : f32[2,5,3,3]
        %a = pad(%x) {pads=[0,1,0,0,0,0,0,0]}
        %y = conv(%a, %w) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        return %y""", "not around spatial axes only"),
    "reshape that merges transposed axes": (
        X, "%a = transpose(%x) {perm=[0,2,1]}\n%y = reshape(%a) {shape=[0,-1]}\nreturn %y",
        "the reshape merges axes"),
    "slice that cuts through new axes": (
        "%i: f32[5,12]", """%x = relu(%i)
        %a = slice(%x) {axes=[1], starts=[3], ends=[7], steps=[1]}
        %y = reshape(%a) {shape=[0,2,2]}
        return %y""", "does not fall on borders"),
    "constant that varies within regrouped axes": (
        X, """%c = constant {value=random(1)} : f32[4]
        %a = exp(%x)
        %b = reshape(%a) {shape=[12,2]}
        %d = constant {value=[1.0,2.0]} : f32[2]
        %y = add(%b, %d)
        return %y""".replace("%c = constant {value=random(1)} : f32[4]\n", ""),
        "varies within axes"),
    "short rows of the first and the last axis": (
        "%x: f32[6,3,15]", "%y = reduce_mean(%x) {axes=[0,2]}\nreturn %y", "15 are too short"),
    "rows of half floats": (
        "%x: f16[6,3,20]", "%y = reduce_sum(%x) {axes=[0,2]}\nreturn %y",
        "f16 would be rounded between"),
    "padded pool over everything": (
        "%x: f32[1,4,5,6]",
        "%y = avg_pool(%x) {kernel=[5,6], strides=[9,9], pads=[1,1,1,1], dilations=[1,1]}\n"
        "return %y",
        "the pool is padded"),
    "large maximum that hangs over": (
        IMAGE,
        "%y = max_pool(%x) {kernel=[5,5], strides=[1,1], pads=[2,2,2,2], dilations=[1,1], "
        "ceil_mode=true}\nreturn %y",
        "may hang over"),
}  # fmt: skip


@pytest.mark.parametrize("what", FIRES)
def test_fires(check_pass, what):
    inputs, before, after = FIRES[what]
    check_pass("canonicalize", graph(inputs, before), after=graph(inputs, after))


@pytest.mark.parametrize("what", KEEPS)
def test_keeps(check_pass, what):
    inputs, text, reason = KEEPS[what]
    check_pass("canonicalize", graph(inputs, text), unchanged=reason)


def test_fires_twice_and_output_survives(check_pass):
    check_pass(
        "canonicalize",
        graph(
            X, "%a = relu(%x)\n%b = relu(%a)\n%c = identity(%b)\n%d = identity(%c)\nreturn %b, %d"
        ),
        after=graph(X, '%b = relu(%x)\nreturn %b, %b "d"'),
    )


def test_exact_leaves_sums_alone(check_pass):
    text = graph("%x: f32[6,3,20]", "%y = reduce_sum(%x) {axes=[0,2]}\nreturn %y")
    check_pass("canonicalize{exact=true}", text, unchanged="")


def test_exact_leaves_rounding_alone(check_pass):
    text = graph(X, "%c = constant {value=3.0} : f32[]\n%y = div(%x, %c)\nreturn %y")
    check_pass("canonicalize{exact=true}", text, unchanged="not a power of two")
    check_pass(
        "canonicalize",
        text,
        after=graph(
            X, "%c = constant {value=0.3333333432674408} : f32[]\n%y = mul(%x, %c)\nreturn %y"
        ),
    )


def test_exact_leaves_averages_alone(check_pass):
    line = "%y = avg_pool(%x) {kernel=[5,6], strides=[1,1], pads=[2,1,2,4], dilations=[1,1]}"
    check_pass("canonicalize{exact=true}", graph(IMAGE, f"{line}\nreturn %y"), unchanged="")


@pytest.mark.parametrize("op", ("max_pool", "avg_pool"))
def test_pools_by_axes_are_the_same_numbers(op: str):
    """Random windows, strides, dilations and pads: by the interpreter."""
    rng = random.Random(5)
    split = 0
    for _ in range(300):
        kernel, sizes = ([rng.randint(1, 7) for _ in "hw"] for _ in range(2))
        strides, steps = ([rng.randint(1, 2) for _ in "hw"] for _ in range(2))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, steps)]
        pads = [rng.randrange(n) for n in reach * 2]
        if any(s + pads[i] + pads[i + 2] < reach[i] for i, s in enumerate(sizes)):
            continue
        attrs = f"kernel={kernel}, strides={strides}, pads={pads}, dilations={steps}"
        if rng.random() < 0.5:
            attrs += ", count_include_pad=true"
        text = f"%y = {op}(%x) {{{attrs}}}\nreturn %y"
        before = parse_graph(graph(f"%x: f32[2,3,{sizes[0]},{sizes[1]}]", text))
        result = run_pass("canonicalize", before.copy())
        assert_same_numbers(before, result.graph)
        split += sum(node.op == op for node in result.graph.nodes()) == 2
    assert split > 20


def test_trimmed_windows_give_the_same_numbers():
    """Random windows over small images: by the interpreter."""
    rng = random.Random(3)
    trimmed = 0
    for _ in range(300):
        size, window = rng.randint(1, 5), rng.randint(1, 4)
        step, stride = rng.randint(1, 6), rng.randint(1, 4)
        begin, end = rng.randint(0, 6), rng.randint(0, 6)
        if size + begin + end < (window - 1) * step + 1:
            continue
        text = f"""%w = constant {{value=random(1)}} : f32[2,3,{window},1]
        %y = conv(%x, %w) {{strides=[{stride},1], pads=[{begin},0,{end},0], dilations=[{step},1]}}
        return %y"""
        before = parse_graph(graph(f"%x: f32[1,3,{size},2]", text))
        result = run_pass("canonicalize", before.copy())
        assert_same_numbers(before, result.graph)
        trimmed += any(node.op == "slice" for node in result.graph.nodes())
    assert trimmed > 40
