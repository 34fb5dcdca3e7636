"""Draw docs/images/architecture.svg: how configs, batches, teachers' answers, annotations and plans travel.

python tools/architecture.py            writes it
python tools/architecture.py --check    says whether it is up to date: exit status 0, or 1 if it is not
"""

import importlib
import sys
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generated import ROOT, write_or_check  # noqa: E402

from paddleseg.commands.process import run  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "architecture.svg"
# Each lane: its title, and its stations in order: (module, name in it, what leaves the station).
LANES = (
    (
        "A config",
        (
            ("paddleseg.commands.distill", "main", "options, path"),
            ("paddleseg.cvlibs", "Config", "checked config"),
            ("paddleseg.cvlibs", "SegBuilder", "model, data, losses"),
            ("paddleseg.core.runs", "distill", "builder, options"),
            ("paddleseg.distill.build", "build_step", "a step"),
            ("paddleseg.training", "fit", "checkpoints, history"),
        ),
    ),
    (
        "A batch",
        (
            ("paddleseg.datasets", "Dataset", "files"),
            ("paddleseg.transforms", "Compose", "samples"),
            ("paddleseg.datasets.loading", "load_batches", "images, labels"),
            ("paddleseg.distill.step", "DistillStep", "named losses"),
            ("paddleseg.training.update", "Update", "gradients"),
            ("paddleseg.training.guard", "Guard", "new weights"),
        ),
    ),
    (
        "A teacher's answer",
        (
            ("paddleseg.distill.step", "DistillStep", "images"),
            ("paddleseg.distill.teachers", "Teachers", "images"),
            ("paddleseg.distill.teachers", "Teacher", "images"),
            ("paddleseg.distill.teachers", "Engine", "logits, taps"),
            ("paddleseg.distill.step", "DistillNet", "two tensors"),
            ("paddleseg.distill.feature_loss", "FeatureLoss", "a weighted loss"),
        ),
    ),
    (
        "Annotations",
        (
            ("paddleseg.commands.annotations", "from_labelme", "options, paths"),
            ("paddleseg.annotations", "convert_labelme", "records"),
            ("paddleseg.annotations.conversion", "draw_mask", "a mask"),
            ("paddleseg.annotations.new_data_set", "NewDataSet", "images, masks, lists"),
            ("paddleseg.annotations", "split_data_set", "train, val, test"),
        ),
    ),
    (
        "A plan",
        (
            ("paddleseg.commands.compare", "main", "options, path"),
            ("paddleseg.comparing.plan", "read_plan", "a plan"),
            ("paddleseg.comparing", "compare", "trainings"),
            ("paddleseg.comparing.trainings", "Trainings", "confusion matrices"),
            ("paddleseg.evaluation.verdict", "verdict", "an interval"),
            ("paddleseg.report", "write_report", "a page"),
        ),
    ),
)
BOX, GAP, HEIGHT, LANE, MARGIN = 156, 88, 52, 132, 20  # pixels


def main():
    write_or_check(
        "the picture",
        "python tools/architecture.py",
        __doc__.splitlines()[0],
        [PICTURE],
        lambda path: svg(),
    )


def svg(lanes=LANES):
    """Return the picture as SVG.

    Raises:
        UserError: a station is not in the code.
    """
    longest = max(len(stations) for _, stations in lanes)
    width = 2 * MARGIN + longest * (BOX + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{LANE * len(lanes) + MARGIN}" '
        f'font-family="sans-serif">',
        "<title>How configs, batches, teachers' answers, annotations and plans travel</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for row, (title, stations) in enumerate(lanes):
        top = MARGIN + row * LANE
        parts.append(_text(MARGIN, top + 16, title, 17, "bold", "start"))
        for column, station in enumerate(stations):
            parts += _station(MARGIN + column * (BOX + GAP), top + 34, *station)
    return "\n".join([*parts, "</svg>", ""])


def _station(left, top, module, name, leaves):
    """Return a station's box, and the arrow of what leaves it."""
    if not hasattr(importlib.import_module(module), name):
        raise UserError(f"{module} has no {name}; mend LANES in tools/architecture.py")
    middle, end = top + HEIGHT / 2, left + BOX + GAP
    return [
        f'<rect x="{left}" y="{top}" width="{BOX}" height="{HEIGHT}" rx="6" '
        'fill="#eef3fb" stroke="#3b5b92"/>',
        _text(left + BOX / 2, top + 22, name, 15, "bold"),
        _text(left + BOX / 2, top + 40, module.removeprefix("paddleseg."), 11),
        f'<path d="M{left + BOX} {middle}H{end - 8}" stroke="#3b5b92" stroke-width="1.5"/>',
        f'<path d="M{end} {middle}l-9 -4v8z" fill="#3b5b92"/>',
        *(
            _text(left + BOX + GAP / 2, middle - 7 - 13 * line, words, 11)
            for line, words in enumerate(reversed(_lines(leaves)))
        ),
    ]


def _lines(text):
    """Return a text in lines that fit above an arrow."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > 11:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _text(x, y, text, size, weight="normal", anchor="middle"):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="#1c2733">{escape(text)}</text>'
    )


if __name__ == "__main__":
    run(main)
