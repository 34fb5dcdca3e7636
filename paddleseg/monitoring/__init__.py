"""Shows a training while it runs and keeps its figures: bars, log lines, VisualDL, history, profiles."""

from paddleseg.monitoring.history import read_history
from paddleseg.monitoring.progress import Progress
from paddleseg.monitoring.record import Record, open_record
from paddleseg.monitoring.run_file import write_run_file
from paddleseg.monitoring.terminal import bar_wanted

__all__ = ["Progress", "Record", "bar_wanted", "open_record", "read_history", "write_run_file"]
