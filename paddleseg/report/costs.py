"""What each run's model costs, and on which input."""

from paddleseg.cvlibs.facts import image_channels
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.errors import UserError
from paddleseg.report.measure import measure
from paddleseg.report.rebuild import builder_of
from paddleseg.report.runs import without_pretrained
from paddleseg.utils.logger import logger

WITHOUT_DATA = (512, 512)


def costs(runs, repeats, device):
    """Return what the model of each run costs, and sentences on how that was found.

    Equal models are measured once. The input is the first validation image, or one of `WITHOUT_DATA`.

    Args:
        runs: list of `Run`.
        repeats: forward passes that are timed; 0 times none.
        device: as `measure` takes it.

    Returns:
        (list of what `measure` returns and its 'shape', None where it could not be measured, list of str)
    """
    known, found, notes = {}, [], []
    for run in runs:
        shape, problem = input_shape(run)
        key = str((without_pretrained(run.config.get("model")), shape))
        if problem:
            size = " × ".join(map(str, WITHOUT_DATA))
            notes.append(f"{run.name} was measured on an input of {size}: {problem}.")
        if key not in known:
            logger.info(f"measuring the model of {run.folder}")
            known[key] = _measured(run, shape, repeats, device, notes)
        found.append(known[key])
    return found, [*_explained([cost for cost in found if cost], repeats), *notes]


def input_shape(run):
    """Return the (C, H, W) of the run's first validation image, and None or why it is of `WITHOUT_DATA`."""
    try:
        dataset = builder_of(
            run.config, ("val_dataset",), run.run_file, run.about.get("config_path")
        ).val_dataset
        return tuple(SeededSamples(dataset, seed=0, labeled=False)[0, 0]["img"].shape), None
    except UserError as error:
        return (image_channels(run.config), *WITHOUT_DATA), _one_line(error)


def _measured(run, shape, repeats, device, notes):
    try:
        beside = run.about.get("config_path")
        cost = measure(run.config, run.run_file, (1, *shape), repeats, device, beside)
        return {**cost, "shape": [1, *shape]}
    except UserError as error:
        notes.append(f"{_one_line(error)}.")
        return None


def _explained(measured, repeats):
    if not measured:
        return []
    before = max(cost["megabytes_before"] for cost in measured)
    told = [
        "Costs are those of one image on this machine; a multiplication and an addition are two FLOPs.",
        f"Memory is the most that a process with the model held, of which {before:.0f} MB without it.",
    ]
    if repeats:
        of = "that of one forward pass" if repeats == 1 else f"the median of {repeats} forward passes"
        told.insert(1, f"Latency is {of}.")
    uncounted = sorted({name for cost in measured for name in cost["uncounted"]})
    if uncounted:
        told.append(f"Without the operations of {', '.join(uncounted)}, for which there is no formula.")
    return [" ".join(told)]


def _one_line(error):
    return " ".join(str(error).split()).rstrip(".")
