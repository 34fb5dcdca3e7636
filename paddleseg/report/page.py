"""Runs to one page that needs nothing beside it."""

import datetime
import os

import jinja2
import paddle

from paddleseg import parallel
from paddleseg.errors import UserError
from paddleseg.report import curves, tables
from paddleseg.report.costs import costs
from paddleseg.report.differences import differences
from paddleseg.report.gallery import gallery
from paddleseg.report.runs import comparisons, read_runs
from paddleseg.utils.logger import logger


def write_report(folders, options):
    """Read the runs, measure, and write the page.

    Args:
        options: `ReportOptions`.

    Raises:
        UserError: a folder is no run, or the page cannot be written.
    """
    runs = read_runs(folders)
    _check_output(options.output)
    parallel.set_device(options.device)
    text = render(report(runs, options))
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"-o {options.output}: it cannot be written: {error.strerror}") from None
    logger.info(f"report: {options.output}")


def report(runs, options):
    """Return what `page.html` shows of runs, a dict.

    Args:
        runs: list of `Run`.
        options: `ReportOptions`.
    """
    found = comparisons(runs)
    measured, notes = costs(runs, options.repeats, options.device)
    drawn = curves.charts(runs)
    return {
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "paddle": paddle.__version__,
        "device": paddle.get_device(),
        "runs": runs,
        "whats": tables.whats(runs, found),
        "gains": tables.gains(found),
        "overview": tables.overview(runs, measured),
        "cost_notes": notes,
        "classes": tables.class_scores(runs),
        "charts": drawn,
        "covered": any(line.covered for chart in drawn for line in chart.lines),
        "no_charts": None
        if drawn
        else "None of these runs has a history.jsonl that tells of a loss or an mIoU.",
        "plane": curves,
        "differences": _differences(runs),
        "gallery": gallery(found, options.images, options.compared),
    }


def render(content):
    """Return the page, a text.

    Args:
        content: what `report` returns.
    """
    # Autoescaping is what a template is for here: names, paths and configs are the user's.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(content)


def _differences(runs):
    if len(runs) == 1:
        return tables.Table(missing="A single run has nothing to differ from.")
    rows = [[key, *texts] for key, texts in differences(runs)]
    if not rows:
        return tables.Table(missing="Nothing differs between the configs.")
    return tables.Table(["key", *(run.name for run in runs)], rows)


def _check_output(path):
    """Refuse a page that could not be written before anything is measured for it."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise UserError(
            f"-o {path}: that is a folder; name a file, such as {os.path.join(path, 'report.html')}"
        )
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {path}: its folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"-o {path}: its folder cannot be written to")
