"""Import a folder's modules that are written for PaddleSeg, under a name of their own, beside this package.

The files of such a folder import each other, and much else, from `paddleseg`. Before a file is compiled, each
of these imports is turned into one of this package (`OURS`) or of the folder. No module of the folder has a
name of this package, so nothing of this package is replaced.
"""

import ast
import importlib.machinery
import importlib.util
import os
import sys
import types

from paddleseg.cvlibs import manager
from paddleseg.weights.load import read_weights

PACKAGE = "paddleseg"
# Modules that this package provides with PaddleSeg's names. Where one lacks a name, the folder's has it.
OURS = {
    "paddleseg.cvlibs.param_init",
    "paddleseg.datasets",
    "paddleseg.models.backbones.transformer_utils",
    "paddleseg.models.layers",
    "paddleseg.models.losses",
    "paddleseg.transforms",
    "paddleseg.utils",
    "paddleseg.utils.logger",
    "paddleseg.utils.utils",
}
READER = "_read_weights"  # what files call instead of `paddle.load`
REGISTRIES = "paddleseg.cvlibs.manager"


class ForeignModules:
    """A finder, for `sys.meta_path`, of the modules of one folder.

    Args:
        folder: the folder of the package, whose name is "paddleseg".
        name: the name under which the package is imported here; it must be free.

    Attributes:
        components: {registry's name: {component's name: class or function}} that the imported modules have
            registered.
    """

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.components = {}
        sys.meta_path.insert(0, self)  # before the one that looks at the `__path__` of packages
        registries = types.ModuleType(self.renamed(REGISTRIES), "The registries that the folder's files see.")
        for attribute, registry in vars(manager).items():
            if isinstance(registry, manager.ComponentManager):
                own = self.components.setdefault(registry.name, {})
                setattr(registries, attribute, _Collection(registry, own))
        sys.modules[registries.__name__] = registries

    def load(self, file):
        """Import a file below the folder, and return the module."""
        parts = os.path.relpath(file, self.folder)[: -len(".py")].split(os.sep)
        return importlib.import_module(".".join([self.name, *parts]))

    def find_spec(self, fullname, path=None, target=None):
        """Return the spec of a module of this folder, None for any other; see `importlib.abc`."""
        head, _, rest = fullname.partition(".")
        if head != self.name:
            return None
        stem = os.path.join(self.folder, *rest.split(".")) if rest else self.folder
        if os.path.isdir(stem):
            loader = _Package(fullname, os.path.join(stem, "__init__.py"), self)
            return importlib.util.spec_from_loader(fullname, loader, is_package=True)
        if os.path.isfile(f"{stem}.py"):
            loader = _Module(fullname, f"{stem}.py", self)
            return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)
        return None

    def renamed(self, module):
        """Return the name here of a module that files call "paddleseg..."."""
        return self.name + module[len(PACKAGE) :]

    def source_of(self, module, name):
        """Return the module from which `from module import name` imports here."""
        qualified = f"{module}.{name}"
        if REGISTRIES in (module, qualified):
            return self.renamed(module)
        if qualified in OURS:
            return module
        if module in OURS and not self._has(qualified) and hasattr(importlib.import_module(module), name):
            return module
        return self.renamed(module) if self._has(module) else module

    def _has(self, module):
        return self.find_spec(self.renamed(module)) is not None


class _Module(importlib.machinery.SourceFileLoader):
    """Compiles a file after its imports are redirected. There is no cache: it would lie beside the file."""

    def __init__(self, fullname, path, modules):
        super().__init__(fullname, path)
        self._modules = modules

    def exec_module(self, module):
        vars(module)[READER] = lambda path, **_: read_weights(path)
        super().exec_module(module)

    def get_code(self, fullname):
        tree = ast.parse(self.get_data(self.path), self.path)
        inside = fullname if self.is_package(fullname) else fullname.rpartition(".")[0]
        package = PACKAGE + inside[len(self._modules.name) :]
        tree = ast.fix_missing_locations(_Redirected(self._modules, package).visit(tree))
        return compile(tree, self.path, "exec", dont_inherit=True)


class _Package(_Module):
    """A folder of modules. Its `__init__` runs only when a name is asked for that is no module.

    PaddleSeg's import all architectures, and one that cannot be imported would make all others unusable.
    """

    def exec_module(self, module):
        def missing(name):
            if name.startswith("__") and name != "__all__":
                raise AttributeError(name)
            submodule = f"{module.__name__}.{name}"
            if self._modules.find_spec(submodule) is not None:
                return importlib.import_module(submodule)
            if vars(module).pop("__getattr__", None) is not None and os.path.isfile(self.path):
                super(_Package, self).exec_module(module)
            if name in vars(module):
                return vars(module)[name]
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__path__ = [os.path.dirname(self.path)]
        module.__getattr__ = missing


class _Redirected(ast.NodeTransformer):
    """Redirects imports of "paddleseg" in a syntax tree, and `paddle.load` to the reader that runs no code.

    Args:
        modules: the `ForeignModules`.
        package: the package in which relative imports begin, "paddleseg.models".
    """

    def __init__(self, modules, package):
        self._modules = modules
        self._package = package

    def visit_ImportFrom(self, node):
        module = node.module or ""
        if node.level:
            module = importlib.util.resolve_name("." * node.level + module, self._package)
        if not _is_paddlesegs(module):
            return node
        return [
            ast.copy_location(ast.ImportFrom(self._modules.source_of(module, alias.name), [alias], 0), node)
            for alias in node.names
        ]

    def visit_Import(self, node):
        for alias in node.names:
            module, _, name = alias.name.rpartition(".")
            # Without `as`, the statement binds "paddleseg", which stays this package.
            if alias.asname and _is_paddlesegs(module):
                alias.name = f"{self._modules.source_of(module, name)}.{name}"
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("paddle", "load"):
            return ast.copy_location(ast.Name(READER, node.ctx), node)
        return node


def _is_paddlesegs(module):
    return module.split(".")[0] == PACKAGE


class _Collection:
    """What a folder's file sees as a registry: it registers with the folder, and reads this package's too."""

    def __init__(self, registry, own):
        self._registry = registry
        self._own = own

    def add_component(self, component):
        for item in component if isinstance(component, (list, tuple)) else [component]:
            self._own[item.__name__] = item
        return component

    def __getitem__(self, name):
        return self._own[name] if name in self._own else self._registry[name]

    @property
    def components_dict(self):
        """The components by name, as PaddleSeg's registries give them."""
        return {**{name: self._registry[name] for name in self._registry}, **self._own}
