"""fold-empty: work over no elements is no work."""

from __future__ import annotations

import pytest
from pass_checks import POINT, graph

ZEROS = "%c = constant {value=0.0} : f32[]\n%y = expand(%c) {shape=[SHAPE]}\nreturn %y"

# what → (inputs, before, after)
FIRES = {
    "a result without elements": (
        "%x: f32[0,3,8,8], %w: f32[4,3,1,1]",
        f"%y = conv(%x, %w) {POINT}\nreturn %y",
        "%y = constant {value=[]} : f32[0,4,8,8]\nreturn %y",
    ),
    "all that leads to it": (
        "%x: f32[2,0]",
        "%a = relu(%x)\n%b = exp(%a)\nreturn %b",
        "%b = constant {value=fill(0)} : f32[2,0]\nreturn %b",
    ),
    "some of several results": (
        "%x: f32[2,3]",
        "%a, %b = split(%x) {axis=1, sizes=[3,0]}\nreturn %a, %b",
        """%b = constant {value=fill(0)} : f32[2,0]
        %a, %c = split(%x) {axis=1, sizes=[3,0]}
        return %a, %b""",
    ),
    "conv of no channels": (
        "%x: f32[1,0,8,8], %w: f32[4,0,1,1]",
        f"%y = conv(%x, %w) {POINT}\nreturn %y",
        ZEROS.replace("SHAPE", "1,4,8,8"),
    ),
    "conv_transpose of no channels": (
        "%x: f32[1,0,8,8], %w: f32[0,4,1,1]",
        f"%y = conv_transpose(%x, %w) {POINT}\nreturn %y",
        ZEROS.replace("SHAPE", "1,4,8,8"),
    ),
    "matmul of no terms": (
        "%x: f32[2,0], %w: f32[0,5], %b: f32[5]",
        "%a = matmul(%x, %w)\n%y = add(%a, %b)\nreturn %y",
        """%c = constant {value=0.0} : f32[]
        %a = expand(%c) {shape=[2,5]}
        %y = add(%a, %b)
        return %y""",
    ),
    "integers": (
        "%x: u8[2,0], %w: i8[0,5]",
        "%y = matmul(%x, %w)\nreturn %y",
        "%c = constant {value=0} : i32[]\n%y = expand(%c) {shape=[2,5]}\nreturn %y",
    ),
    "reduction of nothing": (
        "%x: f32[2,0,3]",
        "%y = reduce_max(%x) {axes=[1], keepdims=false}\nreturn %y",
        "%c = constant {value=-inf} : f32[]\n%y = expand(%c) {shape=[2,3]}\nreturn %y",
    ),
    "product of nothing": (
        "%x: f32[0]",
        "%y = reduce_prod(%x) {axes=[0], keepdims=false}\nreturn %y",
        "%c = constant {value=1.0} : f32[]\n%y = expand(%c) {shape=[]}\nreturn %y",
    ),
}


@pytest.mark.parametrize("what", FIRES)
def test_fires(check_pass, what):
    inputs, before, after = FIRES[what]
    check_pass("fold-empty", graph(inputs, before), after=graph(inputs, after))


def test_keeps_what_only_moves(check_pass):
    text = graph("%x: f32[2,0], %z: f32[2,3]", "%y = concat(%x, %z) {axis=1}\nreturn %y")
    check_pass("fold-empty", text, unchanged="")


def test_inputs_and_constants_without_elements_stay(check_pass):
    text = graph("%x: f32[0]", "%c = constant {value=fill(0)} : f32[0]\nreturn %x, %c")
    check_pass("fold-empty", text, unchanged="")
