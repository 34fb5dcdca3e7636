"""The arithmetic that the benchmarks of speed share; no time is asserted."""

import functools
import json

import pytest
import timing


def test_variants_take_turns_back_and_forth_and_warmup_turns_are_not_counted():
    turns = []

    def work(name):
        turns.append(name)
        return len(turns)

    seconds = timing.interleaved({name: functools.partial(work, name) for name in "abc"}, 2, warmup=1)
    assert "".join(turns) == "cba" + "abc" + "cba"
    assert seconds == {"a": [4, 9], "b": [5, 8], "c": [6, 7]}


def test_the_median_and_the_quartiles():
    assert timing.summary([4, 1, 3, 2, 10]) == {"median": 3, "low": 2, "high": 4, "turns": 5}
    assert timing.summary([7]) == {"median": 7, "low": 7, "high": 7, "turns": 1}


def test_the_ratio_is_of_the_medians():
    assert timing.ratio({"ours": [1, 2, 99], "plain": [8, 8, 8]}, "ours", "plain") == pytest.approx(0.25)


def test_a_figure_and_a_table():
    assert timing.figure([1, 2, 3], digits=1) == "2.0 (1.5 to 2.5)"
    assert timing.markdown(["a", "b"], [["x", 1]]) == "| a | b |\n| --- | --- |\n| x | 1 |"


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_seconds_are_counted_around_the_call(monkeypatch, clock):
    ticks = iter([2.0, 5.0])
    monkeypatch.setitem(timing.CLOCKS, clock, lambda: next(ticks))
    assert timing.timed(lambda: None, clock) == 3.0


def test_the_file_holds_every_turn(tmp_path):
    path = tmp_path / "figures.json"
    timing.write_json(str(path), {"cores": 2}, {"ours": [1.0, 3.0]}, sizes=[128])
    figures = json.loads(path.read_text())
    assert figures["about"] == {"cores": 2}
    assert figures["sizes"] == [128]
    assert figures["seconds"]["ours"]["median"] == 2.0
    assert figures["seconds"]["ours"]["all"] == [1.0, 3.0]


def test_no_file_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    timing.write_json(None, {}, {"ours": [1.0]})
    assert list(tmp_path.iterdir()) == []


def test_the_processors_name(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("vendor_id\t: X\nmodel name\t: Some 7\nmodel name\t: Some 7\n")
    assert timing.processor(path) == "Some 7"
    assert timing.processor(tmp_path / "none")
    assert timing.machine()["cores"] >= 1
