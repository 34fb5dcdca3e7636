"""Small helpers that know nothing of the other rooms."""

_OF_PADDLESEG = ("download_pretrained_model", "load_entire_model", "load_pretrained_model")


def __getattr__(name):
    # PaddleSeg's users also write `from paddleseg import utils` and `utils.load_entire_model`. The module of
    # these functions is heavy, and this function is also asked for each helper that is not imported yet.
    if name in _OF_PADDLESEG:
        import importlib

        return getattr(importlib.import_module("paddleseg.utils.utils"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
