"""What 8-bit integers cost a student on CamVid: after training, after QAT, and after QAT under a teacher:

python benchmarks/quantising.py --data data/camvid --out output/quantising

Each student is trained in float. Then its INT8 model is made in three ways: by calibration alone (PTQ), by
a short training with fake quantisation on the labels alone (QAT), and by the same under a teacher. All are
evaluated under onnxruntime on the validation images. The teacher is the float student itself, unless another
one is named. Every run is a process of its own by the toolkit's commands. An interrupted benchmark continues
by the same command.
"""

import argparse
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402

from paddleseg.commands import process, runtime  # noqa: E402
from paddleseg.errors import UserError  # noqa: E402
from paddleseg.quantization.result import RESULT_FILE, read_result  # noqa: E402

PLANS = os.path.join(ROOT, "benchmarks", "plans", "camvid")
STUDENTS = [
    os.path.join(PLANS, "student_mobilenetv2_imagenet.yml"),
    os.path.join(ROOT, "configs", "camvid", "pp_liteseg_stdc1_camvid_240x180_300.yml"),
]
# Its weight is measured, so the teacher counts although its answers are almost the student's.
DISTILL_LOSS = "distill_loss={types: [{type: SegChannelwiseLoss, temperature: 4.0}], coef: auto, share: 3}"
PTQ, ALONE, TAUGHT = "PTQ", "QAT", "QAT under the teacher"


def main():
    parser = argparse.ArgumentParser(description="INT8 students by calibration, by QAT and under a teacher.")
    parser.add_argument("--data", required=True, help="folder of CamVid")
    parser.add_argument("--out", required=True, help="where runs and figures go")
    students = " ".join(os.path.relpath(path, ROOT) for path in STUDENTS)
    parser.add_argument("--students", nargs="+", default=STUDENTS, help=f"configs (default: {students})")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the runs of each student (default: 0 1 2)"
    )
    parser.add_argument("--weights", help="float weights of the one student (default: trained)")
    parser.add_argument("--teacher_config", help="default: the student's own")
    parser.add_argument("--teacher_weights", help="default: the float student's")
    parser.add_argument("--iters", type=int, default=100, help="iterations of QAT (default: 100)")
    parser.add_argument("--learning_rate", default="0.0001", help="of QAT (default: 0.0001)")
    args = parser.parse_args()
    if args.weights and len(args.students) > 1:
        raise UserError(
            f"--weights are those of one student; name it by --students ({len(args.students)} now)"
        )
    runtime.prepare()
    rows = []
    for config in args.students:
        name = os.path.splitext(os.path.basename(config))[0]
        for seed in args.seeds:
            quantise(args, config, f"{name}_{seed}", seed)
        rows.append(row(args, name))
    print(table(rows))


def quantise(args, config, name, seed):
    """Make the missing INT8 models of a seed, from given float weights or from a student that it trains."""
    float_weights = args.weights or weights(train(args, f"{name}/float", config, seed))
    shared = ["--model_path", float_weights, "--seed", str(seed)]
    ptq = ["--config", config, "--max_drop", "1", *shared, "--opts", *data(args)]
    int8(args, f"{name}/{PTQ}", "ptq.py", ptq)
    qat = ["--student_config", config, *shared, *training(args)]
    taught = ["--teacher_config", args.teacher_config or config]
    taught += ["--teacher_opts", f"model.pretrained={args.teacher_weights or float_weights}"]
    opts = ["--opts", *data(args), DISTILL_LOSS]
    int8(args, f"{name}/{ALONE}", "qat.py", [*qat, *opts])
    int8(args, f"{name}/{TAUGHT}", "qat.py", [*qat, *taught, *opts])


def training(args):
    """Return the flags of a training with fake quantisation."""
    flags = ["--iters", str(args.iters), "--learning_rate", args.learning_rate, "--resume_model", "auto"]
    return [*flags, "--device", "cpu", "--save_interval", "50", "--keep_checkpoint_max", "1"]


def data(args):
    return [f"{section}.dataset_root={args.data}" for section in ("train_dataset", "val_dataset")]


def train(args, name, config, seed):
    """Train a config in float, and return the folder of the run."""
    flags = ["--config", config, "--seed", str(seed), "--device", "cpu", "--resume_model", "auto"]
    flags += ["--save_interval", "100", "--keep_checkpoint_max", "1", "--opts", *data(args)]
    return run(args, name, "train.py", flags)


def int8(args, name, script, flags):
    """Make an INT8 model, unless its figures are there."""
    if not os.path.isfile(os.path.join(args.out, name, RESULT_FILE)):
        run(args, name, os.path.join("slim", "quant", script), flags)


def run(args, name, script, flags):
    """Run a script of the toolkit, with its log beside its folder; return the folder."""
    folder = os.path.join(args.out, name)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    command = [sys.executable, os.path.join(ROOT, script), "--save_dir", folder, *flags]
    with open(f"{folder}.log", "a", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise UserError(f"a run ended with status {done.returncode}; see the end of {folder}.log")
    print(f"{name}: done", flush=True)
    return folder


def weights(folder):
    return os.path.join(folder, "best_model", "model.pdparams")


def row(args, name):
    """Return a student's name, and the mIoU of its float and its INT8 models over the seeds."""
    kinds = (PTQ, ALONE, TAUGHT)
    results = [
        [read_result(os.path.join(args.out, f"{name}_{seed}", kind)) for kind in kinds] for seed in args.seeds
    ]
    scores = [[ptq.float.miou, *(one.int8.miou for one in (ptq, *others))] for ptq, *others in results]
    return [name, *(spread(column) for column in zip(*scores))]


def spread(values):
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation} ({', '.join(f'{value:.4f}' for value in values)})"


def table(rows):
    """Return the mIoU of the finished runs as a Markdown table, with each seed in brackets."""
    return timing.markdown(["student", "float", PTQ, ALONE, TAUGHT], rows)


if __name__ == "__main__":
    process.run(main)
