import os
import subprocess
import sys
import threading

import pytest

from paddleseg.parallel import watchdog
from paddleseg.parallel.signals import StopRequest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are read from /proc")


@pytest.fixture
def exits(monkeypatch):
    """An event that is set instead of ending the process."""
    event = threading.Event()
    monkeypatch.setattr(watchdog, "SECONDS", 0.02)
    monkeypatch.setattr(watchdog.os, "_exit", lambda status: event.set())
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback", lambda: None)
    return event


@pytest.fixture
def peer():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def watched(monkeypatch, peers, launched=True):
    monkeypatch.setattr(watchdog, "_peers", lambda: peers)
    if launched:
        monkeypatch.setenv("PADDLE_TRAINER_ID", "0")
    else:
        monkeypatch.delenv("PADDLE_TRAINER_ID", raising=False)
    return watchdog.Watchdog(StopRequest())


def test_a_rank_that_dies_ends_this_one_and_is_named(monkeypatch, exits, peer, capsys):
    with watched(monkeypatch, {3: watchdog._process(peer.pid)}):
        assert not exits.wait(0.2)
        peer.kill()  # it is a zombie now, since nobody has waited for it
        assert exits.wait(10)
    assert f"rank 3 (process {peer.pid}) has died" in capsys.readouterr().err


def test_a_process_that_has_got_the_id_of_a_dead_rank_is_not_that_rank(monkeypatch, exits, peer):
    pid, started = watchdog._process(peer.pid)
    with watched(monkeypatch, {1: (pid, started - 1)}):
        assert exits.wait(10)


@pytest.mark.parametrize("before", [False, True], ids=["while it trains", "before it trains"])
def test_without_its_launcher_a_rank_is_asked_to_stop(monkeypatch, exits, capfd, before):
    parent = [2 if before else 1]
    monkeypatch.setattr(watchdog.cpu, "PARENT", 1)
    monkeypatch.setattr(watchdog.os, "getppid", lambda: parent[0])
    guard = watched(monkeypatch, {})
    with guard:
        parent[0] = 2
        for _ in range(500):
            if guard._stop.signum:
                break
            threading.Event().wait(0.02)
    assert guard._stop.signum == 15
    assert not exits.is_set()


def test_a_process_without_launcher_is_not_watched(monkeypatch, exits):
    with watched(monkeypatch, {1: (0, 0)}, launched=False):
        assert not exits.wait(0.2)
