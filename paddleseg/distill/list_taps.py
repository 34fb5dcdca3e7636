"""List all taps of a model: the inputs and outputs of its layers, and the attributes that `forward` sets."""

import dataclasses
import functools
import itertools
import string

import paddle

from paddleseg.distill.taps import Tap, register_hook
from paddleseg.distill.tokens import MOST_PREFIX_TOKENS, are_tokens, prefixed_grid, stated_grid


@paddle.no_grad()
def find_taps(model, images, training=False):
    """Return [(`Tap`, shape)] of a model in the order of a forward pass, attributes at the end.

    Tokens N x L x C have the shape of their map N x C x H x W if the model states their grid; the tap then
    has the `skip` of their prefix tokens.

    Args:
        model: a `paddle.nn.Layer`; it stays in the mode in which it is run.
        images: float32 N x 3 x H x W.
        training: whether to run it in training mode, as a student: some layers run only then. Default False.
    """
    (model.train if training else model.eval)()
    shapes = {}

    def store(kind, name, value):
        shapes.update(_shapes(kind, name, value))

    hooks = [
        register_hook(layer, kind, functools.partial(store, kind, name))
        for name, layer in model.named_sublayers()
        for kind in ("input_of", "output_of")
    ]
    before = dict(_attributes(model))
    model(images)
    for hook in hooks:
        hook.remove()
    layers = dict(model.named_sublayers())
    shapes = dict(_by_model(tap, shape, layers) for tap, shape in shapes.items())
    for name, value in _attributes(model):
        if before.get(name) is not value:
            store("attr", name, value)
    return list(shapes.items())


def _by_model(tap, shape, layers):
    """Return a tap and its shape; tokens as a map if the layer of the tap states their grid."""
    grid = stated_grid(layers[tap.name]) if tap.kind == "output_of" and are_tokens(shape) else None
    if grid is None:
        return tap, shape
    height, width = map(int, grid)
    skip = shape[1] - height * width
    if not 0 <= skip <= MOST_PREFIX_TOKENS:
        return tap, shape
    return dataclasses.replace(tap, skip=skip), [shape[0], shape[2], height, width]


def _attributes(model):
    """Yield (dotted name, value) of the public attributes of layers, except parameters and layers."""
    for prefix, layer in model.named_sublayers(include_self=True):
        # A tensor that `forward` assigns becomes a buffer.
        for name, value in (*vars(layer).items(), *layer._buffers.items()):
            if not name.startswith("_"):
                yield (f"{prefix}.{name}" if prefix else name), value


def _shapes(kind, name, value):
    """Return [(`Tap`, shape)] of a tensor or of the tensors in a list."""
    if isinstance(value, paddle.Tensor):
        return [(Tap(kind, name), list(value.shape))]
    if not isinstance(value, (list, tuple)):
        return []
    return [
        (Tap(kind, name, i), list(item.shape))
        for i, item in enumerate(value)
        if isinstance(item, paddle.Tensor)
    ]


def table(models, size=None):
    """Return the taps of all models as the text that `--list_taps` prints.

    Each shape that occurs in the student and in a teacher is marked with a letter of its own. For tokens
    the table also has the map that `grid: auto` makes of them, and the `skip` that this map needs.

    Args:
        models: [(heading, [(`Tap`, shape), ...])], the student first.
        size: (height, width) of the images; None names no maps. Default None.
    """
    student, *teachers = [[tuple(shape) for _, shape in taps] for _, taps in models]
    shared = set(student) & set(itertools.chain(*teachers))
    letters = dict(zip((shape for shape in dict.fromkeys(student) if shape in shared), _letters()))
    lines = [
        "The taps that a config's distill.features may name. Shapes with the same letter are equal. The left",
        "column is the input of the layer in that line, {input_of: layer}.",
    ]
    for heading, taps in models:
        lines += ["", heading, *_rows(taps, letters, size)]
    return "\n".join(lines)


def _rows(taps, letters, size):
    shapes = dict(taps)
    outputs = {tap.name for tap, _ in taps if tap.kind == "output_of" and tap.index is None}
    for tap, shape in taps:
        tap_of_input = Tap("input_of", tap.name) if tap.kind == "output_of" and tap.index is None else None
        if tap.kind == "input_of" and tap.index is None and tap.name in outputs:
            continue  # it is in the row of that layer's output
        columns = [_marked(shapes.get(tap_of_input), letters), _marked(shape, letters)]
        yield f"  {columns[0]:<26} {columns[1]:<26} {tap}{_as_map(shape, size)}"


def _as_map(shape, size):
    """Return what `grid: auto` makes of tokens, as the end of a row; nothing of any other tensor."""
    found = prefixed_grid(shape[1], tuple(size)) if size is not None and are_tokens(shape) else None
    if found is None:
        return ""
    skip, grid = found
    keys = "grid: auto" + (f", skip: {skip}" if skip else "")
    return f"    {{{keys}}}: {[shape[0], shape[2], *grid]}"


def _marked(shape, letters):
    return "" if shape is None else f"{letters.get(tuple(shape), ''):<2} {shape}"


def _letters():
    """Yield A, B, ..., Z, AA, AB, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)
