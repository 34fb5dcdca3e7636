"""Signals are a request to stop."""

import os
import signal
import subprocess
import sys

import pytest

from paddleseg.errors import Stopped
from paddleseg.parallel import signals
from paddleseg.parallel.signals import StopRequest, outlive_signals

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


@pytest.fixture
def clock(monkeypatch):
    """A list whose only item is the time; an immediate exit raises SystemExit instead."""
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])

    def exits(status):
        raise SystemExit(status)

    monkeypatch.setattr(signals.os, "_exit", exits)
    return now


def handlers():
    return [signal.getsignal(signum) for signum in SIGNALS]


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_a_request_and_later_ones_are_ignored(clock, signum):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    with StopRequest() as stop:
        assert stop.signum == 0
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
    assert handlers() == [signal.SIG_IGN] * 3


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signum == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_signal_the_former_handlers_come_back():
    before = handlers()
    with StopRequest():
        assert handlers() != before
    assert handlers() == before


def test_after_another_ranks_signal_later_ones_are_ignored():
    with pytest.raises(Stopped), StopRequest():
        raise Stopped(signal.SIGTERM)
    assert handlers() == [signal.SIG_IGN] * 3


def test_repeats_count_as_one_signal_and_a_later_one_ends_the_process(clock):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        for later in (0.2, 0.4, 4.9):
            clock[0] = 100 + later
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signum == signal.SIGTERM
        clock[0] = 105
        with pytest.raises(SystemExit) as exit_:
            os.kill(os.getpid(), signal.SIGINT)
        assert exit_.value.code == 130


def test_a_request_without_a_signal_counts_as_one(clock, capfd):
    stop = StopRequest()
    stop.ask(signal.SIGTERM, "the launcher has died")
    stop.ask(signal.SIGINT, "again")
    assert stop.signum == signal.SIGTERM
    assert capfd.readouterr().err == "the launcher has died: the training stops after this step and saves\n"


def test_a_data_worker_ignores_signals(monkeypatch):
    monkeypatch.setattr(signals.sys, "platform", "other")
    outlive_signals()
    assert handlers() == [signal.SIG_IGN] * 3


def test_a_worker_that_was_just_forked_ignores_signals():
    with StopRequest() as stop:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(stop.signum)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("end", ["closed", "broken"])
def test_a_request_counts_where_nobody_reads_it(end):
    """Ctrl-C also ends the `tee` that reads the messages, and a hangup the terminal."""
    script = """
import os, signal, sys
from paddleseg.parallel.signals import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    sys.exit(stop.signum)
"""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", f"import os; os.close(2)\n{script}" if end == "closed" else script],
        stderr=None if end == "closed" else writer,
        pass_fds=[writer],
    ) as process:
        os.close(reader)
        os.close(writer)
        assert process.wait(timeout=120) == signal.SIGINT
