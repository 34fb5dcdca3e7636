"""Taps: where in a model the tensors to distil are found, and what fetches them after each forward pass."""

import copy
from dataclasses import dataclass
from typing import Optional

import paddle

from paddleseg.distill.adaptor import AdaptorMapping, missing
from paddleseg.errors import UserError, suggestion


@dataclass(frozen=True)
class Tap:
    """A place in a model where a tensor is found.

    Args:
        kind: "output_of" or "input_of" a sublayer, or "attr", which `forward` leaves on the model.
        name: the sublayer's or attribute's dotted name.
        index: which item, where a list of tensors is found; None where it is one tensor.
    """

    kind: str
    name: str
    index: Optional[int] = None

    def __str__(self):
        """Return it as a config says it."""
        if self.kind == "output_of" and self.index is None:
            return self.name
        index = "" if self.index is None else f", index: {self.index}"
        return f"{{{self.kind}: {self.name}{index}}}"

    @property
    def label(self):
        """What the log calls it, without the signs that stand between the figures of a log line."""
        kind = "_input" if self.kind == "input_of" else ""
        index = "" if self.index is None else f"_{self.index}"
        return f"{self.name}{kind}{index}"


class Taps:
    """The tensors at some places of a model, after each of its forward passes.

    Of a layer that runs several times in one pass, its last call is meant.

    Args:
        model: the layer itself, not its data-parallel wrapper.
        role: "student" or "teacher", for messages.
        adaptor_class: a class derived from `AdaptorBase`, whose names are taps as well; None for none.
        declared: pairs (`Tap`, where it was written).

    Attributes:
        of_forward: whether some may be what the model's own `forward` leaves, and not a sublayer's; an
            adaptor's tensors are, and whether it has any is known after the first pass.

    Raises:
        UserError: the model has no sublayer of a name; the nearest ones are told.
    """

    def __init__(self, model, role, adaptor_class=None, declared=()):
        self._model = model
        self._asked = role, adaptor_class, declared
        self._adaptor = None if adaptor_class is None else AdaptorMapping(adaptor_class, model, role)
        # By name from the adaptor, by Tap from the config: the two never meet.
        self._taps = {}
        self._where = {}
        self._found = {}
        self._hooks = []
        for name, layer_name in self._adaptor.layers().items() if self._adaptor else ():
            self._add(name, Tap("output_of", layer_name), self._adaptor.where(name))
        for tap, where in declared:
            if tap not in self._taps:
                self._add(tap, tap, where)
        self._has_attributes = any(tap.kind == "attr" for tap in self._taps.values())
        self.of_forward = self._has_attributes or self._adaptor is not None
        self._hook()

    def read(self):
        """Return {adaptor's name or `Tap`: tensor} of the last forward pass, and let go of them.

        Raises:
            UserError: a tensor that `forward` does not leave on the model, a layer that it does not run,
                or something that is no tensor.
        """
        found, self._found = self._found, {}
        tensors = {}
        for key, tap in self._taps.items():
            if tap.kind == "attr":
                value = self._attribute(tap, self._where[key])
            elif key in found:
                value = found[key]
            else:
                raise UserError(f"{self._where[key]}: the model's forward does not run {tap.name!r}")
            tensors[key] = one_tensor(value, tap.index, self._where[key])
        named = self._adaptor.tensors() if self._adaptor else {}
        self.of_forward = self._has_attributes or bool(named)
        for name, value in named.items():
            tensors[name] = one_tensor(value, None, self._adaptor.where(name))
        return tensors

    def clear(self):
        """Let go of the tensors of forward passes that nobody has read, such as an evaluation's."""
        self._found = {}

    def of_copy(self):
        """Return (a copy of the model, the same `Taps` of the copy)."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        try:
            model = copy.deepcopy(self._model)
        finally:
            self._hook()
        return model, Taps(model, *self._asked)

    def _add(self, key, tap, where):
        self._taps[key], self._where[key] = tap, where
        if tap.kind == "attr":
            return  # there after a forward pass at the earliest
        layers = dict(self._model.named_sublayers())
        if tap.name not in layers:
            raise UserError(
                f"{where}: {type(self._model).__name__} has no sublayer {tap.name!r}; "
                f"{suggestion(tap.name, layers)}"
            )

    def _hook(self):
        layers = dict(self._model.named_sublayers())
        for key, tap in self._taps.items():
            if tap.kind == "attr":
                continue
            self._hooks.append(self._hook_of(layers[tap.name], tap.kind, key))

    def _hook_of(self, layer, kind, key):
        if kind == "input_of":
            return layer.register_forward_pre_hook(
                lambda _, inputs: self._keep(key, inputs[0] if inputs else None)
            )
        return layer.register_forward_post_hook(lambda _, inputs, output: self._keep(key, output))

    def _keep(self, key, value):
        self._found[key] = value

    def _attribute(self, tap, where):
        owner = self._model
        for name in tap.name.split("."):
            if not hasattr(owner, name):
                raise UserError(f"{where}: {missing(name, owner)}")
            owner = getattr(owner, name)
        return owner


def one_tensor(value, index, where):
    """Return what was found, or one item of it, as a tensor; a list of one counts as its item.

    Raises:
        UserError: it is no tensor, or has no such item.
    """
    if index is not None:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where}: {type(value).__name__} instead of a list, so it has no index {index}")
        if not -len(value) <= index < len(value):
            raise UserError(f"{where}: a list of {len(value)} has no index {index}")
        value = value[index]
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if not paddle.is_tensor(value):  # also one of a static graph
        kind = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise UserError(f"{where}: {kind} instead of one tensor; name one of its items")
    return value
