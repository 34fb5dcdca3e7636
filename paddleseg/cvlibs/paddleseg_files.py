"""PaddleSeg's own files as a source of components that this package does not have."""

import functools
import itertools
import os
import re
import sys

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.foreign_modules import ForeignModules
from paddleseg.errors import UserError, one_line
from paddleseg.utils.logger import logger

_NUMBERS = itertools.count(1)
# A registration, decorators that follow, and the definition.
_REGISTRATION = re.compile(
    r"^@manager\.(\w+)\.add_component[^\n]*\n(?:@[^\n]*\n)*(?:class|def)\s+(\w+)", re.MULTILINE
)


class PaddleSegFiles:
    """The components in a checkout of PaddleSeg, or in an unpacked wheel of it.

    Each file is imported when a component of it is first asked for; its code then runs. The log says which
    component came from which file. See `manager.searching` for how components are found here.

    Args:
        path: the folder that holds the package, the folder `paddleseg`.

    Raises:
        UserError: there is no such package.
    """

    def __init__(self, path):
        package = os.path.join(path, "paddleseg")
        _check(path, package)
        self.folder = os.path.realpath(package)
        self._modules = ForeignModules(self.folder, f"_paddleseg_files_{next(_NUMBERS)}")
        self._failures = {}
        self._logged = set()

    @functools.cached_property
    def _files(self):
        """{(registry's name, component's name): its file} of all components."""
        found = {}
        for folder, folders, names in os.walk(self.folder):
            folders.sort()
            for file in (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")):
                with open(file, encoding="utf-8", errors="replace") as text:
                    for attribute, name in _REGISTRATION.findall(text.read()):
                        registry = getattr(manager, attribute, None)
                        if registry is not None:
                            found.setdefault((registry.name, name), file)
        return found

    def find(self, registry, name):
        """Return the component `name` of the registry that is called `registry`, None if there is none."""
        key = (registry, name)
        own = self._modules.components.get(registry, {})
        if name not in own and key in self._files and key not in self._failures:
            file = self._files[key]
            try:
                self._modules.load(file)
                own[name]
            except Exception as error:  # the file may do anything
                self._failures[key] = f"{file} cannot be imported: {type(error).__name__}: {one_line(error)}"
        if name in own and key not in self._logged:
            self._logged.add(key)
            logger.info(f"{registry} {name} is PaddleSeg's: {sys.modules[own[name].__module__].__file__}")
        return own.get(name)

    def why_not(self, registry, name):
        """Return why a component cannot be had although a file has it, None if no file has it."""
        return self._failures.get((registry, name))

    def names(self, registry):
        """Return the names of all components of the registry that is called `registry`."""
        return [name for kind, name in self._files if kind == registry]


def paddleseg_files(path):
    """Return the `PaddleSegFiles` of a folder, one for each folder in a process."""
    return _of(os.path.realpath(path))


@functools.lru_cache(maxsize=None)
def _of(path):
    files = PaddleSegFiles(path)
    manager.SOURCES.append(files)
    return files


def _check(path, package):
    """Raise `UserError` unless `package` is PaddleSeg's package in the folder `path`."""
    if os.path.isfile(os.path.join(package, "cvlibs", os.path.basename(__file__))):
        raise UserError(f"{path} is this project, or a copy of it, not PaddleSeg")
    if os.path.isdir(os.path.join(package, "models")) and os.path.isdir(os.path.join(package, "cvlibs")):
        return
    if path.endswith(".whl") and os.path.isfile(path):
        raise UserError(f"{path} is a packed wheel; unpack it (python -m zipfile -e {path} FOLDER)")
    if not os.path.isdir(path):
        raise UserError(f"there is no folder {path}")
    inside = os.path.basename(path) == "paddleseg" and os.path.isdir(os.path.join(path, "models"))
    remedy = f"; name the folder that holds it, {os.path.dirname(path)}" if inside else ""
    raise UserError(f"{path} holds no package `paddleseg` with models and cvlibs{remedy}")
