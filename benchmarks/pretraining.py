"""What pretraining by a teacher of features gains on CamVid, at equal total time, over several seeds:

python benchmarks/export_efficientnet.py output/efficientnet_lite0.onnx
python benchmarks/pretraining.py --teacher output/efficientnet_lite0.onnx --data data/camvid \\
    --out output/pretraining

A student is trained from random weights for --iters. The same student is pretrained without labels for
--pretraining_iters, then trained with labels for the rest of the time. How many iterations that is follows
from the processor time of both kinds of step, which take turns first. Every run is a process of its own by
the toolkit's commands, and is evaluated once, at its end. An interrupted benchmark continues by the same
command.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402
from turns import Worker  # noqa: E402

from paddleseg.commands import process, runtime  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402

STUDENT = os.path.join(ROOT, "benchmarks", "plans", "camvid", "student.yml")
RECIPE = os.path.join(ROOT, "configs", "recipes", "pretraining_resnet18_camvid.yml")
TEACHER = os.path.join(ROOT, "benchmarks", "plans", "camvid", "teacher_efficientnet_lite0.yml")
ALONE, PRETRAINED = "from random weights", "pretrained"


def main():
    parser = argparse.ArgumentParser(description="Students from random weights and pretrained ones.")
    parser.add_argument("--teacher", required=True, help="what export_efficientnet.py wrote")
    parser.add_argument("--data", required=True, help="folder of CamVid")
    parser.add_argument("--out", required=True, help="where runs and figures go")
    parser.add_argument("--student", default=STUDENT, help="config with labels (default: %(default)s)")
    parser.add_argument("--recipe", default=RECIPE, help="config without labels (default: %(default)s)")
    parser.add_argument("--teacher_config", default=TEACHER, help="default: %(default)s")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--iters", type=int, default=300, help="from random weights (default: 300)")
    parser.add_argument("--pretraining_iters", type=int, default=180, help="default: 180")
    parser.add_argument("--batch_size", type=int, default=4, help="of the timed steps (default: 4)")
    parser.add_argument("--repeats", type=int, default=9, help="timed steps of each kind (default: 9)")
    args = parser.parse_args()
    runtime.prepare()
    os.makedirs(args.out, exist_ok=True)
    ratio = cost_of_a_step(args)
    rest = args.iters - round(args.pretraining_iters * ratio)
    if rest < 1:
        raise UserError(f"--pretraining_iters {args.pretraining_iters} takes all of the time")
    print(f"a step of pretraining costs {ratio:.3f} steps with labels; {rest} of these follow it", flush=True)
    for seed in args.seeds:
        train(args, seed, rest)
    print(table(args, rest))


def commands(args):
    """Return {kind of step: (script, its flags)}."""
    labels = [f"{section}.dataset_root={args.data}" for section in ("train_dataset", "val_dataset")]
    images = f"unlabeled_dataset.dataset_root={os.path.join(args.data, 'images', 'train')}"
    distilled = ["--student_config", args.recipe, "--teacher_config", args.teacher_config]
    distilled += ["--teacher_opts", f"model.path={args.teacher}", "--opts", images]
    return {
        ALONE: (os.path.join(ROOT, "train.py"), ["--config", args.student, "--opts", *labels]),
        PRETRAINED: (os.path.join(ROOT, "slim", "distill", "distill_train.py"), distilled),
    }


def cost_of_a_step(args):
    """Return how many steps with labels take the processor time of one of pretraining; measure it once."""
    path = os.path.join(args.out, "steps.json")
    if not os.path.isfile(path):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
            turns = {}
            for kind, (script, flags) in commands(args).items():
                role = "train" if os.path.basename(script) == "train.py" else "distil"
                command = [sys.executable, os.path.join(ROOT, "benchmarks", "step_paddle.py")]
                command += [role, folder, str(args.batch_size), "cpu", *flags]
                worker = end.enter_context(contextlib.closing(Worker(command, os.environ)))
                turns[kind] = lambda worker=worker: worker.turn()["seconds"]
            seconds = timing.interleaved(turns, args.repeats)
        timing.write_json(path, timing.machine("cpu"), seconds)
    with open(path, encoding="utf-8") as file:
        seconds = {kind: figures["median"] for kind, figures in json.load(file)["seconds"].items()}
    return seconds[PRETRAINED] / seconds[ALONE]


def train(args, seed, rest):
    """Train both students of a seed, if they are not trained yet."""
    alone, pretrained = commands(args)[ALONE], commands(args)[PRETRAINED]
    run(args, f"alone_seed{seed}", *alone, seed, args.iters)
    first = run(args, f"pretraining_seed{seed}", *pretrained, seed, args.pretraining_iters)
    weights = os.path.join(first, f"iter_{args.pretraining_iters}", "backbone.pdparams")
    script, flags = alone
    run(args, f"pretrained_seed{seed}", script, [*flags, f"model.backbone.pretrained={weights}"], seed, rest)


def run(args, name, script, flags, seed, iters):
    """Train for `iters`, evaluate at the end where there are labels, and return the run's folder."""
    folder = os.path.join(args.out, name)
    command = [sys.executable, script, *flags, "--seed", str(seed), "--iters", str(iters)]
    command += ["--device", "cpu", "--save_interval", "1000000", "--keep_checkpoint_max", "1"]
    command += ["--resume_model", "auto", "--save_dir", folder]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "train.log"), "a", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise UserError(f"a run ended with status {done.returncode}; see the end of {folder}/train.log")
    print(f"{name}: done", flush=True)
    return folder


def table(args, rest):
    """Return the mIoU of the finished runs as a Markdown table."""
    rows = []
    for kind, name, iters in (
        (ALONE, "alone", f"{args.iters} with labels"),
        (PRETRAINED, "pretrained", f"{args.pretraining_iters} without labels, {rest} with labels"),
    ):
        folders = [os.path.join(args.out, f"{name}_seed{seed}", "best_model") for seed in args.seeds]
        scores = [best_miou(folder) for folder in folders]
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        rows.append([kind, iters, len(scores), f"{statistics.mean(scores):.4f}{spread}"])
        rows[-1].append(", ".join(f"{score:.4f}" for score in scores))
    return timing.markdown(["student", "iterations", "seeds", "mIoU", "seed by seed"], rows)


def best_miou(folder):
    """Return the mIoU of the weights in a `best_model` folder."""
    with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
        return json.load(file)["best_miou"]


if __name__ == "__main__":
    process.run(main)
