"""The registries that turn the `type` names of a config into classes and functions.

Decorate a component to register it, and let the config import its module: `imports: [my_package.my_module]`

    from paddleseg.cvlibs import manager

    @manager.LOSSES.add_component
    class MyLoss(nn.Layer): ...
"""

import contextlib
import inspect
import os

from paddleseg.errors import UserError, nearest, suggestion

# Where components are looked for that are not registered, such as PaddleSeg's files. A source has the methods
# `find(registry, name)`, `why_not(registry, name)` and `names(registry)` of `paddleseg_files.PaddleSegFiles`,
# and the `folder` of its files.
SOURCES = []
# With this before its name, a component is that of a source, even where this package has one of that name.
FROM_SOURCE = "paddleseg."
MOST_NAMED = 20
# The least similarity of a name that is suggested. Many architectures are called ...Net.
SIMILARITY = {"model": 0.85, "backbone": 0.85, "dataset": 0.8, "loss": 0.8, "transform": 0.6}


@contextlib.contextmanager
def searching(sources):
    """Within this context, look for components that are not registered in these sources and in no others."""
    before = list(SOURCES)
    SOURCES[:] = sources
    try:
        yield
    finally:
        new = [source for source in SOURCES if source not in before and source not in sources]
        SOURCES[:] = before + new


def getattr_of_files(module, registry):
    """Return the `__getattr__` of a module, which takes components from the folder that PADDLESEG_PATH names.

    Args:
        module: the module's name, for messages.
        registry: the `ComponentManager` of its components.
    """

    def get(name):
        path = os.environ.get("PADDLESEG_PATH")
        if path and name[0].isupper():  # a component, not a module
            from paddleseg.cvlibs.paddleseg_files import paddleseg_files  # it needs this module

            component = paddleseg_files(path).find(registry.name, name)
            if component is not None:
                return component
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get


class ComponentManager:
    """A named set of classes and functions, found by the names of their definitions.

    Args:
        name: what the set holds, for messages ("model", "loss").
    """

    def __init__(self, name):
        self.name = name
        self._components = {}

    def add_component(self, component):
        """Register a class or function, or a list or tuple of them; also as a decorator.

        Returns:
            `component` itself.

        Raises:
            TypeError: it is neither a class nor a function.
            UserError: another component has that name already.
        """
        for item in component if isinstance(component, (list, tuple)) else [component]:
            if not (inspect.isclass(item) or inspect.isfunction(item)):
                raise TypeError(f"a {self.name} must be a class or a function, not {item!r}")
            known = self._components.setdefault(item.__name__, item)
            # A module that runs again (a notebook cell, a reload) may redefine its component.
            if (known.__module__, known.__qualname__) != (item.__module__, item.__qualname__):
                owner = known.__module__
                raise UserError(f"{owner} has a {self.name} named {item.__name__!r} already; choose another")
            self._components[item.__name__] = item
        return component

    def __getitem__(self, name):
        """Return the component of that name, or raise `UserError` naming the nearest ones."""
        component = self._find(name)
        if component is None:
            raise UserError(f"unknown {self.name} {name!r}: {self.remedy(name)}")
        return component

    def __contains__(self, name):
        return self._find(name) is not None

    def __iter__(self):
        in_sources = (name for source in SOURCES for name in source.names(self.name))
        return iter(sorted({*self._components, *in_sources}))

    def __len__(self):
        return len(self._components)

    def has_own(self, name):
        """Tell whether a component is registered here, and not only in a source."""
        return name in self._components

    def remedy(self, name):
        """Return what to do about a component that cannot be had: why a source fails, or what is near."""
        reasons = (source.why_not(self.name, _without_prefix(name)) for source in SOURCES)
        return next(filter(None, reasons), None) or remedy(name, self.name, self)

    def _find(self, name):
        """Return the registered component, else that of the first source that has it, else None."""
        if name in self._components:
            return self._components[name]
        name = _without_prefix(name)
        return next(filter(None, (source.find(self.name, name) for source in SOURCES)), None)

    def __repr__(self):
        return f"ComponentManager({self.name!r}: {', '.join(self)})"


def remedy(name, registry, candidates):
    """Return a clause that names the nearest candidates, or else the first ones and where others are.

    Args:
        name: what is unknown.
        registry: the name of the registry.
        candidates: the names that there are.
    """
    if registry not in SIMILARITY:
        return suggestion(name, candidates)
    close = nearest(name, candidates, cutoff=SIMILARITY[registry])
    close += [one for one in candidates if one.lower().startswith(name.lower()) and one not in close]
    if close and name:
        return "did you mean " + " or ".join(repr(one) for one in close[:3]) + "?"
    return (
        "there are "
        + ", ".join(repr(one) for one in [*candidates][:MOST_NAMED])
        + f"; {_elsewhere(registry)}"
    )


def _without_prefix(name):
    return name[len(FROM_SOURCE) :] if name.startswith(FROM_SOURCE) else name


def _elsewhere(registry):
    """Return a clause: what a user does who wants a component that is unknown here and to all sources."""
    folders = " and ".join(source.folder for source in SOURCES)
    paddlesegs = (
        f"PaddleSeg's files in {folders} do not have it"
        if folders
        else "`paddleseg_path` takes PaddleSeg's from its files"
    )
    teacher = "; a teacher of any framework can be an ONNXTeacher" if registry == "model" else ""
    return f"{paddlesegs}, and `imports` registers your own{teacher}"


MODELS = ComponentManager("model")
BACKBONES = ComponentManager("backbone")
DATASETS = ComponentManager("dataset")
TRANSFORMS = ComponentManager("transform")
LOSSES = ComponentManager("loss")
CONNECTORS = ComponentManager("connector")
OPTIMIZERS = ComponentManager("optimizer")
LR_SCHEDULERS = ComponentManager("lr_scheduler")
