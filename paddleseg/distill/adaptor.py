"""Adaptors: the user's own naming of the tensors to distil, and the taps that fetch them."""

import re
import traceback

import paddle

from paddleseg.errors import UserError, suggestion


class AdaptorBase:
    """Names intermediate tensors of a model; a `distill_config.py` derives one for each of the two models.

    `mapping_layers()` returns a dict from a name such as 'hidden_0' to the dotted name of a sublayer, whose
    output is meant. Inside `if self.add_tensor:` a name is mapped to a tensor instead, one that `forward`
    left on the model: `self.model.reshape_out`.

    Args:
        model: the model, a `paddle.nn.Layer`.

    Attributes:
        model: the same.
        add_tensor: whether a forward pass has just been made, so that its tensors are there.
    """

    def __init__(self, model):
        self.model = model
        self.add_tensor = False

    def mapping_layers(self):
        """Return the names and what they stand for."""
        raise NotImplementedError(f"{type(self).__name__} must define mapping_layers()")


def told(error):
    """Return an error raised in a user's file as one line: its kind, its text, and the line it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (line {frames[-1].lineno} of {frames[-1].filename})"


class Taps:
    """The tensors that an adaptor names, after each forward pass of its model.

    Args:
        model: the layer itself, not its data-parallel wrapper.
        adaptor_class: a class derived from `AdaptorBase`.
        role: "student" or "teacher", for messages.

    Raises:
        UserError: the adaptor names a sublayer that the model does not have.
    """

    def __init__(self, model, adaptor_class, role):
        self._role = role
        self._adaptor = adaptor_class(model)
        self._outputs = {}
        layers = dict(model.named_sublayers())
        for name, layer_name in self._mapping().items():
            if not isinstance(layer_name, str):
                raise UserError(
                    f"{self._where(name)}: {type(layer_name).__name__} instead of a sublayer's name; a "
                    f"tensor belongs inside `if self.add_tensor:`"
                )
            if layer_name not in layers:
                raise UserError(
                    f"{self._where(name)}: {type(model).__name__} has no sublayer {layer_name!r}; "
                    f"{suggestion(layer_name, layers)}"
                )
            layers[layer_name].register_forward_post_hook(self._keeper(name))

    def read(self):
        """Return {name: tensor} of the last forward pass, and let go of them.

        Raises:
            UserError: a tensor that `forward` does not leave on the model, a layer that it does not run,
                or something that is no tensor.
        """
        self._adaptor.add_tensor = True
        mapping = self._mapping()
        self._adaptor.add_tensor = False
        outputs, self._outputs = self._outputs, {}
        taps = {}
        for name, what in mapping.items():
            if isinstance(what, str):
                if name not in outputs:
                    raise UserError(f"{self._where(name)}: the model's forward does not run {what!r}")
                what = outputs[name]
            taps[name] = self._tensor(name, what)
        return taps

    def _mapping(self):
        try:
            mapping = self._adaptor.mapping_layers()
        except NotImplementedError:
            raise
        except AttributeError as error:
            raise UserError(f"{self._where()}: {self._missing_attribute(error)}") from error
        except Exception as error:  # it is the user's file: what is wrong there is theirs to mend
            raise UserError(f"{self._where()}: {told(error)}") from error
        if not isinstance(mapping, dict):
            raise UserError(f"{self._where()} returned {type(mapping).__name__} instead of a dict")
        return mapping

    def _missing_attribute(self, error):
        """Return what an AttributeError in a user's adaptor means for the user."""
        model = self._adaptor.model
        found = re.search(r"'(\w+)' object has no attribute '(\w+)'", str(error))
        owners = [
            layer for layer in (model, *model.sublayers()) if found and type(layer).__name__ == found[1]
        ]
        if not owners:
            return told(error)
        owner = getattr(error, "obj", None) or owners[0]
        left = [n for n in (*vars(owner), *owner._buffers, *owner._sub_layers) if not n.startswith("_")]
        return f"forward leaves no {found[2]!r} on {found[1]}; {suggestion(found[2], left)}"

    def _keeper(self, name):
        def keep(layer, inputs, output):
            self._outputs[name] = output

        return keep

    def _tensor(self, name, value):
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if not isinstance(value, paddle.Tensor):
            kind = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
            raise UserError(f"{self._where(name)}: {kind} instead of one tensor; name one of its items")
        return value

    def _where(self, name=None):
        adaptor = f"{type(self._adaptor).__name__} ({self._role}).mapping_layers()"
        return adaptor if name is None else f"{adaptor}[{name!r}]"
