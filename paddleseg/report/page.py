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
from paddleseg.report.exported import is_exported, measure_exported
from paddleseg.report.exported import table as exported_table
from paddleseg.report.gallery import gallery
from paddleseg.report.runs import comparisons, is_run, names_of, read_runs
from paddleseg.utils.logger import logger


def write_report(folders, options):
    """Read the runs, measure their models, and write the page.

    Args:
        folders: the `save_dir` of each training, and of exports and quantisations in ONNX. A folder may be
            of both, such as that of a quantisation-aware training.
        options: `ReportOptions`.

    Raises:
        UserError: a folder holds none of these, none is of a training, or the page cannot be written.
    """
    of_exports = [folder for folder in folders if is_exported(folder)]
    of_runs = [folder for folder in folders if is_run(folder) or folder not in of_exports]
    if not of_runs:
        raise UserError("a page needs a training: name the save_dir of the run of each exported model, too")
    names = dict(zip(folders, names_of(folders)))
    runs = read_runs(of_runs)
    _check_output(options.output)
    parallel.set_device(options.device, options.conv_engine)
    row_names = [names[folder] for folder in of_exports]
    exported = measure_exported(of_exports, row_names, runs, with_latency=options.repeats > 0)
    text = render(contents(runs, options, exported))
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"output {options.output}: it cannot be written: {error.strerror}") from None
    logger.info(f"report: {options.output}")


def contents(runs, options, exported=((), ())):
    """Return what `page.html` shows of runs, a dict.

    Args:
        runs: list of `Run`.
        options: `ReportOptions`.
        exported: what `measure_exported` returns. Default: no exported model.
    """
    compared = comparisons(runs)
    measured, notes = costs(runs, options.repeats, options.device, options.conv_engine)
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
        "exported": exported_table(*exported) if exported[0] else None,
        "exported_tradeoffs": curves.exported_tradeoffs(exported[0]),
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
