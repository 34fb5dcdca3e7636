"""The benchmark of INT8 students: its runs by name, and its table, from the figures of finished runs."""

import os

import quantising
import tiny

from paddleseg.quantization.result import Figures, Result


def figures(miou):
    return Figures(miou, [miou], 4, 1.0, 0.5)


def write_result(folder, before, after):
    os.makedirs(folder)
    facts = {"agreement": 0.9, "images": 5, "input_shape": [1, 3, 8, 8], "cores": 2}
    Result(
        *("c.yml", "w.pdparams", "qat", 4, 0, figures(before), figures(after)),
        **facts,
        integer_instructions=None,
    ).write(folder)


def test_each_seed_is_quantised_in_three_ways_and_the_table_holds_them(tmp_path, monkeypatch, capsys):
    config = tiny.write_yaml(tmp_path / "student.yml", {})
    scores = {0: (0.5, 0.4, 0.45, 0.49), 1: (0.6, 0.5, 0.55, 0.57)}
    runs = []

    def run(args, name, script, flags):
        runs.append((name, script))
        folder = tmp_path / "out" / name
        seed, kind = int(name.split("/")[0][-1]), name.split("/")[1]
        if kind != "float":
            column = 1 + [quantising.PTQ, quantising.ALONE, quantising.TAUGHT].index(kind)
            write_result(folder, scores[seed][0], scores[seed][column])
            assert (kind == quantising.TAUGHT) == ("--teacher_config" in flags)
            assert os.path.join("float", "best_model", "model.pdparams") in " ".join(flags)
        return str(folder)

    monkeypatch.setattr(quantising, "run", run)
    command = ["quantising.py", "--data", "d", "--out", str(tmp_path / "out"), "--students", config]
    monkeypatch.setattr("sys.argv", [*command, "--seeds", "0", "1"])
    quantising.main()
    scripts = ["train.py", *(os.path.join("slim", "quant", name) for name in ("ptq.py", "qat.py", "qat.py"))]
    assert [script for _, script in runs] == 2 * scripts
    assert capsys.readouterr().out.splitlines()[-1] == (
        "| student | 0.5500 ± 0.0707 (0.5000, 0.6000) | 0.4500 ± 0.0707 (0.4000, 0.5000) "
        "| 0.5000 ± 0.0707 (0.4500, 0.5500) | 0.5300 ± 0.0566 (0.4900, 0.5700) |"
    )
    runs.clear()
    quantising.main()
    assert [script for _, script in runs] == 2 * ["train.py"], "finished INT8 models stay"


def test_help_says_what_flags_are_and_no_absolute_path(help_of):
    text = help_of(quantising)
    for words in (
        "--seeds SEEDS [SEEDS ...] of the runs",
        "--iters ITERS iterations of QAT",
        "(default: benchmarks/plans/camvid/",
    ):
        assert words in text
    assert quantising.ROOT not in text
