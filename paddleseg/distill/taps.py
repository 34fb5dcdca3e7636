"""Taps: where in a model the tensors to distil are found, and what reads them after each forward pass."""

import copy
import functools
from dataclasses import dataclass, field
from typing import Optional, Union

import paddle

from paddleseg.distill.adaptor import AdaptorMapping, missing_message
from paddleseg.distill.moments import Attributes, Moments
from paddleseg.distill.tokens import AUTO_GRID, are_tokens, as_map, auto_grid, stated_grid
from paddleseg.errors import UserError, suggestion
from paddleseg.utils.logger import logger


@dataclass(frozen=True)
class Tap:
    """A place in a model where a tensor is found.

    Args:
        kind: "output_of" or "input_of" a sublayer, or "attr", an attribute that `forward` sets.
        name: the dotted name of the sublayer or attribute.
        index: the item of a list of tensors; None where the place holds one tensor. Default None.
        grid: the grid by which tokens N x L x C become a map N x C x H x W. (H, W) states it. None takes the
            attribute `grid` of the layer. "auto" takes that of the nearest layer around it, or else computes
            the grid from the size of the images. Default None.
        skip: how many prefix tokens, such as a class token, are dropped. Default 0.
        grid_place: where `grid`, or else `skip`, is written, for messages. Default "".
        own_grid: whether the tap itself states `grid` or `skip`, so that its tensor must hold tokens. Default
            False.
    """

    kind: str
    name: str
    index: Optional[int] = None
    grid: Union[str, tuple, None] = None
    skip: int = 0
    grid_place: str = field(default="", compare=False)
    own_grid: bool = field(default=False, compare=False)

    def __str__(self):
        """Return the tap as it is written in a config."""
        grid = list(self.grid) if isinstance(self.grid, tuple) else self.grid
        stated = {"index": self.index, "grid": grid, "skip": self.skip or None}
        stated = "".join(f", {key}: {value}" for key, value in stated.items() if value is not None)
        if self.kind == "output_of" and not stated:
            return self.name
        return f"{{{self.kind}: {self.name}{stated}}}"

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
        of_tokens: the keys of the tensors that were tokens and have become maps.

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
        self._layers = dict(model.named_sublayers())
        self._is_first_read = True
        self.of_tokens = set()
        self._grids_around = {}
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

        Tokens N x L x C are returned as maps N x C x H x W if the layer of the tap has an attribute `grid`,
        (H, W). Tokens whose grid the tap states become maps in `maps`.

        Raises:
            UserError: `forward` does not set an attribute or does not run a layer, what is found is no
                tensor, or a tensor is overwritten in place and was not in the first pass.
        """
        return self.maps_by_model(self.read_unmapped())

    def read_unmapped(self):
        """Return the same as `read`, but the tensors as the model has computed them: tokens stay tokens."""
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

    def maps_by_model(self, tensors):
        """Return what `read_unmapped` returned as `read` does: as maps where the model says the grid."""
        return {key: self._by_model(key, tensor) for key, tensor in tensors.items()}

    def maps(self, tensors, size):
        """Return tensors that `read` returned; tokens whose tap states a grid are maps N x C x H x W.

        Args:
            tensors: {adaptor's name or `Tap`: tensor}. They may come from an engine instead of this model.
            size: (height, width) of the images.

        Raises:
            UserError: a grid does not fit the tokens, or a tap that states one holds no tokens.
        """
        return {key: self._by_statement(key, tensor, size) for key, tensor in tensors.items()}

    def _by_model(self, key, tensor):
        """Return a tensor; tokens as a map if the model says their grid and the tap states none."""
        tap = self._taps.get(key)
        if tap is None or tap.kind != "output_of" or isinstance(tap.grid, tuple):
            return tensor
        if not are_tokens(tensor.shape):
            return tensor
        grid = stated_grid(self._layers[tap.name])
        if grid is None:
            if (tap.grid == AUTO_GRID or tap.skip) and paddle.in_dynamic_mode():
                self._grids_around[key, tensor.shape[1]] = self._grid_around(tap, tensor.shape[1])
            return tensor
        self.of_tokens.add(key)
        return as_map(tensor, grid, tap.skip, tap.grid_place or self._where[key])

    def _grid_around(self, tap, length):
        """Return the grid of the nearest layer around a tap that has as many tokens, None without one."""
        name = tap.name
        while "." in name:
            name = name.rpartition(".")[0]
            grid = stated_grid(self._layers[name])
            if grid is not None and grid[0] * grid[1] + tap.skip == length:
                return grid
        return None

    def _by_statement(self, key, tensor, size):
        """Return a tensor; tokens as a map if the tap states their grid and the model has not said it."""
        tap = self._taps.get(key)
        if tap is None or not (tap.grid or tap.skip):
            return tensor
        if not are_tokens(tensor.shape):
            if tap.own_grid and key not in self.of_tokens:
                shape = list(tensor.shape)
                raise UserError(f"{tap.grid_place}: it is for tokens N x L x C, and the tensor is {shape}")
            return tensor
        grid = tap.grid
        if not isinstance(grid, tuple):
            # An engine's tensors have the lengths that the model's own had for images of this size.
            grid = self._grids_around.get((key, tensor.shape[1]))
        if grid is None:
            grid = auto_grid(tensor.shape, tuple(size), tap.skip, tap.grid_place)
        self.of_tokens.add(key)
        return as_map(tensor, grid, tap.skip, tap.grid_place)

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
        layers = self._layers
        if tap.kind != "attr" and tap.name not in layers:  # attributes exist only after a forward pass
            raise UserError(
                f"{where}: {type(self._model).__name__} has no sublayer {tap.name!r}; "
                f"{suggestion(tap.name, layers)}"
            )

    def _register_hooks(self):
        layers = self._layers = dict(self._model.named_sublayers())
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
