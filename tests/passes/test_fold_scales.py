"""fold-scales: scalar factors of a matmul's operands go behind it."""

from __future__ import annotations

from pass_checks import graph

QK = "%q: f32[2,3,4], %k: f32[2,3,4]"


def test_fires_for_both_operands_and_merges(check_pass):
    check_pass(
        "fold-scales",
        graph(
            QK,
            """%s = constant {value=0.5} : f32[]
            %a = mul(%q, %s)
            %b = mul(%k, %s)
            %t = transpose(%b) {perm=[0,2,1]}
            %y = matmul(%a, %t)
            return %y""",
        ),
        after=graph(
            QK,
            """%t = transpose(%k) {perm=[0,2,1]}
            %m = matmul(%q, %t)
            %s = constant {value=0.25} : f32[]
            %y = mul(%m, %s)
            return %y""",
        ),
    )


def test_keeps_what_others_read(check_pass):
    text = graph(
        QK,
        """%s = constant {value=0.5} : f32[]
        %a = mul(%q, %s)
        %y = matmul(%a, %k) {transpose_b=true}
        return %y, %a""",
    )
    check_pass("fold-scales", text, unchanged="the scaled value has other users")
