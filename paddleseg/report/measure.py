"""What a model costs on this machine, in a process of its own, whose memory is that of nothing else."""

import json
import os
import subprocess
import sys

from paddleseg.errors import UserError

RESULT = "measured: "


def measure(config, where, shape, repeats, device, beside=None):
    """Return what a model costs.

    Args:
        config: a merged config, a dict with a `model`.
        where: what messages call it.
        shape: of the input, [N, C, H, W].
        repeats: forward passes that are timed.
        device: "cpu", "gpu" or "auto".
        beside: as `rebuild.builder_of` takes it.

    Returns:
        {'parameters', 'flops', 'seconds', 'uncounted'} as `utils.cost.Cost` has them, 'megabytes', the most
        memory that the process has held, on a GPU of the GPU's, and 'megabytes_before', the same before there
        was a model.

    Raises:
        UserError: the model cannot be built, or does not run on an input of that shape.
    """
    task = {
        "config": config,
        "where": where,
        "shape": list(shape),
        "repeats": repeats,
        "device": device,
        "beside": beside,
    }
    # The modules with the user's own components are to be found there, too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "paddleseg.commands.measure"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{where}: the model could not be measured: {last}")
    return json.loads(found[-1][len(RESULT) :])


def measure_here(task):
    """Measure the model of `task`, the dict that `measure` sends, in this process and return the result."""
    import paddle

    from paddleseg import parallel
    from paddleseg.evaluation import cost
    from paddleseg.report.rebuild import builder_of

    parallel.set_device(task["device"])
    paddle.zeros([1]).numpy()  # so that what Paddle takes for itself is there before the model
    before = _megabytes()
    model = builder_of(task["config"], ("model",), task["where"], task["beside"]).model
    total = cost.measure(model, task["shape"], task["repeats"])["total"]
    return {
        "parameters": total.parameters,
        "flops": total.flops,
        "seconds": total.seconds,
        "uncounted": list(total.uncounted),
        "megabytes": _megabytes(),
        "megabytes_before": before,
    }


def _megabytes():
    """Return the most memory that this process has held, in units of 2**20 bytes."""
    import paddle

    if paddle.get_device().startswith("gpu"):
        return paddle.device.cuda.max_memory_allocated() / 2**20
    # Linux counts in `ru_maxrss` what the parent held when it started this process.
    try:
        with open("/proc/self/status", encoding="ascii", errors="ignore") as file:
            peak = next(line for line in file if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
