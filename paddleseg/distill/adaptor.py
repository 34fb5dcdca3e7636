"""Adaptors: classes by which a user's distill_config.py names the tensors to distil."""

import re
import traceback

from paddleseg.errors import UserError, one_line, suggestion


class AdaptorBase:
    """Names intermediate tensors of a model; a `distill_config.py` derives one for each of the two models.

    `mapping_layers()` returns a dict from a name such as 'hidden_0' to the dotted name of a sublayer, whose
    output it names. Inside `if self.add_tensor:` it maps a name to a tensor instead, one that `forward`
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
        """Return {name: dotted name of a sublayer, or a tensor}."""
        raise NotImplementedError(f"{type(self).__name__} must define mapping_layers()")


def describe_error(error):
    """Return an error of a user's file as one line: its type, its message, and the line that raised it."""
    if isinstance(error, SyntaxError):  # nothing of that file has run, so no frame has the line
        place = f" (line {error.lineno} of {error.filename})" if error.lineno else ""
        return f"{type(error).__name__}: {error.msg}{place}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(error)} (line {frame.lineno} of {frame.filename})"


class AdaptorMapping:
    """The names of an adaptor: those of layers before the first forward pass, those of tensors after each.

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
        """Return {name: dotted name of a sublayer}.

        Raises:
            UserError: a name is mapped to something else.
        """
        self._layers = self._mapping()
        for name, layer_name in self._layers.items():
            if not isinstance(layer_name, str):
                raise UserError(
                    f"{self.where(name)}: {type(layer_name).__name__} instead of a sublayer's name; a "
                    f"tensor belongs inside `if self.add_tensor:`"
                )
        return self._layers

    def tensors(self):
        """Return {name: tensor} of the names that the adaptor maps to tensors; after a forward pass only.

        Raises:
            UserError: a sublayer is named inside `if self.add_tensor:`.
        """
        self._adaptor.add_tensor = True
        mapping = self._mapping()
        self._adaptor.add_tensor = False
        for name, value in mapping.items():
            if isinstance(value, str) and name not in self._layers:
                raise UserError(f"{self.where(name)}: {self._name_inside(value)}")
        return {name: value for name, value in mapping.items() if not isinstance(value, str)}

    def where(self, name=None):
        """Return the place of a name, or of the whole mapping, for messages."""
        mapping = f"{type(self._adaptor).__name__} ({self._role}).mapping_layers()"
        return mapping if name is None else f"{mapping}[{name!r}]"

    def _mapping(self):
        try:
            mapping = self._adaptor.mapping_layers()
        except AttributeError as error:
            raise UserError(f"{self.where()}: {self._missing_attribute(error)}") from error
        except Exception as error:  # whatever the user's file raises, the user can mend
            raise UserError(f"{self.where()}: {describe_error(error)}") from error
        if not isinstance(mapping, dict):
            raise UserError(f"{self.where()} returned {type(mapping).__name__} instead of a dict")
        return mapping

    def _name_inside(self, name):
        """Return the message for a name inside `if self.add_tensor:`, where tensors belong."""
        if name not in dict(self._adaptor.model.named_sublayers()) and hasattr(self._adaptor.model, name):
            return f"{name!r} is a name and no tensor; write self.model.{name}"
        return f"the sublayer {name!r} must be named outside `if self.add_tensor:`"

    def _missing_attribute(self, error):
        """Return the message for an AttributeError in a user's adaptor."""
        match = re.search(r"'(\w+)' object has no attribute '(\w+)'", str(error))
        layers = self._adaptor.model.sublayers(include_self=True)
        owners = [layer for layer in layers if match and type(layer).__name__ == match[1]]
        if not owners:
            return describe_error(error)
        owner = getattr(error, "obj", None) or owners[0]
        if self._adaptor.add_tensor:
            return missing_message(match[2], owner)
        return (
            f"{type(owner).__name__} has no {match[2]!r} before a forward pass; if forward sets it, name it "
            f"inside `if self.add_tensor:`, else {suggestion(match[2], _attributes(owner))}"
        )


def missing_message(name, layer):
    """Return a message that `forward` sets no attribute `name` on a layer, with the nearest names."""
    return f"forward leaves no {name!r} on {type(layer).__name__}; {suggestion(name, _attributes(layer))}"


def _attributes(layer):
    return [n for n in (*vars(layer), *layer._buffers, *layer._sub_layers) if not n.startswith("_")]
