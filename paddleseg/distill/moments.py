"""Tensors as they are when a forward pass reaches them, whatever in-place operations do to them later."""

import contextlib

import paddle
import paddle.nn as nn


class Moment:
    """A value at one moment of a forward pass.

    Args:
        value: a tensor, or lists, tuples and dicts that hold tensors.
        copied: whether its tensors are copied.

    Attributes:
        value: the same.
        tensors: the list of its tensors; empty in a static graph, where no operation overwrites a tensor.
    """

    def __init__(self, value, copied):
        self.value = value
        self.tensors = list(_tensors(value)) if paddle.in_dynamic_mode() else []
        self._versions = [tensor.inplace_version for tensor in self.tensors]
        self._copies = {id(tensor): tensor.clone() for tensor in self.tensors} if copied else {}

    def overwritten(self):
        """Return the ids of its tensors that have been overwritten since.

        `set_value` and `copy_` leave the version as it is, so the numbers of a copied tensor are compared.
        """
        pairs = zip(self.tensors, self._versions)
        return {id(x) for x, version in pairs if x.inplace_version != version or self._has_other_numbers(x)}

    def with_copies(self):
        """Return the value, with copies in place of the tensors that are copied."""
        return _replaced(self.value, self._copies)

    def has_copy(self, tensor):
        """Return whether a tensor is a copy of one of its tensors."""
        return any(tensor is copy for copy in self._copies.values())

    def _has_other_numbers(self, tensor):
        copy = self._copies.get(id(tensor))
        return copy is not None and copy.numpy().tobytes() != tensor.numpy().tobytes()


class Moments:
    """The values of a forward pass, each under a key, as they were when they were noted.

    In the first pass all tensors are copied. `find_overwritten` compares them with their copies, and so finds
    the keys whose tensors are overwritten in place. Later passes copy only the tensors of these keys.
    """

    def __init__(self):
        self._moments = {}
        self._copied = None  # the keys whose tensors are copied; None for all
        self._overwritten = {}  # {key: ids of tensors}, as `find_overwritten` found them

    def note(self, key, value):
        """Note a value under a key, in place of an earlier one."""
        self._moments[key] = Moment(value, self._copied is None or key in self._copied)

    def clear(self):
        """Forget the values."""
        self._moments.clear()
        self._overwritten.clear()

    def find_overwritten(self):
        """Find out, after a pass, which tensors were overwritten in it."""
        ids = {key: moment.overwritten() for key, moment in self._moments.items()}
        self._overwritten = {key: ids_of_key for key, ids_of_key in ids.items() if ids_of_key}
        if self._copied is None and any(moment.tensors for moment in self._moments.values()):
            self._copied = set(self._overwritten)

    def values(self):
        """Return {key: value} after `find_overwritten`, with copies where tensors were overwritten."""
        copied = self._copied or ()
        return {
            k: moment.with_copies() if k in copied else moment.value for k, moment in self._moments.items()
        }

    def is_lost(self, tensor):
        """Return whether a tensor was overwritten without a copy, since it was not in the first pass."""
        copied = self._copied or ()
        return any(id(tensor) in ids for key, ids in self._overwritten.items() if key not in copied)

    def is_copy(self, tensor):
        """Return whether a tensor is the copy of one that was overwritten."""
        return any(self._moments[key].has_copy(tensor) for key in self._copied or () if key in self._moments)


class Attributes(Moments):
    """The tensors that a model's forward sets as attributes of its layers, as they are when they are set.

    Args:
        model: a `paddle.nn.Layer`.
    """

    _running = []  # the `Attributes` whose models are in a forward pass

    def __init__(self, model):
        super().__init__()
        self._model = model
        self._layers = set()
        self._owners = {}

    def register(self):
        """Let each forward pass of the model note its attributes; return the hooks."""
        # After a failed pass, the noting goes on until `clear`. It must leave out the layers of other models.
        self._layers = {id(layer) for layer in self._model.sublayers(include_self=True)}
        return [
            self._model.register_forward_pre_hook(lambda *_: self._start()),
            self._model.register_forward_post_hook(lambda *_: self._stop()),
        ]

    def clear(self):
        """Forget the values, and end a pass that failed."""
        super(Attributes, self).clear()  # with its arguments, since Paddle 2 cannot trace it without
        self._owners.clear()
        self._stop()

    @contextlib.contextmanager
    def as_set(self):
        """Within this context, attributes that were overwritten hold the tensors that `forward` set."""
        changed = []
        for key, value in self.values().items():
            owner, name = self._owners[key], key[1]
            holder = owner._buffers if name in owner._buffers else vars(owner)
            current = holder.get(name)
            if current is self._moments[key].value:  # nothing has deleted or replaced it
                holder[name] = value
                changed.append((holder, name, current))
        try:
            yield
        finally:
            for holder, name, current in changed:
                holder[name] = current

    def is_unknown(self, tensor):
        """Return whether a tensor was changed in place, so that its value when it became a tap is unknown.

        An example is a tensor that was appended to a list. The buffers that a model updates are left out.
        """
        if tensor.inplace_version == 0:
            return False
        keys = [key for key, moment in self._moments.items() if any(tensor is one for one in moment.tensors)]
        if keys:
            return any(key in self._overwritten for key in keys)
        layers = self._model.sublayers(include_self=True)
        return not any(tensor is buffer for layer in layers for buffer in layer._buffers.values())

    def _start(self):
        if paddle.in_dynamic_mode() and self not in self._running:
            self._running.append(self)
            nn.Layer.__setattr__ = _set_and_note

    def _stop(self):
        if self in self._running:
            self._running.remove(self)
            if not self._running:
                nn.Layer.__setattr__ = _set

    def _note_attribute(self, owner, name, value):
        if id(owner) in self._layers and next(_tensors(value), None) is not None:
            key = id(owner), name
            self._owners[key] = owner
            self.note(key, value)


_set = nn.Layer.__setattr__


def _set_and_note(layer, name, value):
    """Set an attribute as Paddle does, and let the models that are running note it."""
    _set(layer, name, value)
    for attributes in Attributes._running:
        attributes._note_attribute(layer, name, value)


def _tensors(value):
    """Yield the tensors of a value, those in lists, tuples and dicts included; no parameters."""
    if isinstance(value, paddle.Tensor):
        yield value
    elif type(value) in (list, tuple):
        for item in value:
            yield from _tensors(item)
    elif type(value) is dict:
        for item in value.values():
            yield from _tensors(item)


def _replaced(value, copies):
    """Return a value with the tensors replaced whose ids are keys of `copies`."""
    if isinstance(value, paddle.Tensor):
        return copies.get(id(value), value)
    if type(value) in (list, tuple):
        return type(value)(_replaced(item, copies) for item in value)
    if type(value) is dict:
        return {key: _replaced(item, copies) for key, item in value.items()}
    return value
