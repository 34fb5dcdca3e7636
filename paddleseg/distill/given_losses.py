"""Losses as a script gives them, turned into the section of losses that a step computes."""

import copy

import paddle

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.builder import build_component
from paddleseg.cvlibs.check import Checker
from paddleseg.cvlibs.facts import AUTO
from paddleseg.errors import UserError, counted, suggestion
from paddleseg.losses.combine import check_loss_count, loss_name
from paddleseg.utils import signature

FORMS = "a loss, its name, (loss, weight), a list of these, or PaddleSeg's {'types': [...], 'coef': [...]}"


def loss_section(given, outputs, key, against, available):
    """Return {'types': [...], 'coef': [...], 'outputs': [...]}, as `weighted_losses` takes it.

    Args:
        given: None for no loss; a loss: a callable, its name, or `{"type": name, key: value}`; a pair (loss,
            weight), where the weight may be a list of one weight for each output; a list of losses and pairs,
            whose values are added; or PaddleSeg's dict of 'types' and 'coef', one for each output. Against
            the teacher a weight may be "auto", and the dict may hold its 'share'.
        outputs: the number of outputs that are compared. A loss with one weight compares each of them.
        key: the argument that holds the losses, for messages.
        against: "label" or "teacher".
        available: {name: value} for parameters of a loss that is given by name; a value may be None.

    Raises:
        UserError: a loss is unknown, has no place here, or its weights do not fit the outputs.
    """
    if isinstance(given, dict) and "types" in given:
        return _paddleseg_section(given, outputs, key, against, available)
    entries = [] if given is None else list(given) if isinstance(given, list) else [given]
    section = {"types": [], "coef": [], "outputs": []}
    for i, entry in enumerate(entries):
        place = (key, i) if isinstance(given, list) else (key,)
        loss, weights = _pair(entry, outputs, place, against)
        loss = _built(loss, place, against, available)
        section["types"] += [loss] * len(weights)
        section["coef"] += weights
        section["outputs"] += range(len(weights))
    return section


def _pair(entry, outputs, place, against):
    """Return (loss, its weights), one weight for each output."""
    loss, weight = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, 1.0)
    weights = list(weight) if isinstance(weight, (list, tuple)) else [weight] * outputs
    for item in weights:
        _check_weight(item, f"{_text(place)}: a weight", against)
    if len(weights) > outputs:
        raise UserError(f"{_text(place)}: {counted(len(weights), 'weight')} for {counted(outputs, 'output')}")
    return loss, weights


def _check_weight(value, name, against):
    may_be_auto = against == "teacher"
    if not (signature.is_weight(value) or (may_be_auto and value == AUTO)):
        choice = ", or auto" if may_be_auto else ""
        raise UserError(f"{name} must be a finite number of 0 or above{choice}, not {value!r}")


def _paddleseg_section(given, outputs, key, against, available):
    known = ("types", "coef", *(("share",) if against == "teacher" else ()))
    for name in given:
        if name not in known:
            raise UserError(f"{key}: unknown key {name!r}; {suggestion(name, known)}")
    types, coef, share = given["types"], given.get("coef"), given.get("share", 1)
    coef = [AUTO] if coef == AUTO else coef
    if not isinstance(types, (list, tuple)) or not types or not isinstance(coef, (list, tuple)) or not coef:
        raise UserError(f"{key} must hold lists of losses and numbers, {{'types': [...], 'coef': [...]}}")
    types = [_built(loss, (key, "types", i), against, available) for i, loss in enumerate(types)]
    if coef == [AUTO] and len(types) == 1:
        coef = coef * outputs
    # As in PaddleSeg, one of either serves all of the other.
    types, coef = (
        list(items) * (max(len(types), len(coef)) if len(items) == 1 else 1) for items in (types, coef)
    )
    if len(types) != len(coef):
        raise UserError(f"{key}: {len(coef)} coef for {len(types)} types; there must be one for each")
    try:
        check_loss_count(types, [(key,) if against == "label" else (key, key)] * outputs)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    for i, weight in enumerate(coef):
        _check_weight(weight, f"{key}.coef.{i}:", against)
    if not signature.is_weight(share) or share == 0:
        raise UserError(f"{key}.share: must be a number above 0, not {share!r}")
    if share != 1 and AUTO not in coef:
        raise UserError(f"{key}.share: has no effect without a coef of auto")
    return {"types": types, "coef": coef, **({} if share == 1 else {"share": share})}


def _built(loss, place, against, available):
    """Return the loss that an entry names or is."""
    if isinstance(loss, str):
        loss = {"type": loss}
    if isinstance(loss, dict):
        _check_spec(loss, place, available)
        component = manager.LOSSES[loss["type"]]
        _check_side(component, loss["type"], place, against)
        names = signature.parameters(component)
        filled = {k: v for k, v in available.items() if k in names and v is not None}
        return build_component({**filled, **loss}, manager.LOSSES, _text(place))
    if not callable(loss) or isinstance(loss, type):
        raise UserError(f"{_text(place)} must be {FORMS}, not {loss!r}")
    _check_side(loss, loss_name(loss), place, against)
    return loss


def _check_spec(spec, place, available):
    checker = Checker({"num_classes": 1}, lambda path: "")
    checker.component(spec, manager.LOSSES, place, tuple(available))
    if checker.problems:
        raise UserError(checker.problems[0])


def _check_side(loss, name, place, against):
    own = getattr(loss, "against", against)
    if own not in (None, against):
        other = {"label": "loss", "teacher": "logits"}[own]
        raise UserError(f"{_text(place)}: {name} compares the student with the {own}; it belongs in {other}")


def _text(place):
    return ".".join(map(str, place))


def with_ignored(section, ignore_index):
    """Return a section between logits and label, whose losses ignore the label `ignore_index`.

    A loss of Paddle that ignores no class, such as `paddle.nn.CrossEntropyLoss` with its -100, is replaced by
    a copy. For any other loss with an `ignore_index` of its own, the label `ignore_index` is replaced by the
    loss's number before the loss is called.
    """
    return {**section, "types": [_ignoring(loss, ignore_index) for loss in section["types"]]}


def _ignoring(loss, ignore_index):
    own = getattr(loss, "ignore_index", ignore_index)
    if type(loss).__module__.startswith("paddle.nn.") and isinstance(own, int) and own < 0:
        # With a negative number, Paddle divides by all pixels, the ignored ones included.
        loss = copy.copy(loss)
        loss.ignore_index = ignore_index
        return loss
    return loss if not isinstance(own, int) or own == ignore_index else _relabelled(loss, ignore_index)


def _relabelled(loss, ignore_index):
    """Return a loss as a function that gives it its own `ignore_index` in the place of another one."""

    def function(logits, label):
        own = paddle.full_like(label, loss.ignore_index)
        return loss(logits, paddle.where(label == ignore_index, own, label))

    function.__name__ = loss_name(loss)
    function.ignore_index = ignore_index
    return function


def ignored_label_of(given, default=255):
    """Return the label that losses ignore as a script gives them: the first `ignore_index` of 0 or above."""
    losses = given["types"] if isinstance(given, dict) and "types" in given else given
    for item in losses if isinstance(losses, list) else [losses]:
        loss = item[0] if isinstance(item, tuple) and item else item
        own = loss.get("ignore_index") if isinstance(loss, dict) else getattr(loss, "ignore_index", None)
        if isinstance(own, int) and own >= 0:
            return own
    return default
