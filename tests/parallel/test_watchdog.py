"""A rank notices that its launcher or another rank has died."""

import os
import subprocess
import sys
import threading

import pytest

from paddleseg.parallel import watchdog
from paddleseg.parallel.signals import StopRequest
from paddleseg.parallel.watchdog import Watchdog, process

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are read from /proc")


@pytest.fixture
def exits(monkeypatch):
    """An event that is set instead of ending the process; this process is the rank of a launcher."""
    event = threading.Event()
    monkeypatch.setenv("PADDLE_TRAINER_ID", "0")
    monkeypatch.setattr(watchdog, "SECONDS", 0.02)
    monkeypatch.setattr(watchdog.os, "_exit", lambda status: event.set())
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback", lambda: None)
    return event


@pytest.fixture
def peer():
    peer = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield peer
    peer.kill()
    peer.communicate()


def test_a_rank_that_dies_ends_this_one_and_is_named(exits, peer, capfd):
    with Watchdog(StopRequest(), {3: process(peer.pid)}):
        assert not exits.wait(0.2)
        peer.kill()  # it is a zombie now, since nobody has waited for it
        assert exits.wait(10)
    assert f"rank 3 (process {peer.pid}) has died" in capfd.readouterr().err


def test_another_process_with_the_id_of_a_dead_rank_is_not_that_rank(exits, peer):
    pid, started = process(peer.pid)
    with Watchdog(StopRequest(), {1: (pid, started - 1)}):
        assert exits.wait(10)


@pytest.mark.parametrize("before", [False, True], ids=["while it trains", "before it trains"])
def test_a_rank_without_its_launcher_is_asked_to_stop(monkeypatch, exits, capfd, before):
    parent = [2 if before else 1]
    monkeypatch.setattr(watchdog.cpu, "PARENT", 1)
    monkeypatch.setattr(watchdog.os, "getppid", lambda: parent[0])
    stop = StopRequest()
    with Watchdog(stop, {}):
        parent[0] = 2
        for _ in range(500):
            if stop.signum:
                break
            threading.Event().wait(0.02)
    assert stop.signum == 15
    assert not exits.is_set()


def test_a_process_without_launcher_watches_nothing(monkeypatch, exits):
    monkeypatch.delenv("PADDLE_TRAINER_ID")
    with Watchdog(StopRequest(), {1: (0, 0)}):
        assert not exits.wait(0.2)
