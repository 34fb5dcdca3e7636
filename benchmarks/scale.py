"""What a distillation on Cityscapes costs on 1, 8 and 64 GPUs, an estimate from counts:

python benchmarks/scale.py [--teacher CONFIG] [--student CONFIG] [--tflops 20] [--network 10] [--no_reading]

Counted: operations, parameters and sizes of both models, on one crop. Measured, unless --no_reading: the
processor time of reading one sample, from a drawn image of the size of Cityscapes'. Assumed: what a GPU
computes and what a network carries in a second (--tflops, --network). docs/scale.md reads the tables.
"""

import dataclasses
import os
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402

from paddleseg.commands import flags, process, runtime  # noqa: E402

CONFIGS = os.path.join(ROOT, "configs", "deeplabv3p", "deeplabv3p_{}_os8_cityscapes_1024x512_80k.yml")
IMAGES, EVALUATED, FULL = 2975, 500, (2048, 1024)  # Cityscapes: train, val, width and height
BACKWARD = 2  # the gradients of a layer's input and of its weights cost a forward pass each
RUN = 80_000  # iterations of the published schedule
MIB, FLOAT = 2**20, 4


@dataclasses.dataclass
class Counts:
    """What one model costs for one image.

    Attributes:
        flops: of a forward pass; a multiplication and an addition are two.
        parameters: number of parameters.
        norms: number of batch norms, each of which sums its statistics over all GPUs.
        outputs: numbers in the outputs of all layers, which a training holds until the backward pass.
        head: numbers in the logits before the last upsampling.
        full: numbers in the logits after it.
    """

    flops: int
    parameters: int
    norms: int
    outputs: int
    head: int
    full: int


def main():
    parser = timing.described_parser(__doc__)
    for role, backbone in (("teacher", "resnet101"), ("student", "resnet18")):
        config = CONFIGS.format(backbone)
        shown = os.path.relpath(config, ROOT)
        parser.add_argument(f"--{role}", default=config, help=f"config (default: {shown})")
    parser.add_argument(
        "--size",
        nargs=2,
        type=flags.positive,
        default=[1024, 512],
        help="of a crop: width, height (default: 1024 512)",
    )
    parser.add_argument(
        "--iters",
        nargs="+",
        type=flags.positive,
        default=[40_000, 80_000, 160_000, 320_000],
        help="lengths of whole runs in iterations (default: 40000 80000 160000 320000)",
    )
    parser.add_argument(
        "--batch", type=flags.positive, default=2, help="images of a GPU at once (default: 2)"
    )
    parser.add_argument(
        "--gpus", nargs="+", type=flags.positive, default=[1, 8, 64], help="how many GPUs (default: 1 8 64)"
    )
    parser.add_argument("--tflops", type=float, default=20, help="that a GPU sustains (default: 20)")
    parser.add_argument("--network", type=float, default=10, help="GB/s of a GPU's link (default: 10)")
    parser.add_argument(
        "--interval", type=flags.positive, default=2000, help="of evaluations (default: 2000)"
    )
    parser.add_argument("--no_reading", action="store_true", help="do not measure how long a sample takes")
    args = parser.parse_args()
    runtime.prepare()
    counts = {role: counted(getattr(args, role), args.size) for role in ("teacher", "student")}
    print(f"one image of {args.size[0]} x {args.size[1]}\n\n{models_table(counts)}\n")
    print(f"whole runs, 16 images an iteration\n\n{runs_table(counts, args)}\n")
    print(f"on GPUs, {args.tflops:g} TFLOP/s and {args.network:g} GB/s each\n\n{gpus_table(counts, args)}")
    if not args.no_reading:
        print(f"\nreading a sample: {reading(args.student):.3f} s of one core")


def counted(path, size):
    """Return the `Counts` of a config's model for an image of `size`, (width, height)."""
    import paddle

    from paddleseg import parallel
    from paddleseg.cvlibs import Config, SegBuilder
    from paddleseg.evaluation.cost import NORMS, measure

    parallel.set_device("cpu")
    model = SegBuilder(Config(path).drop_pretrained()).model
    leaves, outputs = [layer for layer in model.sublayers() if not layer.sublayers()], []
    for layer in leaves:
        layer.register_forward_post_hook(lambda _, __, y: outputs.append(y.size))
    width, height = size
    with paddle.no_grad():
        cost = measure(model, [1, 3, height, width], repeats=0)["total"]
    norms = sum(isinstance(layer, NORMS) for layer in leaves)
    head, full = (logits[0].size for logits in (model.head_logit_list, model.logit_list))
    return Counts(cost.flops, cost.parameters, norms, sum(outputs), head, full)


def step_flops(counts):
    """Return (student, teacher) FLOPs of one image in a distillation: the teacher has no backward pass."""
    return (1 + BACKWARD) * counts["student"].flops, counts["teacher"].flops


def models_table(counts):
    """Return the counts of both models as a Markdown table."""
    rows = [
        ["parameters, million", *(f"{one.parameters / 1e6:.2f}" for one in counts.values())],
        ["batch norms", *(one.norms for one in counts.values())],
        ["forward pass, GFLOPs", *(f"{one.flops / 1e9:.0f}" for one in counts.values())],
        ["weights or gradients, MiB", *(f"{one.parameters * FLOAT / MIB:.0f}" for one in counts.values())],
        ["outputs of all layers, MiB", *(f"{one.outputs * FLOAT / MIB:.0f}" for one in counts.values())],
        ["logits of the head, MiB", *(f"{one.head * FLOAT / MIB:.1f}" for one in counts.values())],
        ["logits at full size, MiB", *(f"{one.full * FLOAT / MIB:.1f}" for one in counts.values())],
    ]
    return timing.markdown(["", *counts], rows)


def runs_table(counts, args, images=16):
    """Return images, epochs and FLOPs of whole runs with `images` an iteration, as a Markdown table."""
    student, teacher = step_flops(counts)
    ratio = FULL[0] * FULL[1] / (args.size[0] * args.size[1])
    rows = []
    for iters in args.iters:
        total = iters * images
        evaluated = iters // args.interval * EVALUATED * ratio * counts["student"].flops
        figures = [total * student, total * teacher, evaluated]
        read = total * FULL[0] * FULL[1] * 3 / 1e12
        rows.append(
            [f"{iters:,}", f"{total:,}", f"{total / IMAGES:.0f}", *(f"{x / 1e18:.2f}" for x in figures)]
        )
        rows[-1].append(f"{read:.1f}")
    head = ["iterations", "images", "epochs", "student, EFLOPs", "teacher, EFLOPs", "evaluations, EFLOPs"]
    return timing.markdown([*head, "decoded, TB"], rows)


def gpus_table(counts, args):
    """Return what one iteration and a run of as many images cost on each number of GPUs."""
    student, teacher = step_flops(counts)
    gradient = counts["student"].parameters * FLOAT
    rows = []
    for gpus in args.gpus:
        computed = args.batch * (student + teacher) / args.tflops / 1e12
        sent = 2 * (gpus - 1) / gpus * gradient
        exchanged = sent / args.network / 1e9
        images = RUN * 16
        hours = images / (gpus * args.batch) * (computed + exchanged) / 3600
        rows.append([gpus, gpus * args.batch, f"{computed:.3f}", f"{sent / MIB:.0f}", f"{exchanged:.4f}"])
        rows[-1] += [f"{gpus * args.batch / (computed + exchanged):.0f}", f"{hours:.1f}"]
    head = ["GPUs", "images a step", "computing, s", "gradients sent by a GPU, MiB", "sending, s"]
    return timing.markdown([*head, "images/s", f"hours for {RUN * 16:,} images"], rows)


def reading(path, repeats=9):
    """Return the median processor time of one core for a sample of a config, from a drawn image of 2 MB."""
    import cv2
    import numpy as np

    from paddleseg.cvlibs import Config
    from paddleseg.cvlibs.builder import build_transforms
    from paddleseg.datasets import Dataset, SeededSamples
    from paddleseg.datasets.synthetic import draw

    transforms = build_transforms(Config(path)["train_dataset"]["transforms"])
    with tempfile.TemporaryDirectory() as folder:
        image, mask = (np.hstack([half, half]) for half in draw(FULL[1], np.random.default_rng(0)))
        names = {"image.png": image, "mask.png": mask}
        for name, pixels in names.items():
            cv2.imwrite(os.path.join(folder, name), pixels)
        with open(os.path.join(folder, "train.txt"), "w", encoding="utf-8") as file:
            file.write(" ".join(names))
        samples = SeededSamples(Dataset(folder, transforms, 2, train_path=file.name), 0)
        seconds = []
        for view in range(repeats):
            started = time.process_time()
            samples[view, 0]
            seconds.append(time.process_time() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    process.run(main)
