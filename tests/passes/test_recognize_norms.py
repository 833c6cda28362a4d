"""recognize-norms: layer norm, rms norm and softmax that a model spells out."""

from __future__ import annotations

import pytest
from pass_checks import graph

X = "%x: f32[2,3,4]"
MOMENTS = """%e = constant {value=1e-05} : f32[]
%m = reduce_mean(%x) {axes=[2]}
%d = sub(%x, %m)
%q = mul(%d, %d)
%v = reduce_mean(%q) {axes=[2]}
%a = add(%v, %e)
"""
ONES = "%one = constant {value=fill(1)} : f32[4]\n"
ZEROS = "%zero = constant {value=fill(0)} : f32[4]\n"
EPSILON = "{epsilon=9.999999747378752e-06}"

FIRES = {
    "layer norm": (
        MOMENTS + "%r = sqrt(%a)\n%y = div(%d, %r)\nreturn %y",
        ONES + ZEROS + f"%y = layer_norm(%x, %one, %zero) {EPSILON}\nreturn %y",
    ),
    "layer norm with rsqrt, scale and bias": (
        MOMENTS
        + """%s = constant {value=random(1)} : f32[4]
        %b = constant {value=random(2)} : f32[4]
        %r = rsqrt(%a)
        %n = mul(%d, %r)
        %g = mul(%n, %s)
        %y = add(%g, %b)
        return %y""",
        f"""%s = constant {{value=random(1)}} : f32[4]
        %b = constant {{value=random(2)}} : f32[4]
        %y = layer_norm(%x, %s, %b) {EPSILON}
        return %y""",
    ),
    "layer norm with the difference written twice": (
        """%e = constant {value=1e-05} : f32[]
        %two = constant {value=2.0} : f32[]
        %m = reduce_mean(%x) {axes=[1,2]}
        %d = sub(%x, %m)
        %d2 = sub(%x, %m)
        %q = pow(%d2, %two)
        %v = reduce_mean(%q) {axes=[1,2]}
        %a = add(%v, %e)
        %r = sqrt(%a)
        %y = div(%d, %r)
        return %y""",
        """%one = constant {value=fill(1)} : f32[3,4]
        %zero = constant {value=fill(0)} : f32[3,4]
        %y = layer_norm(%x, %one, %zero) {axis=-2, epsilon=9.999999747378752e-06}
        return %y""",
    ),
    "rms norm with scale": (
        """%e = constant {value=1e-05} : f32[]
        %s = constant {value=random(1)} : f32[4]
        %q = mul(%x, %x)
        %v = reduce_mean(%q) {axes=[2]}
        %a = add(%v, %e)
        %r = rsqrt(%a)
        %n = mul(%x, %r)
        %y = mul(%s, %n)
        return %y""",
        f"""%s = constant {{value=random(1)}} : f32[4]
        %y = rms_norm(%x, %s) {EPSILON}
        return %y""",
    ),
    "softmax": (
        """%m = reduce_max(%x) {axes=[1]}
        %d = sub(%x, %m)
        %e = exp(%d)
        %s = reduce_sum(%e) {axes=[1]}
        %y = div(%e, %s)
        return %y""",
        "%y = softmax(%x) {axis=-2}\nreturn %y",
    ),
}

KEEPS = {
    "axes that are not the last": (
        MOMENTS.replace("[2]", "[1]") + "%r = sqrt(%a)\n%y = div(%d, %r)\nreturn %y",
        "the normalized axes are not the last ones",
    ),
    "norm that others read": (
        f"""{ONES}{ZEROS}%s = constant {{value=random(1)}} : f32[4]
        %n = layer_norm(%x, %one, %zero)
        %y = mul(%n, %s)
        return %n, %y""",
        "the normalized value has other users",
    ),
    "scale of another shape": (
        f"""{ONES}{ZEROS}%s = constant {{value=random(1)}} : f32[3,1]
        %n = layer_norm(%x, %one, %zero)
        %y = mul(%n, %s)
        return %y""",
        "has not the shape of the normalized axes",
    ),
    "sum over another axis than the maximum": (
        """%m = reduce_max(%x) {axes=[1]}
        %d = sub(%x, %m)
        %e = exp(%d)
        %s = reduce_sum(%e) {axes=[2]}
        %y = div(%e, %s)
        return %y""",
        "not over the same single axis",
    ),
    "variance of something else": (
        "%z = exp(%x)\n"
        + MOMENTS.replace("mul(%d, %d)", "mul(%z, %d)")
        + "%r = sqrt(%a)\n%y = div(%d, %r)\nreturn %y",
        "",
    ),
}


@pytest.mark.parametrize("what", FIRES)
def test_fires(check_pass, what):
    before, after = FIRES[what]
    check_pass("recognize-norms", graph(X, before), after=graph(X, after))


@pytest.mark.parametrize("what", KEEPS)
def test_keeps(check_pass, what):
    text, reason = KEEPS[what]
    check_pass("recognize-norms", graph(X, text), unchanged=reason)
