"""Minimising a convex function of the weights, within their limits, by mirror descent.

Steps are multiplicative, w * exp(-step * gradient), and brought back by the Kullback-Leibler projection, which gives
what is over a limit to the others by their weights: `candidates.capped`. So weights stay positive, a simplex needs no
solver, and with a penalty KL(w || anchor) the steps converge at a fixed rate (Beck and Teboulle 2003; Lu, Freund
and Nesterov 2018 for the steps' lengths).
"""

from collections.abc import Callable

import numpy as np

from mixer.candidates import Floats, capped

STEPS = 2000
TOLERANCE = 1e-9  # of the value
SMALLEST = 1e-12  # weights that would be zero: nothing multiplicative leaves zero again


def minimised(
    value: Callable[[Floats], tuple[float, Floats]],
    limits: Floats,
    anchor: Floats,
    *,
    strength: float = 0.0,
    steps: int = STEPS,
) -> Floats:
    """(buckets,) weights of the lowest value + strength * KL(weights || anchor), starting from the anchor.

    `value` gives the function and its gradient. Limits must sum to 1 or more.
    """
    base = np.maximum(anchor, SMALLEST)
    weights: Floats = capped(base / base.sum(), limits)[0]

    def total(at: Floats) -> tuple[float, Floats]:
        found, gradient = value(at)
        logs = np.log(np.maximum(at, SMALLEST) / base)
        return found + strength * float(at @ logs), gradient + strength * (logs + 1)

    length = 1.0
    now, gradient = total(weights)
    still = 0
    for _ in range(steps):
        moved = _stepped(weights, gradient, length, limits)
        then, next_gradient = total(moved)
        # The step is short enough where the function stays under the bound that it was chosen by.
        while then > now + float(gradient @ (moved - weights)) + _divergence(moved, weights) / length + 1e-15:
            length /= 2
            if length < 1e-12:
                return weights
            moved = _stepped(weights, gradient, length, limits)
            then, next_gradient = total(moved)
        still = still + 1 if now - then <= TOLERANCE * max(abs(now), 1e-3) else 0
        weights, now, gradient = moved, then, next_gradient
        length *= 1.5
        if still == 5:
            break
    return weights


def _stepped(weights: Floats, gradient: Floats, length: float, limits: Floats) -> Floats:
    exponents = -length * (gradient - gradient.min())
    raw = np.maximum(weights, SMALLEST) * np.exp(np.maximum(exponents, -700.0))
    row: Floats = capped(raw / raw.sum(), limits)[0]
    return row


def _divergence(new: Floats, old: Floats) -> float:
    return float((new * np.log(np.maximum(new, SMALLEST) / np.maximum(old, SMALLEST))).sum())
