"""The seconds of a distillation step with each method of docs/methods.md, which take turns:

python benchmarks/methods.py [--only KLLoss NFDLoss ...] [--size 128] [--batch 4] [--json FILE]

Teacher and student are the quick start's (DeepLabV3P, ResNet50_vd and ResNet18_vd, output stride 8). Each
method is that of an example in docs/methods.md, and the only distillation loss. A step has the teacher by
Paddle, the student, the losses, their gradients and the optimizer. All steps have the same batch, which is
read before.
"""

import functools
import os
import re
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import step_setup  # noqa: E402
import timing  # noqa: E402
import yaml  # noqa: E402

from paddleseg.commands import flags, process, runtime  # noqa: E402

BASE = "KLLoss"
METHODS = os.path.join(ROOT, "docs", "methods.md")


def main():
    parser = timing.described_parser(__doc__)
    names = tuple(examples())
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="methods (default: all)")
    parser.add_argument("--size", type=flags.positive, default=128, help="pixels a side (default: 128)")
    parser.add_argument("--batch", type=flags.positive, default=4, help="images a step (default: 4)")
    timing.add_timing_flags(parser)
    args = parser.parse_args()
    runtime.prepare()
    with tempfile.TemporaryDirectory() as folder:
        step_setup.set_up(folder, args.size, args.batch)
        chosen = {name: sections for name, sections in examples().items() if name in {BASE, *args.only}}
        turns = {
            name: functools.partial(timing.timed, step(folder, args.batch, sections), args.clock)
            for name, sections in chosen.items()
        }
        seconds = timing.interleaved(turns, args.repeats, args.warmup)
    print(f"\n{timing.machine(args.clock)}\n\n{table(seconds)}", flush=True)
    timing.write_json(args.json, {**timing.machine(args.clock), **vars(args)}, seconds)


def examples():
    """Return {method: sections of its config}, from the document's YAML; a method's first example counts."""
    with open(METHODS, encoding="utf-8") as file:
        blocks = re.findall(r"```yaml\n(.*?)```", file.read(), re.DOTALL)
    found = {}
    for dic in map(yaml.safe_load, blocks):
        for spec in dic.get("distill_loss", {}).get("types", []):
            name = f"{spec['type']}, standardised" if spec.get("logit_standardization") else spec["type"]
            found.setdefault(name, {"distill_loss": {"types": [spec], "coef": [1]}})
        for feature in dic.get("distill", {}).get("features", []):
            one = {"distill_loss": None, "distill": {"features": [{**feature, "weight": 1}]}}
            found.setdefault(feature["loss"]["type"], one)
    for sections in found.values():
        for feature in sections.get("distill", {}).get("features", []):
            feature.pop("share", None)
    return found


def step(folder, batch, sections):
    """Return a function that makes a step of a distillation by the losses of these sections."""
    import paddle

    from paddleseg.cvlibs import Config, SegBuilder
    from paddleseg.distill.build import build_step
    from paddleseg.options import DistillOptions
    from paddleseg.training.guard import Guard
    from paddleseg.training.update import Update

    path = os.path.join(folder, "method.yml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump({"_base_": step_setup.STUDENT, **sections}, file)
    teacher = Config(os.path.join(folder, step_setup.TEACHER), as_teacher=True)
    paddle.seed(0)
    builder = SegBuilder(Config(path, batch_size=batch))
    distillation = build_step(builder, [teacher], DistillOptions(device="cpu", teacher_engine="paddle"))
    optimizer = builder.optimizer_of(distillation.trained)
    update = Update(distillation, optimizer, Guard(distillation.trained, optimizer))
    images, labels = step_setup.first_batch(builder)
    distillation.trained.train()
    return lambda: update([{"img": images, "label": labels}], iteration=1)


def table(seconds):
    """Return a Markdown table: the seconds of a step, and their ratio to a step of `BASE`."""
    rows = [
        [f"`{name}`", timing.figure(values), f"{timing.ratio(seconds, name, BASE):.2f}"]
        for name, values in seconds.items()
    ]
    return timing.markdown(["method", "seconds a step, median (quartiles)", f"of `{BASE}`"], rows)


if __name__ == "__main__":
    process.run(main)
