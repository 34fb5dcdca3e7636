"""Images per second of the toolkit's evaluation and of a plain one:

python benchmarks/eval.py [--size 512 256 128] [--classes 2 19] [--model deeplab liteseg] [--json FILE]

"plain" is equivalent to PaddleSeg's evaluation: it reads one image at a time, upsamples its logits, takes the
classes, counts the pixels of each class by comparisons, and reads the counts three times an image. All
variants run the same model on the same images, and their counts are compared. Each is a process of its own:
"plain, default" in Paddle's default environment, "plain, tuned" in the one that the toolkit's commands set.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402
from step_variants import SETTINGS  # noqa: E402
from turns import Turns, Worker  # noqa: E402

from paddleseg.commands import flags, process, runtime  # noqa: E402

DEFAULT, TUNED, OURS = "plain, default", "plain, tuned", "toolkit"


def main():
    parser = timing.described_parser(__doc__)
    parser.add_argument("--size", nargs="+", type=flags.positive, default=[512, 256, 128])
    parser.add_argument("--classes", nargs="+", type=flags.positive, default=[2, 19])
    parser.add_argument("--model", nargs="+", choices=("deeplab", "liteseg"), default=["deeplab", "liteseg"])
    parser.add_argument("--images", type=flags.positive, default=16, help="a turn (default: %(default)s)")
    parser.add_argument("--workers", type=flags.count, default=0, help="of the toolkit (default: 0)")
    parser.add_argument("--serve", nargs=2, metavar=("VARIANT", "JSON"), help=argparse.SUPPRESS)
    timing.add_timing_flags(parser, repeats=5)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve[0], **json.loads(args.serve[1]))
        return
    figures, rows = {}, []
    cases = [(m, s, c) for m in args.model for s in args.size for c in args.classes]
    for model, size, classes in cases:
        name = f"{model}, {size} x {size}, {classes} classes"
        figures[name] = seconds = measure(model, size, classes, args)
        speeds = {key: [args.images / second for second in all_] for key, all_ in seconds.items()}
        ratios = [f"{timing.ratio(speeds, OURS, base):.2f}" for base in (DEFAULT, TUNED)]
        rows.append([name, *(timing.figure(values, 2) for values in speeds.values()), *ratios])
        print(timing.markdown(["case", *speeds, "times default", "times tuned"], rows[-1:]), flush=True)
    head = ["images/s (quartiles)", DEFAULT, TUNED, OURS, "times default", "times tuned"]
    print(f"\n{timing.machine(args.clock)}\n\n{timing.markdown(head, rows)}", flush=True)
    flat = {f"{case}, {name}": all_ for case, seconds in figures.items() for name, all_ in seconds.items()}
    timing.write_json(args.json, {**timing.machine(args.clock), **vars(args)}, flat)


def measure(model, size, classes, args):
    """Return {variant: [seconds of each turn]}, after a comparison of the variants' counts."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        case = {"model": model, "size": size, "classes": classes, "images": args.images}
        case.update(workers=args.workers, folder=folder, clock=args.clock)
        workers = {
            name: end.enter_context(contextlib.closing(start(name, case))) for name in (DEFAULT, TUNED, OURS)
        }
        counted = {name: worker.turn()["matrix"] for name, worker in workers.items()}
        total = sum(map(sum, counted[TUNED]))
        for name, matrix in counted.items():
            # Another order of additions may decide ties between logits differently.
            differing = sum(abs(a - b) for r, o in zip(matrix, counted[TUNED]) for a, b in zip(r, o))
            if differing > 1e-4 * total:
                raise SystemExit(f"{name!r} counts {differing} of {total} pixels differently from {TUNED!r}")
            print(f"{model} {size} {classes}: {name!r} counts {differing} of {total} pixels differently")
        turns = {name: lambda worker=worker: worker.turn()["seconds"] for name, worker in workers.items()}
        return timing.interleaved(turns, args.repeats, max(args.warmup - 1, 0))


def start(variant, case):
    """Return the `Worker` of a variant."""
    environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    if variant == DEFAULT:
        environment["PADDLESEG_TUNE"] = "0"
    command = [sys.executable, os.path.abspath(__file__), "--serve", variant, json.dumps(case)]
    return Worker(command, environment)


def serve(variant, model, size, classes, images, workers, folder, clock):
    """Evaluate once a turn, and answer with the counts, too."""
    turns = Turns(clock)
    runtime.prepare()
    import numpy as np
    import paddle

    from paddleseg.evaluation import evaluator as module

    paddle.seed(0)
    network, dataset = build(model, classes), photographs(size, classes, images, folder)
    network.eval()
    matrices = []
    original = module.scores
    module.scores = lambda matrix, *more: (matrices.append(matrix), original(matrix, *more))[1]

    def evaluated():
        if variant != OURS:
            return plain(network, dataset, classes)
        module.evaluate(network, dataset, classes, num_workers=workers)
        counted = matrices.pop()
        return np.stack([counted.sum(1), counted.sum(0), np.diag(counted)])

    while True:
        turns.take(evaluated, lambda matrix: {"matrix": matrix.tolist()})


def build(model, classes):
    """Return a model with random weights."""
    from paddleseg.models import DeepLabV3P, PPLiteSeg
    from paddleseg.models.backbones import STDC1, ResNet18_vd

    return DeepLabV3P(classes, ResNet18_vd()) if model == "deeplab" else PPLiteSeg(classes, STDC1())


def photographs(size, classes, count, folder):
    """Return a data set in evaluation mode of textured JPEGs, whose masks show squares of all classes."""
    import cv2
    import numpy as np

    from paddleseg import transforms as T
    from paddleseg.datasets import Dataset

    lines = []
    for i in range(count):
        rng = np.random.default_rng(i)
        names = [os.path.join(folder, f"{i}{end}") for end in (".jpg", ".png")]
        coarse = rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        mask = np.kron(rng.integers(0, classes, (size // 32, size // 32)), np.ones((32, 32)))
        mask[:4] = 255
        if not os.path.exists(names[1]):
            for name, array in zip(names, (image, mask.astype(np.uint8))):
                part = f"{name}.{os.getpid()}{os.path.splitext(name)[1]}"  # all variants write at once
                cv2.imwrite(part, array)
                os.replace(part, name)
        lines.append(" ".join(names))
    path = os.path.join(folder, f"list.{os.getpid()}.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return Dataset(folder, [T.Normalize()], classes, "val", val_path=path)


def plain(network, dataset, classes):
    """Return how many pixels of each class are true, predicted, and both, int64 3 x classes."""
    import numpy as np
    import paddle
    import paddle.nn.functional as F

    totals = np.zeros((3, classes), np.int64)
    with paddle.no_grad():
        for index in range(len(dataset)):
            sample = dataset[index]
            label = paddle.to_tensor(sample["label"][np.newaxis].astype("int64"))
            logits = network(paddle.to_tensor(sample["img"][np.newaxis]))[0]
            logits = F.interpolate(logits, label.shape[1:], mode="bilinear")
            pred = paddle.argmax(logits, axis=1)
            for total, area in zip(totals, areas(pred, label, classes)):
                total += area.numpy()
    return totals


def areas(pred, label, classes):
    """Return how many pixels of each class are true, predicted, and both, three tensors."""
    import paddle

    counted = label != 255
    pixels = ([], [], [])
    for c in range(classes):
        is_true = paddle.logical_and(label == c, counted)
        is_predicted = paddle.logical_and(pred == c, counted)
        for sums, where in zip(pixels, (is_true, is_predicted, paddle.logical_and(is_true, is_predicted))):
            sums.append(paddle.sum(paddle.cast(where, "int64")))
    return [paddle.stack(sums) for sums in pixels]


if __name__ == "__main__":
    process.run(main)
