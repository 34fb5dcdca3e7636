"""Registries, configs, and the builder that turns one into objects by the other."""

from paddleseg.cvlibs import manager

__all__ = ["Config", "ConfigError", "SegBuilder", "manager"]


def __getattr__(name):
    # Every component imports `manager` from here; `Config` and `SegBuilder` import Paddle, and so wait.
    if name in ("Config", "ConfigError"):
        from paddleseg.cvlibs import config

        return getattr(config, name)
    if name == "SegBuilder":
        from paddleseg.cvlibs.builder import SegBuilder

        return SegBuilder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
