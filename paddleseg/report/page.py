"""The page: what runs have in common and what differs, in one file."""

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
    """Read the runs, measure their models, and write the page.

    Args:
        folders: the `save_dir` of each training.
        options: `ReportOptions`.

    Raises:
        UserError: a folder holds no run, or the page cannot be written.
    """
    runs = read_runs(folders)
    _check_output(options.output)
    parallel.set_device(options.device, options.conv_engine)
    text = render(contents(runs, options))
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"output {options.output}: it cannot be written: {error.strerror}") from None
    logger.info(f"report: {options.output}")


def contents(runs, options):
    """Return what `page.html` shows of runs, a dict.

    Args:
        runs: list of `Run`.
        options: `ReportOptions`.
    """
    compared = comparisons(runs)
    measured, notes = costs(runs, options.repeats, options.device)
    return {
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "paddle": paddle.__version__,
        "device": paddle.get_device(),
        "runs": runs,
        "kinds": tables.kinds(runs, compared),
        "gains": tables.gains(compared),
        "overview": tables.overview(runs, measured),
        "cost_notes": notes,
        "tradeoffs": curves.tradeoffs(runs, measured),
        "classes": tables.class_scores(runs),
        "charts": curves.charts(runs),
        "plane": curves,
        "differences": _differences(runs),
        "gallery": gallery(compared, options.images, options.compared),
    }


def render(content):
    """Return the page, a text.

    Args:
        content: what `contents` returns.
    """
    # Names, paths and configs are the user's and may hold any character, so they are escaped.
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
    """Refuse a page that cannot be written, before its models are measured."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        example = os.path.join(path, "report.html")
        raise UserError(f"output {path}: that is a folder; name a file, such as {example}")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {path}: its folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"output {path}: its folder cannot be written to")
