"""fold-constants: what depends on constants only is computed."""

from __future__ import annotations

from pass_checks import graph


def test_fires(check_pass):
    check_pass(
        "fold-constants",
        graph(
            "%x: f32[2]",
            """%a = constant {value=[1.0,2.0]} : f32[2]
            %b = constant {value=[3.0,4.0]} : f32[2]
            %c = add(%a, %b)
            %d = mul(%c, %a)
            %y = mul(%x, %d)
            return %y""",
        ),
        after=graph(
            "%x: f32[2]",
            "%d = constant {value=[4.0,12.0]} : f32[2]\n%y = mul(%x, %d)\nreturn %y",
        ),
    )


def test_op_without_operands_and_multi_use(check_pass):
    check_pass(
        "fold-constants",
        graph(
            "%x: i64[3]",
            """%r = range() {start=0, limit=3, delta=1, dtype=i64}
            %y = add(%x, %r)
            return %y, %r""",
        ),
        after=graph(
            "%x: i64[3]",
            "%r = constant {value=[0,1,2]} : i64[3]\n%y = add(%x, %r)\nreturn %y, %r",
        ),
    )


def test_the_last_output_is_unused(check_pass):
    check_pass(
        "fold-constants",
        graph(
            "%x: f32[2]",
            """%c = constant {value=[1.0,3.0,2.0]} : f32[3]
            %v, %i = topk(%c) {k=2}
            %y = mul(%x, %v)
            return %y""",
        ),
        after=graph(
            "%x: f32[2]",
            "%v = constant {value=[3.0,2.0]} : f32[2]\n%y = mul(%x, %v)\nreturn %y",
        ),
    )


EXPAND = graph(
    "%x: f32[1]",
    """%c = constant {value=[1.0]} : f32[1]
    %e = expand(%c) {shape=[100]}
    %y = mul(%x, %e)
    return %y""",
)


def test_keeps_what_would_grow(check_pass):
    check_pass("fold-constants{max_bytes=399}", EXPAND, unchanged="would grow 4 bytes to 400")
    check_pass(
        "fold-constants{max_bytes=400}",
        EXPAND,
        after=graph(
            "%x: f32[1]",
            "%e = constant {value=fill(1)} : f32[100]\n%y = mul(%x, %e)\nreturn %y",
        ),
    )


def test_keeps_data_faults_for_infer(check_pass):
    text = graph(
        "%x: f32[2]",
        """%t = constant {value=[1.0,2.0]} : f32[2]
        %i = constant {value=[5]} : i64[1]
        %g = gather(%t, %i)
        return %g""",
    )
    check_pass("fold-constants", text, unchanged="index 5 is not in")
