"""Which method a table calls the best."""

from types import SimpleNamespace

from paddleseg.comparing.table import Row, best_of, deciding
from paddleseg.evaluation.verdict import Verdict

TEACHER = Row("teacher", "", [SimpleNamespace(miou=0.9)])
BETTER, NOT_SHOWN = Verdict(0.1, 0.05, 0.2), Verdict(0.01, -0.1, 0.1)


def row(method, equal, miou, verdict):
    return Row(method, equal, [SimpleNamespace(miou=miou)], verdict)


def test_rows_of_equal_time_decide_if_there_are_any():
    of_iterations = row("KL", "iterations", 0.6, BETTER)
    assert best_of(deciding([TEACHER, of_iterations])) is of_iterations
    assert best_of(deciding([TEACHER, of_iterations, row("KL", "time", 0.51, NOT_SHOWN)])) is None


def test_the_best_has_the_highest_mean_among_those_that_are_better():
    best = row("DIST", "time", 0.6, BETTER)
    rows = [TEACHER, row("KL", "time", 0.55, BETTER), best, row("AT", "time", 0.7, NOT_SHOWN)]
    assert best_of(deciding(rows)) is best
    assert best_of(deciding([TEACHER])) is None
