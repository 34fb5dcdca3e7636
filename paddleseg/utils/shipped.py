"""The files outside the package that commands need: configs, `deploy/` and `slim/`.

In a checkout they lie beside the package. A wheel brings copies in the package's folder `shipped` (see
setup.py).
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def folder():
    """Return the folder that holds `configs`, `deploy` and `slim`."""
    inside = _PACKAGE / "shipped"
    return inside if inside.is_dir() else _PACKAGE.parent


def distill_config():
    """Return the path of the `distill_config.py` that declares nothing, as text."""
    return str(folder() / "slim" / "distill" / "distill_config.py")


def configs():
    """Return the paths of all shipped configs, and of the files beside them, relative to `folder()`."""
    root = folder()
    files = [path for path in (root / "configs").rglob("*") if path.suffix in (".yml", ".py")]
    return sorted(path.relative_to(root) for path in files)
