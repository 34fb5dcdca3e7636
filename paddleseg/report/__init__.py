"""Finished trainings, read from their folders and compared on one page."""

from paddleseg.report.page import write_report
from paddleseg.report.runs import Run, read_runs

__all__ = ["Run", "read_runs", "write_report"]
