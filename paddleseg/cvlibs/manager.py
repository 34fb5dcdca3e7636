"""The registries through which a config's `type` names reach classes and functions.

A component of one's own is registered by decorating it and importing its module, which a config
does with `imports: [my_package.my_module]`:

    from paddleseg.cvlibs import manager

    @manager.LOSSES.add_component
    class MyLoss(nn.Layer): ...
"""

import inspect

from paddleseg.errors import UserError, suggestion


class ComponentManager:
    """A named set of classes and functions, looked up by the name that they were defined with.

    Args:
        name: what the set holds, as its messages call it ("model", "loss").
    """

    def __init__(self, name):
        self.name = name
        self._components = {}

    def add_component(self, component):
        """Register a class or function, or each of a list or tuple of them; usable as a decorator.

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
            # A module that is run again (a notebook cell, a reload) may define its component anew.
            same_place = (known.__module__, known.__qualname__) == (item.__module__, item.__qualname__)
            if known is not item and not same_place:
                raise UserError(
                    f"there is a {self.name} named {item.__name__!r} already, in {known.__module__}; "
                    f"choose another name"
                )
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
