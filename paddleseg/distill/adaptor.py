"""Adaptors: the user's own naming, in Python, of the tensors to distil."""

import re
import traceback

from paddleseg.errors import UserError, one_line, suggestion


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
    if isinstance(error, SyntaxError):  # whose place no frame tells, as nothing of that file has run
        place = f" (line {error.lineno} of {error.filename})" if error.lineno else ""
        return f"{type(error).__name__}: {error.msg}{place}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {one_line(error)} (line {frames[-1].lineno} of {frames[-1].filename})"


class AdaptorMapping:
    """What an adaptor names, asked for before the first forward pass and after each.

    Args:
        adaptor_class: a class derived from `AdaptorBase`.
        model: the layer that it is an adaptor of.
        role: "student" or "teacher", for messages.
    """

    def __init__(self, adaptor_class, model, role):
        self._adaptor = adaptor_class(model)
        self._role = role
        self._layers = {}

    def layers(self):
        """Return {name: sublayer's name}.

        Raises:
            UserError: a name stands for anything else.
        """
        mapping = self._mapping()
        for name, layer_name in mapping.items():
            if not isinstance(layer_name, str):
                raise UserError(
                    f"{self.where(name)}: {type(layer_name).__name__} instead of a sublayer's name; a "
                    f"tensor belongs inside `if self.add_tensor:`"
                )
        self._layers = mapping
        return mapping

    def tensors(self):
        """Return {name: what it stands for} of the names that stand for no sublayer.

        Raises:
            UserError: a sublayer is named too late.
        """
        self._adaptor.add_tensor = True
        mapping = self._mapping()
        self._adaptor.add_tensor = False
        for name, what in mapping.items():
            if isinstance(what, str) and name not in self._layers:
                raise UserError(
                    f"{self.where(name)}: the sublayer {what!r} must be named outside `if self.add_tensor:`"
                )
        return {name: what for name, what in mapping.items() if not isinstance(what, str)}

    def where(self, name=None):
        """Return the place of a name, or of all, for messages."""
        adaptor = f"{type(self._adaptor).__name__} ({self._role}).mapping_layers()"
        return adaptor if name is None else f"{adaptor}[{name!r}]"

    def _mapping(self):
        try:
            mapping = self._adaptor.mapping_layers()
        except AttributeError as error:
            raise UserError(f"{self.where()}: {self._missing_attribute(error)}") from error
        except Exception as error:  # it is the user's file: what is wrong there is theirs to mend
            raise UserError(f"{self.where()}: {told(error)}") from error
        if not isinstance(mapping, dict):
            raise UserError(f"{self.where()} returned {type(mapping).__name__} instead of a dict")
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
        return missing(found[2], getattr(error, "obj", None) or owners[0])


def missing(name, layer):
    """Return that `forward` leaves no `name` on a layer, and what it leaves there."""
    left = [n for n in (*vars(layer), *layer._buffers, *layer._sub_layers) if not n.startswith("_")]
    return f"forward leaves no {name!r} on {type(layer).__name__}; {suggestion(name, left)}"
