"""What there is to tap: every tensor that a model's layers take and give, or that `forward` leaves on it."""

import itertools
import string

import paddle

from paddleseg.distill.taps import Tap


@paddle.no_grad()
def find_taps(model, images):
    """Return [(`Tap`, shape)] of a model in the order in which a forward pass comes to them.

    The attributes follow at the end.

    Args:
        model: a `paddle.nn.Layer`; it is put into eval mode.
        images: float32 N x 3 x H x W.
    """
    model.eval()
    found, hooks = [], []
    for name, layer in model.named_sublayers():

        def note_input(_, inputs, name=name):
            found.extend(_shapes("input_of", name, inputs[0] if inputs else None))

        def note_output(_, inputs, output, name=name):
            found.extend(_shapes("output_of", name, output))

        hooks.append(layer.register_forward_pre_hook(note_input))
        hooks.append(layer.register_forward_post_hook(note_output))
    before = dict(_attributes(model))
    model(images)
    for hook in hooks:
        hook.remove()
    for name, value in _attributes(model):
        if before.get(name) is not value:
            found.extend(_shapes("attr", name, value))
    return list(dict(found).items())


def _attributes(model):
    """Yield (dotted name, value) of what stands on a model's layers beside parameters, buffers and layers."""
    for prefix, layer in model.named_sublayers(include_self=True):
        for name, value in vars(layer).items():
            if not name.startswith("_"):
                yield (f"{prefix}.{name}" if prefix else name), value


def _shapes(kind, name, value):
    if isinstance(value, paddle.Tensor):
        return [(Tap(kind, name), list(value.shape))]
    if not isinstance(value, (list, tuple)):
        return []
    return [
        (Tap(kind, name, i), list(item.shape))
        for i, item in enumerate(value)
        if isinstance(item, paddle.Tensor)
    ]


def table(models):
    """Return the text that `--list_taps` prints.

    Args:
        models: [(heading, what `find_taps` returned)], the student first. A shape that the student shares
            with a teacher bears a letter, the same wherever it occurs.
    """
    student, *teachers = [[tuple(shape) for _, shape in taps] for _, taps in models]
    shared = set(student) & set(itertools.chain(*teachers))
    marks = dict(zip((shape for shape in dict.fromkeys(student) if shape in shared), _letters()))
    lines = ["Taps as a config's distill.features names them; equal letters are equal shapes."]
    for heading, taps in models:
        lines += ["", heading]
        for tap, shape in taps:
            lines.append(f"  {marks.get(tuple(shape), ''):<3} {str(shape):<24} {tap}")
    return "\n".join(lines)


def _letters():
    """Yield A, B, ..., Z, AA, AB, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)
