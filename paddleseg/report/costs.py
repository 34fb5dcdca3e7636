"""The cost of each run's model on this machine, measured in a process of its own."""

import json
import os
import subprocess
import sys

import paddle

from paddleseg import parallel
from paddleseg.cvlibs.facts import stated
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError, one_line
from paddleseg.evaluation import cost
from paddleseg.report.rebuild import builder_of
from paddleseg.report.runs import without_pretrained
from paddleseg.utils.logger import logger

DEFAULT_SIZE = (512, 512)  # of the input where the validation images are not here
RESULT = "measured: "


def costs(runs, repeats, device, conv_engine="auto"):
    """Return the cost of each run's model, and sentences on how it was measured.

    Equal models are measured once. The input is the first validation image, or one of `DEFAULT_SIZE`.

    Args:
        runs: list of `Run`.
        repeats: forward passes that are timed; 0 times none.
        device: "cpu", "gpu" or "auto".
        conv_engine: as in `parallel.set_device`. Default "auto".

    Returns:
        (list with an item for each run: what `measure` returns, and the input's 'shape', or None if the model
        could not be measured; list of sentences)
    """
    by_model, measured, notes = {}, [], []  # costs by model and shape, costs of each run, sentences
    for run in runs:
        shape, problem = input_shape(run)
        key = str((without_pretrained(run.config.get("model")), shape))
        if problem:
            size = " × ".join(map(str, DEFAULT_SIZE))
            notes.append(f"{run.name} was measured on an input of {size}: {problem}.")
        if key not in by_model:
            logger.info(f"measuring the model of {run.folder}")
            try:
                shape = [1, *shape]
                by_model[key] = {**measure(run, shape, repeats, device, conv_engine), "shape": shape}
            except UserError as error:
                by_model[key] = None
                notes.append(f"{_clause(error)}.")
        measured.append(by_model[key])
    return measured, [*_sentences([known for known in measured if known], repeats), *notes]


def input_shape(run):
    """Return the (C, H, W) of the run's first validation image, and None or why it has `DEFAULT_SIZE`."""
    try:
        dataset = builder_of(run.config, ("val_dataset",), run.run_file, run.config_path).val_dataset
        return tuple(SeededSamples(dataset, seed=0, labeled=False)[0, 0]["img"].shape), None
    except UserError as error:
        return (stated(run.config, "img_channels").value, *DEFAULT_SIZE), _clause(error)


def measure(run, shape, repeats, device, conv_engine="auto"):
    """Return the cost of a run's model, measured in a process that does nothing else.

    Args:
        run: a `Run`.
        shape: of the input, [N, C, H, W].
        repeats, device, conv_engine: as in `costs`.

    Returns:
        {'parameters', 'flops', 'seconds', 'uncounted'} as in `evaluation.cost.Cost`; 'megabytes', the peak of
        the process's memory, on a GPU of the GPU's; 'megabytes_before', the peak before the model was built.

    Raises:
        UserError: the model cannot be built, or does not run on an input of that shape.
    """
    task = {
        "config": run.config,
        "where": run.run_file,
        "shape": shape,
        "repeats": repeats,
        "device": device,
        "conv_engine": conv_engine,
        "config_path": run.config_path,
    }
    # The new process must find the modules of the user's own components, too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    process = subprocess.run(
        [sys.executable, "-m", "paddleseg.commands.measure"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    results = [line for line in process.stdout.splitlines() if line.startswith(RESULT)]
    if process.returncode or not results:
        last = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"{run.run_file}: the model could not be measured: {last}")
    return json.loads(results[-1][len(RESULT) :])


def measure_here(task):
    """Measure the model of a `task`, the dict that `measure` sends, in this process; return the result."""
    parallel.set_device(task["device"], task["conv_engine"])
    paddle.zeros([1]).numpy()  # so that Paddle takes what it needs before there is a model
    before = _peak_megabytes()
    model = builder_of(task["config"], ("model",), task["where"], task["config_path"]).model
    total = cost.measure(model, task["shape"], task["repeats"])["total"]
    return {**vars(total), "megabytes": _peak_megabytes(), "megabytes_before": before}


def _peak_megabytes():
    """Return the most memory that this process has held, in units of 2**20 bytes."""
    if paddle.get_device().startswith("gpu"):
        return paddle.device.cuda.max_memory_allocated() / 2**20
    # On Linux, `ru_maxrss` includes what the parent process held when it started this one.
    try:
        with open("/proc/self/status", encoding="ascii", errors="ignore") as file:
            peak = next(line for line in file if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _sentences(measured, repeats):
    """Return how the costs were measured, as a list of one text; [] if none were."""
    if not measured:
        return []
    before = max(known["megabytes_before"] for known in measured)
    sentences = [
        "Costs are those of one image on this machine; a multiplication and an addition are two FLOPs."
    ]
    if repeats:
        what = "the time of one forward pass" if repeats == 1 else f"the median of {repeats} forward passes"
        sentences.append(f"Latency is {what}.")
    sentences.append(
        f"Memory is the peak of a process with the model; without it, the peak was {before:.0f} MB."
    )
    uncounted = sorted({name for known in measured for name in known["uncounted"]})
    if uncounted:
        sentences.append(f"The operations of {', '.join(uncounted)} have no formula and are not counted.")
    return [" ".join(sentences)]


def _clause(error):
    """Return an error as a clause, without a full stop, for a sentence of the page."""
    return one_line(error).rstrip(".")
