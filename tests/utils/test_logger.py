"""The logger's lines, and which ranks write them."""

import contextlib
import io
import logging
import re

import pytest

from paddleseg.utils.logger import logger


class Output(io.StringIO):
    """Standard output, counting how often it is flushed."""

    flushed = 0

    def flush(self):
        self.flushed += 1


def printed(*calls):
    """Return what the calls write to standard output."""
    with contextlib.redirect_stdout(Output()) as output:
        for call in calls:
            call()
    return output


@pytest.fixture(autouse=True)
def _first_rank(monkeypatch):
    monkeypatch.delenv("PADDLE_TRAINER_ID", raising=False)


def test_a_line_has_paddlesegs_form_and_is_flushed():
    output = printed(lambda: logger.info("[TRAIN] epoch: 1"))
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[INFO\]\t\[TRAIN\] epoch: 1\n"
    assert re.fullmatch(form, output.getvalue())
    assert output.flushed == 1


def test_another_librarys_handler_repeats_no_line():
    root = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(root)
    try:
        output = printed(lambda: logger.warning("once"))
    finally:
        logging.getLogger().removeHandler(root)
    assert output.getvalue().count("once") == 1
    assert root.stream.getvalue() == ""


def test_debug_messages_are_left_out():
    assert printed(lambda: logger.debug("a detail")).getvalue() == ""
    assert logger.level == logging.INFO


@pytest.mark.parametrize(("rank", "logged"), [("0", ["info", "warning"]), ("1", ["warning"])])
def test_other_ranks_only_warn(monkeypatch, rank, logged):
    monkeypatch.setenv("PADDLE_TRAINER_ID", rank)
    output = printed(lambda: logger.info("info"), lambda: logger.warning("warning"))
    assert [line.split("\t")[1] for line in output.getvalue().splitlines()] == logged


def test_a_redirection_gets_its_own_lines_alone():
    outer = printed(
        lambda: logger.info("before"),
        lambda: printed(lambda: logger.info("within")),
        lambda: logger.info("after"),
    )
    assert [line.split("\t")[1] for line in outer.getvalue().splitlines()] == ["before", "after"]
