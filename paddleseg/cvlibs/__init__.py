"""Registries of components, configs that name them, and the builder that makes objects of a config."""

from paddleseg.cvlibs import manager

__all__ = ["Config", "ConfigError", "SegBuilder", "manager"]


def __getattr__(name):
    # Every component imports `manager` from here. `Config` and `SegBuilder` import Paddle, so they wait.
    if name in ("Config", "ConfigError"):
        from paddleseg.cvlibs import config

        return getattr(config, name)
    if name == "SegBuilder":
        from paddleseg.cvlibs.builder import SegBuilder

        return SegBuilder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
