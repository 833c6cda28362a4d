"""fold-transposes: matmul reads its operands the other way around."""

from __future__ import annotations

from pass_checks import graph


def test_fires(check_pass):
    inputs = "%a: f32[2,4,3], %b: f32[2,5,4]"
    check_pass(
        "fold-transposes",
        graph(
            inputs,
            """%p = transpose(%a) {perm=[0,2,1]}
            %q = transpose(%b) {perm=[0,2,1]}
            %y = matmul(%p, %q)
            return %y""",
        ),
        after=graph(inputs, "%y = matmul(%a, %b) {transpose_a=true, transpose_b=true}\nreturn %y"),
    )


def test_heads_stay_a_move_of_rows(check_pass):
    inputs = "%q: f32[1,2,3,4], %k: f32[1,3,2,4]"
    check_pass(
        "fold-transposes",
        graph(inputs, "%t = transpose(%k) {perm=[0,2,3,1]}\n%y = matmul(%q, %t)\nreturn %y, %t"),
        after=graph(
            inputs,
            """%t = transpose(%k) {perm=[0,2,3,1]}
            %u = transpose(%k) {perm=[0,2,1,3]}
            %y = matmul(%q, %u) {transpose_b=true}
            return %y, %t""",
        ),
    )


def test_weights_lose_axes_of_one(check_pass):
    check_pass(
        "fold-transposes",
        graph(
            "%x: f32[2,3,2]",
            """%w = constant {value=[[[1.0,2.0],[3.0,4.0]]]} : f32[1,2,2]
            %y = matmul(%x, %w)
            return %y""",
        ),
        after=graph(
            "%x: f32[2,3,2]",
            """%w = constant {value=[[1.0,2.0],[3.0,4.0]]} : f32[2,2]
            %y = matmul(%x, %w)
            return %y""",
        ),
    )


def test_keeps_batches_of_weights(check_pass):
    text = (
        graph(
            "%x: f32[2,3,2]",
            "%w = constant {value=random(1)} : f32[2,2,2]\n"
            "%b = constant {value=random(1)} : f32[2,2,2]\n"
            "%y = matmul(%x, %w)\nreturn %y, %b",
        )
        .replace("%b = constant {value=random(1)} : f32[2,2,2]\n", "")
        .replace(", %b", "")
    )
    check_pass("fold-transposes", text, unchanged="the weights differ along a batch axis")


def test_keeps_a_transpose_that_moves_rows(check_pass):
    text = graph(
        "%q: f32[1,2,3,4], %k: f32[1,3,4,2]".replace("4,2]", "2,4]"),
        """%t = transpose(%k) {perm=[0,2,1,3]}
        %y = matmul(%q, %t) {transpose_b=true}
        return %y""",
    )
    check_pass("fold-transposes", text, unchanged="")
