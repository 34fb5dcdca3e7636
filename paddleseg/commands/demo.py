"""`python tools/demo.py`: a teacher, a student alone, distilled and in INT8, trained and compared."""

import os
import subprocess
import sys
import time
from pathlib import Path

from paddleseg.commands import flags, process
from paddleseg.commands.parser import PROGRAM, CommandParser
from paddleseg.errors import UserError
from paddleseg.utils import shipped

CONFIGS = os.path.join(shipped.folder(), "configs", "demo")
TEACHER = os.path.join(CONFIGS, "teacher.yml")
STUDENT = os.path.join(CONFIGS, "student.yml")
DISTILL = os.path.join(CONFIGS, "distill_config.py")


def main():
    parser = CommandParser(description="Teacher, student, distilled student and its INT8 form, compared.")
    parser.add_argument(
        "--out", default="output/demo", help="folder of weights and pictures (default: %(default)s)"
    )
    parser.add_argument(
        "--data",
        default="data/optic_disc_synthetic",
        help="folder of the synthetic set, which is drawn if it is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=flags.count, nargs="+", default=[0, 1, 2], help="seeds of the students"
    )
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "gpu", "cpu"),
        help="where to compute; auto takes a GPU if there is one",
    )
    parser.add_argument(
        "--iters",
        type=flags.positive,
        help="iterations of each model, fewer for a quick look (default: those of the configs)",
    )
    args = parser.parse_args()
    process.prepare()
    started = time.time()
    if not os.path.isdir(args.data):
        call(["make_optic_disc", "--out", args.data])
    runs = train_all(args)
    picture, images = draw(args, runs)
    exported = export_all(args, runs)
    page = report(args, exported)
    print(table(runs, images, time.time() - started))
    if exported:
        print(int8_line(exported[-1]))
    print(f"weights:  {args.out}/{{teacher,student_N,distilled_N}}/best_model/model.pdparams")
    print(f"pictures: {picture}")
    if exported:
        print("trade-off of mIoU, size and latency: in the report, 'What an exported model costs'")
    print(f"report: {page}")


def train_all(args):
    """Train the teacher once, and the student with and without it for each seed.

    Returns:
        {"teacher", "student" or "distilled": list of results, one a seed}
    """
    common = ["--device", args.device, "--save_interval", "1000000", "--log_iters", "25"]
    common += ["--iters", str(args.iters)] if args.iters else []

    def run(name, command):
        return result(os.path.join(args.out, name), [*command, *common, *of_data(args)])

    teacher = run("teacher", ["train", "--config", TEACHER, "--seed", "0"])
    runs = {"teacher": [teacher], "student": [], "distilled": []}
    for seed in args.seeds:
        student = ["train", "--config", STUDENT, "--seed", str(seed)]
        runs["student"].append(run(f"student_{seed}", student))
        distilled = ["distill", "--teacher_config", TEACHER, "--student_config", STUDENT, "--seed", str(seed)]
        distilled += ["--distill_config", DISTILL, "--teacher_opts", f"model.pretrained={teacher['weights']}"]
        runs["distilled"].append(run(f"distilled_{seed}", distilled))
    return runs


def of_data(args):
    """Return the words of a command that name the folder of the data."""
    return ["--opts", f"train_dataset.dataset_root={args.data}", f"val_dataset.dataset_root={args.data}"]


def export_all(args, runs):
    """Write the models of the first seed as ONNX files, and the distilled one in INT8, too.

    Returns:
        The folders, the one in INT8 last; [] where ONNX files cannot be written, which a line explains.
    """
    from paddleseg.graphs import onnx_file
    from paddleseg.quantization import qdq

    try:
        onnx_file.check_installed("an INT8 model")
        qdq.check_installed()
    except UserError as error:
        print(f"no model is exported: {error}")
        return []
    folders = []
    for name, entries in runs.items():
        model = ["--config", TEACHER if name == "teacher" else STUDENT, "--model_path", entries[0]["weights"]]
        folders.append(f"{entries[0]['run'].folder}_onnx")
        call(["export", *model, "--format", "onnx", "--save_dir", folders[-1], *of_data(args)])
    folders.append(f"{entries[0]['run'].folder}_int8")
    # A model of a few iterations is near chance, where INT8 may lose any amount.
    limit = ["--max_drop", "1"] if args.iters else []
    call(["ptq", *model, "--save_dir", folders[-1], *limit, *of_data(args)])
    return folders


def int8_line(folder):
    """Return what a model of a quantisation's folder has become, as a line of text."""
    from paddleseg.quantization.result import read_result

    result = read_result(folder)
    before, after = result.float, result.int8
    return (
        f"In INT8, {os.path.basename(folder).removesuffix('_int8')} has mIoU {after.miou:.4f} instead of "
        f"{before.miou:.4f}, disc IoU {after.class_iou[1]:.4f} instead of {before.class_iou[1]:.4f}, "
        f"a file of {after.size / 1e6:.1f} MB instead of {before.size / 1e6:.1f} MB, and takes "
        f"{after.latency_one_core:.1f} ms an image on one core instead of {before.latency_one_core:.1f} ms."
    )


def result(save_dir, command):
    """Run a training command and return its best scores, its weights, its model and its seconds."""
    from paddleseg.report import read_runs

    started = time.time()
    call([*command, "--save_dir", save_dir])
    (run,) = read_runs([save_dir])
    return {
        "miou": run.best["miou"],
        "disc_iou": run.best["class_iou"][1],
        "weights": run.weights,
        "run": run,
        "seconds": time.time() - started,
    }


def call(command):
    """Print and run a command of this project, a list of words without the program's name."""
    words = [os.path.relpath(word) if os.path.isabs(word) else word for word in command]
    print(f"\n$ {PROGRAM} {' '.join(words)}", flush=True)
    # In a checkout that is not installed, only its folder leads to the package.
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    process = [sys.executable, "-m", "paddleseg.commands", *command]
    status = subprocess.run(process, env={**os.environ, "PYTHONPATH": path}, check=False).returncode
    if status:
        raise UserError(f"{PROGRAM} {words[0]} ended with status {status}; its message is above")


def draw(args, runs):
    """Write a sheet of photographs with the truth and the masks of the three models.

    Returns:
        (path of the sheet, number of validation images)
    """
    import cv2
    import numpy as np

    from paddleseg.cvlibs import Config, SegBuilder
    from paddleseg.evaluation.cost import parameter_count
    from paddleseg.evaluation.photographs import predict
    from paddleseg.report.rebuild import model_of
    from paddleseg.utils.pictures import GREEN, overlay, sheet

    models = {}
    for name, entries in runs.items():
        run = entries[0]["run"]
        models[name] = model_of(run.config, run.weights, run.run_file, run.config_path)
        for entry in entries:
            entry["parameters"] = parameter_count(models[name])
    root = [f"val_dataset.dataset_root={args.data}"]
    dataset = SegBuilder(Config(STUDENT, opts=root, sections=("val_dataset",))).val_dataset
    rows = []
    for index in range(min(6, len(dataset))):
        sample = dataset.sample(index)
        photograph, truth = cv2.imread(dataset.file_list[index][0]), np.asarray(sample["label"])
        masks = [truth, *(predict(model, sample["img"], truth.shape) for model in models.values())]
        rows.append([photograph, *(overlay(photograph, mask, GREEN) for mask in masks)])
    path = os.path.join(args.out, "comparison.png")
    cv2.imwrite(path, sheet(rows, ["synthetic photograph", "truth", *models]))
    return path, len(dataset)


def report(args, exported):
    """Write the page that compares all runs and exported models, and return its path."""
    names = ["teacher", *(f"{student}_{seed}" for student in ("student", "distilled") for seed in args.seeds)]
    folders = [os.path.join(args.out, name) for name in names]
    path = os.path.join(args.out, "report.html")
    call(["report", *folders, *exported, "-o", path, "--device", args.device])
    return path


def table(runs, images, seconds):
    """Return the comparison as text, with means and sample standard deviations over the seeds."""
    import numpy as np

    from paddleseg.report.tables import mean_text, spread

    head = f"{'model':<26} {'seeds':>5} {'mIoU':>16} {'disc IoU':>16} {'parameters':>11} {'time/run':>9}"
    title = f"Synthetic optic discs, {images} validation images, best evaluation of each run"
    lines = ["", title, head, "-" * len(head)]
    labels = {"teacher": "teacher", "student": "student alone", "distilled": "student distilled"}
    for name, entries in runs.items():
        miou, disc = (mean_text([entry[key] for entry in entries]) for key in ("miou", "disc_iou"))
        duration = np.mean([entry["seconds"] for entry in entries])
        lines.append(
            f"{labels[name]:<26} {len(entries):>5} {miou:>16} {disc:>16} "
            f"{entries[0]['parameters'] / 1e6:>9.2f} M {duration:>7.0f} s"
        )
    means = {name: np.mean([entry["miou"] for entry in entries]) for name, entries in runs.items()}
    gain = means["distilled"] - means["student"]
    verdict = "better" if gain > 0 else "WORSE" if gain < 0 else "neither better nor worse"
    lines.append(f"The distilled student is {verdict} than the plain one by {abs(gain):.4f} mIoU on average.")
    mious = [[entry["miou"] for entry in runs[name]] for name in ("student", "distilled")]
    if len(mious[0]) == 1:
        lines.append("One seed cannot tell such a difference from chance.")
    elif abs(gain) < max(map(spread, mious)):
        lines.append("That is less than the spread over the seeds, so it may be chance.")
    if means["teacher"] <= means["student"]:
        lines.append(
            "The teacher is NOT better than the plain student, so there was little to learn from it."
        )
    lines.append(f"The demonstration took {seconds:.0f} s.")
    return "\n".join(lines)
