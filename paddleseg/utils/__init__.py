"""Small helpers that know nothing of the other rooms."""


def __getattr__(name):
    # PaddleSeg's users also write `from paddleseg import utils` and `utils.load_entire_model`.
    if not name.startswith("_"):
        import importlib

        module = importlib.import_module("paddleseg.utils.utils")
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
