"""How far compiled numbers may be from the reference, in one place, each with its reason."""

from __future__ import annotations

# Whole models: max|Δ| as a share of max|y(x1) - y(x2)| over two seeded inputs. Random deep networks
# amplify rounding; ONNX Runtime and OpenVINO differ by up to 9e-5 of it.
MODEL_SPREAD = {
    1: 5e-4,  # plain loops: another order of sums than the peer's
    2: 5e-4,  # vector functions of at most 8 ulp, sums reordered
    3: 5e-4,  # the same, in other layouts
    4: 5e-3,  # other algorithms (Winograd), whose error grows with their transforms
}

# One small network against the numpy reference, whose sums are in float64.
SMALL_NETWORK = 1e-5
