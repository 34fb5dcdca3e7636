"""Taps: where in a model the tensors to distil are found, and what reads them after each forward pass."""

import copy
import functools
from dataclasses import dataclass
from typing import Optional

import paddle

from paddleseg.distill.adaptor import AdaptorMapping, missing_message
from paddleseg.distill.moments import Attributes, Moments
from paddleseg.errors import UserError, suggestion
from paddleseg.utils.logger import logger


@dataclass(frozen=True)
class Tap:
    """A place in a model where a tensor is found.

    Args:
        kind: "output_of" or "input_of" a sublayer, or "attr", an attribute that `forward` sets.
        name: the dotted name of the sublayer or attribute.
        index: the item of a list of tensors; None where the place holds one tensor. Default None.
    """

    kind: str
    name: str
    index: Optional[int] = None

    def __str__(self):
        """Return the tap as it is written in a config."""
        if self.kind == "output_of" and self.index is None:
            return self.name
        index = "" if self.index is None else f", index: {self.index}"
        return f"{{{self.kind}: {self.name}{index}}}"

    @property
    def label(self):
        """The name in the log, without the signs that separate the figures of a log line."""
        kind = "_input" if self.kind == "input_of" else ""
        index = "" if self.index is None else f"_{self.index}"
        return f"{self.name}{kind}{index}"


class Taps:
    """Reads the tensors at some places of a model after each forward pass.

    Of a layer that runs several times in one pass, the last call counts. A tensor is read as it was at its
    place, even if an in-place operation overwrites it later in the pass: the first pass that is read shows
    which tensors are overwritten, and those are copied.

    Args:
        model: the layer itself, not its data-parallel wrapper.
        role: "student" or "teacher", for messages.
        adaptor_class: a class derived from `AdaptorBase`, whose names are taps as well; None for none.
            Default None.
        declared: pairs (`Tap`, where it is written). Default none.

    Attributes:
        of_forward: whether some tensors are set by the model's own `forward`, and not by a sublayer's. With
            an adaptor this is True until the first pass shows whether the adaptor names any.

    Raises:
        UserError: the model has no sublayer of that name; the message names the nearest ones.
    """

    def __init__(self, model, role, adaptor_class=None, declared=()):
        self._model = model
        self._arguments = role, adaptor_class, declared
        self._adaptor = None if adaptor_class is None else AdaptorMapping(adaptor_class, model, role)
        # The keys are names of the adaptor and `Tap`s of the config, so the two cannot collide.
        self._taps = {}
        self._where = {}
        self._moments = Moments()
        self._attributes = Attributes(model)
        self._hooks = []
        self._is_first_read = True
        for name, layer_name in self._adaptor.layers().items() if self._adaptor else ():
            self._add(name, Tap("output_of", layer_name), self._adaptor.where(name))
        for tap, where in declared:
            if tap not in self._taps:
                self._add(tap, tap, where)
        self._has_attributes = any(tap.kind == "attr" for tap in self._taps.values())
        self.of_forward = self._has_attributes or self._adaptor is not None
        self._register_hooks()

    def read(self):
        """Return {adaptor's name or `Tap`: tensor} of the last forward pass, and hold them no longer.

        Raises:
            UserError: `forward` does not set an attribute or does not run a layer, what is found is no
                tensor, or a tensor is overwritten in place and was not in the first pass.
        """
        self._moments.find_overwritten()
        self._attributes.find_overwritten()
        outputs = self._moments.values()
        try:
            with self._attributes.as_set():
                tensors = self._read(outputs)
            self._check(tensors)
        finally:
            self.clear()
        return tensors

    def clear(self):
        """Drop the tensors of forward passes that were not read, such as those of an evaluation."""
        self._moments.clear()
        self._attributes.clear()

    def _read(self, outputs):
        """Return {key: tensor}; `outputs` holds what the taps of layers have noted."""
        tensors = {}
        for key, tap in self._taps.items():
            where = self._where[key]
            if tap.kind != "attr" and key not in outputs:
                raise UserError(f"{where}: the model's forward does not run {tap.name!r}")
            value = self._attribute(tap.name, where) if tap.kind == "attr" else outputs[key]
            tensors[key] = one_tensor(value, tap.index, where)
        named = self._adaptor.tensors() if self._adaptor else {}
        self.of_forward = self._has_attributes or bool(named)
        for name, value in named.items():
            self._where[name] = self._adaptor.where(name)
            tensors[name] = one_tensor(value, None, self._where[name])
        return tensors

    def of_copy(self):
        """Return (a copy of the model, the same `Taps` of the copy)."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        try:
            model = copy.deepcopy(self._model)
        finally:
            self._register_hooks()
        return model, Taps(model, *self._arguments)

    def _check(self, tensors):
        """Raise `UserError` if a tensor is no longer what its place gave; log once which are copied."""
        if not paddle.in_dynamic_mode():  # nothing is overwritten in a static graph
            return
        first, self._is_first_read = self._is_first_read, False
        for key, tensor in tensors.items():
            where, both = self._where[key], (self._moments, self._attributes)
            if any(moments.is_lost(tensor) for moments in both):
                raise UserError(
                    f"{where}: an in-place operation has overwritten this tensor, and had not in the first "
                    f"forward pass; let the model compute it out of place, such as by F.relu for F.relu_"
                )
            if first and any(moments.is_copy(tensor) for moments in both):
                logger.info(f"{where}: an in-place operation overwrites this tensor later, so it is copied")
            elif first and self._is_of_forward(key) and self._attributes.is_unknown(tensor):
                logger.warning(
                    f"{where}: this tensor was changed in place, perhaps after forward put it into its list; "
                    f"to be sure, set the attribute to the whole list, or add tensor.clone() to it"
                )

    def _is_of_forward(self, key):
        return key not in self._taps or self._taps[key].kind == "attr"

    def _add(self, key, tap, where):
        self._taps[key], self._where[key] = tap, where
        layers = dict(self._model.named_sublayers())
        if tap.kind != "attr" and tap.name not in layers:  # attributes exist only after a forward pass
            raise UserError(
                f"{where}: {type(self._model).__name__} has no sublayer {tap.name!r}; "
                f"{suggestion(tap.name, layers)}"
            )

    def _register_hooks(self):
        layers = dict(self._model.named_sublayers())
        for key, tap in self._taps.items():
            if tap.kind != "attr":
                store = functools.partial(self._moments.note, key)
                self._hooks.append(register_hook(layers[tap.name], tap.kind, store))
        if self.of_forward:
            self._hooks += self._attributes.register()

    def _attribute(self, dotted_name, where):
        owner = self._model
        for name in dotted_name.split("."):
            if not hasattr(owner, name):
                raise UserError(f"{where}: {missing_message(name, owner)}")
            owner = getattr(owner, name)
        return owner


def register_hook(layer, kind, store):
    """Call `store(value)` in each forward pass with a layer's first input or its output; return the hook.

    Args:
        layer: a `paddle.nn.Layer`.
        kind: "input_of" or "output_of".
        store: a function that returns None.
    """
    if kind == "input_of":
        return layer.register_forward_pre_hook(lambda _, inputs: store(inputs[0] if inputs else None))
    return layer.register_forward_post_hook(lambda _, inputs, output: store(output))


def one_tensor(value, index, where):
    """Return a value, or one item of it, as a tensor; a list of one item counts as that item.

    Args:
        value: a tensor or a list of tensors.
        index: the item of the list; None for none.
        where: where the tap is written, for messages.

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
    if not paddle.is_tensor(value):  # true for a tensor of a static graph, too
        kind = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise UserError(f"{where}: {kind} instead of one tensor; name one of its items")
    return value
