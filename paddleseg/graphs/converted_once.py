"""Traces that convert each function of a model once, not once for each layer that has it."""

import contextlib

from paddle.jit.dy2static.program_translator import FunctionCache


@contextlib.contextmanager
def converted_once():
    """Within this context, Paddle converts a function for static graphs once, whatever layer it belongs to.

    Before Paddle traces a function, it rewrites the function's source. It stores the result by the bound
    method, which Python makes anew for each call. So it rewrites the `forward` of a convolution once for each
    convolution of a model, and these conversions take most of an export's time. Here the result is stored by
    the function itself, until the context ends.
    """
    original, converted = FunctionCache.convert_with_cache, {}

    def convert(cache, method):
        function = getattr(method, "__func__", method)
        if function not in converted:
            converted[function] = original(cache, method)
        return converted[function]

    FunctionCache.convert_with_cache = convert
    try:
        yield
    finally:
        FunctionCache.convert_with_cache = original
