"""The registries that turn the `type` names of a config into classes and functions.

Decorate a component to register it, and let the config import its module: `imports: [my_package.my_module]`

    from paddleseg.cvlibs import manager

    @manager.LOSSES.add_component
    class MyLoss(nn.Layer): ...
"""

import inspect

from paddleseg.errors import UserError, suggestion


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
        if name not in self._components:
            raise UserError(f"unknown {self.name} {name!r}: {suggestion(name, self._components)}")
        return self._components[name]

    def __contains__(self, name):
        return name in self._components

    def __iter__(self):
        return iter(sorted(self._components))

    def __len__(self):
        return len(self._components)

    def __repr__(self):
        return f"ComponentManager({self.name!r}: {', '.join(self)})"


MODELS = ComponentManager("model")
BACKBONES = ComponentManager("backbone")
DATASETS = ComponentManager("dataset")
TRANSFORMS = ComponentManager("transform")
LOSSES = ComponentManager("loss")
CONNECTORS = ComponentManager("connector")
OPTIMIZERS = ComponentManager("optimizer")
LR_SCHEDULERS = ComponentManager("lr_scheduler")
