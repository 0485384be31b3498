"""How large a proxy is and what its training costs, counted from its settings: no torch is needed for that."""

import math

from pipelines.search_settings import Proxy


def hidden_size(proxy: Proxy) -> int:
    """F as set, or 8/3 W up to a multiple of 16, so that three matrices weigh about two of 4 W."""
    return proxy.hidden or 16 * math.ceil(proxy.width * 8 / 3 / 16)


def num_parameters(proxy: Proxy, vocabulary: int) -> int:
    """All trained numbers; the tied table counts once."""
    norms = (2 * proxy.layers + 1) * proxy.width
    return _num_weights(proxy, vocabulary) + norms


def flops_per_token(proxy: Proxy, vocabulary: int) -> int:
    """Floating-point operations of training on one token: 6 a weight, and the causal half of attention.

    The input embedding is a look-up and costs nothing; the tied table is counted as the output matrix.
    """
    return 6 * _num_weights(proxy, vocabulary) + 6 * proxy.layers * proxy.sequence * proxy.width


def _num_weights(proxy: Proxy, vocabulary: int) -> int:
    per_layer = 4 * proxy.width**2 + 3 * proxy.width * hidden_size(proxy)
    return vocabulary * proxy.width + proxy.layers * per_layer
