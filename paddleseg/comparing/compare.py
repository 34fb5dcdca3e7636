"""The whole comparison: trainings, table, and the lines that the best method adds to a config."""

import concurrent.futures
import os
import platform
import time

import paddle
import yaml
from filelock import FileLock, Timeout

from paddleseg import parallel
from paddleseg.comparing.budget import Budget
from paddleseg.comparing.pace import seconds_per_iteration
from paddleseg.comparing.plan import PLAIN, TEACHER, check_seeds, read_plan
from paddleseg.comparing.rehearsal import rehearse
from paddleseg.comparing.results import Training
from paddleseg.comparing.table import ITERATIONS, TIME, best_of, deciding, row_of, write
from paddleseg.comparing.trainings import Trainings
from paddleseg.errors import UserError, counted, one_line
from paddleseg.options import ReportOptions
from paddleseg.report import write_report
from paddleseg.utils.cpu import usable_cores
from paddleseg.utils.logger import logger

BOTH = "both"
_SHARE_OF_PACE = 0.1  # of a budget: after so much of it, no further turn measures the pace


def compare(plan, options):
    """Train what a plan names, and write `table.md`, `runs.csv`, `plot.png` and `report.html`.

    What a finished training gave is kept, so the same call continues an interrupted comparison.

    Args:
        plan: path of the plan, see `read_plan`.
        options: `CompareOptions`.

    Returns:
        The table and the best method's lines for a config, one text.

    Raises:
        UserError: the plan is wrong, or a training failed.
    """
    started = time.monotonic()
    if options.jobs > 1 and options.budget is not None:
        raise UserError(f"jobs {options.jobs}: with a budget, each training runs alone; use jobs 1")
    check_seeds(options.seeds or ())
    parallel.set_device(options.device, options.conv_engine)
    trainings = Trainings(read_plan(plan, options.iters), options)
    try:
        with _locked(options.out):
            return _compared(trainings, started)
    except OSError as error:
        if error.errno is None:  # Paddle's, of the device
            raise
        raise UserError(f"out {options.out}: {one_line(error)}") from error


def _locked(folder):
    """Keep other comparisons out of a folder while the returned context lasts.

    Raises:
        UserError: another comparison is in it.
    """
    try:
        return FileLock(os.path.join(folder, "lock")).acquire(timeout=0)
    except Timeout:
        raise UserError(f"out {folder}: another comparison runs there; give each its own folder") from None


def _compared(trainings, started):
    plan, options = trainings.plan, trainings.options
    seeds = list(options.seeds or plan.seeds)
    trainings.check_teacher()
    chosen = plan.chosen(options.only)
    if options.budget is not None and chosen == [PLAIN]:
        raise UserError("budget: there is no method to compare with the plain student")
    methods = rehearse(trainings, chosen)
    teacher = trainings.train_teacher()
    if options.budget is None:
        groups = _whole_field(trainings, methods, seeds)
    else:
        groups = _within_budget(trainings, methods, seeds, started)
    rows = _rows(_train_all(trainings, groups, seeds, teacher), groups, seeds, teacher)
    table = write(options.out, rows, _machine())
    _report(rows, options)
    return "\n\n".join([table, *_shortness(plan, groups, options), _advice(plan, rows)])


def _whole_field(trainings, methods, seeds):
    """Return [(method, what is equal, iterations)] of all trainings, the plain student's first."""
    plan, match = trainings.plan, trainings.options.match
    others = [method for method in methods if method != PLAIN]
    groups = [(PLAIN, "", plan.iters)]
    if match in (ITERATIONS, BOTH):
        groups += [(method, ITERATIONS, plan.iters) for method in others]
    if match in (TIME, BOTH):
        pace = seconds_per_iteration(trainings, [PLAIN, *others])
        groups += [(m, TIME, max(1, round(plan.iters * pace[PLAIN] / pace[m]))) for m in others]
    return groups


def _within_budget(trainings, methods, seeds, started):
    """Return [(method, what is equal, iterations)] of the plain student and the best method."""
    others = [method for method in methods if method != PLAIN]
    limit = _SHARE_OF_PACE * trainings.options.budget
    pace = seconds_per_iteration(trainings, [PLAIN, *others], limit)
    budget = Budget(trainings, trainings.options.budget, started)
    if budget.left() < budget.seconds / 2:
        logger.warning(
            f"the teacher and the pace have taken {budget.seconds - budget.left():.0f} s of the budget of "
            f"{budget.seconds:.0f} s, so little is left for the students"
        )
    best = budget.best(others, pace, seed=max([*trainings.plan.seeds, *seeds]) + 1)
    iters = budget.final(best, pace, seeds)
    return [(PLAIN, "", iters[PLAIN]), (best, TIME, iters[best])]


def _train_all(trainings, groups, seeds, teacher):
    """Return {Training: its `Result`}."""
    # All methods of a seed come first, the student alone before the others, so that an interrupted comparison
    # has equal seeds.
    missing = [Training(method, seed, iters) for seed in seeds for method, _, iters in groups]
    pool = concurrent.futures.ThreadPoolExecutor(trainings.options.jobs)
    try:
        futures = {pool.submit(trainings.finished, training): training for training in dict.fromkeys(missing)}
        results = {}
        for future in concurrent.futures.as_completed(futures):
            training = futures[future]
            results[training] = future.result()
            if training == missing[0]:
                _check_lead(teacher, results[training])
        return results
    finally:
        # After an error or a signal no training begins, and those that run save a checkpoint and end.
        pool.shutdown(wait=False, cancel_futures=True)
        trainings.stop()
        pool.shutdown()


def _check_lead(teacher, student):
    """Warn, as soon as the first student alone is trained, if it equals its teacher."""
    if teacher is not None and student.miou >= teacher.miou:
        logger.warning(
            f"{PLAIN}, seed {student.training.seed}: mIoU {student.miou:.4f}, and the teacher has "
            f"{teacher.miou:.4f}; a teacher that is no better than the student alone can make the student "
            f"worse: take a better teacher"
        )


def _rows(results, groups, seeds, teacher):
    rows = [] if teacher is None else [row_of(TEACHER, "", [teacher])]
    of_groups = [[results[Training(method, seed, iters)] for seed in seeds] for method, _, iters in groups]
    rows.append(row_of(PLAIN, "", of_groups[0]))
    plain = [one.confusions() for one in of_groups[0]] if groups[1:] else None
    for (method, equal, _), of_seeds in zip(groups[1:], of_groups[1:]):
        rows.append(row_of(method, equal, of_seeds, plain))
    return rows


def _report(rows, options):
    folders = dict.fromkeys(one.folder for row in rows for one in row.results if one.folder is not None)
    page = os.path.join(options.out, "report.html")
    engines = {"device": options.device, "conv_engine": options.conv_engine}
    write_report(list(folders), ReportOptions(output=page, **engines))


def _shortness(plan, groups, options):
    """Return a line, in a list, if a budget has cut the students' trainings below 3/4 of the plan's."""
    _, _, iters = groups[0]
    if options.budget is None or iters >= 0.75 * plan.iters:
        return []
    return [
        f"The budget allowed the plain student {iters} of its {plan.iters} iterations. Students that have "
        f"learnt little say little about methods. The same command with a longer budget keeps the teacher."
    ]


def _advice(plan, rows):
    """Return what the best method adds to a config, or that none is shown to help."""
    rows = deciding(rows)
    equal = f" at equal {rows[0].equal}" if rows else ""
    best = best_of(rows)
    if best is None:
        return f"No method is shown to be better than the plain student{equal}."
    lines = yaml.safe_dump(plan.methods[best.method], sort_keys=False, allow_unicode=True)
    return f"The best{equal} is {best.method}. It adds to the student's config:\n\n{lines}"


def _machine():
    if not parallel.on_cpu():
        return f"{paddle.device.cuda.get_device_name()}, Paddle {paddle.__version__}"
    return f"{counted(usable_cores(), 'core')} ({platform.machine()}), Paddle {paddle.__version__}"
