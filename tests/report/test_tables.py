"""The tables of the page, by hand."""

import os

import numpy as np
import pytest

from paddleseg.evaluation.verdict import verdict
from paddleseg.report.runs import comparisons, read_runs
from paddleseg.report.tables import class_scores, gains, share_of_gap, why_no_share


def test_the_share_by_hand():
    plain, teacher = [0.30, 0.32, 0.31], [0.41]
    assert share_of_gap([0.36, 0.37, 0.35], plain, teacher) == pytest.approx(0.5)
    assert share_of_gap([0.29], plain, teacher) == pytest.approx(-0.2)
    assert why_no_share(plain, teacher) is None


@pytest.mark.parametrize(
    ("plain", "teacher", "why"),
    [
        ([0.30, 0.32, 0.34], [0.33], "not better"),
        ([0.30, 0.32, 0.34], [0.35], "not better"),
        ([0.30], [0.50], "two seeds"),
        ([0.30, 0.32], [], "not known"),
        ([0.30, 0.32], None, "not known"),
        ([0.40, 0.41], [0.30], "not better"),
    ],
)
def test_there_is_no_share_of_a_gap_that_means_nothing(plain, teacher, why):
    assert share_of_gap([0.33], plain, teacher) is None
    assert why in why_no_share(plain, teacher)


def test_the_share_of_a_single_distilled_seed_says_so(made_up):
    teaching = {"role": "distill", "teachers": [{"config": {"model": {"type": "Big"}}, "weights": None}]}
    given = [made_up("big", "Big", miou=0.9), made_up("p0", miou=0.5), made_up("p1", miou=0.51, seed=1)]
    given.append(made_up("d0", miou=0.7, **teaching))
    rows = {row[0]: row for row in gains(comparisons(read_runs(given))).rows}
    assert rows["d0"][2:] == ["+0.1950", "49% (one seed)", "1"]
    given.append(made_up("d1", miou=0.7, **{**teaching, "seed": 1}))
    rows = {row[0]: row for row in gains(comparisons(read_runs(given))).rows}
    assert rows["d0, d1"][2:] == ["+0.1950", "49%", "2"]


def test_the_interval_of_a_gain_is_that_of_the_images_confusion_matrices(made_up):
    teaching = {"role": "distill", "teachers": [{"config": {"model": {"type": "Big"}}, "weights": None}]}
    given, matrices = [], {}
    rng = np.random.default_rng(0)
    for name, right, record in (("p", 60, {}), ("d", 80, teaching)):
        counts = rng.multinomial(100, [right / 200, 0.5 - right / 200] * 2, size=(2, 9))
        matrices[name] = counts.reshape(2, 9, 2, 2)
        matrices[name][..., 1, :] = matrices[name][..., 1, ::-1]
        for seed in (0, 1):
            folder = made_up(f"{name}{seed}", miou=right / 100, **{**record, "seed": seed})
            np.savez(os.path.join(folder, "confusions.npz"), matrices=matrices[name][seed])
            given.append(folder)
    expected = verdict(matrices["d"], matrices["p"])
    table = gains(comparisons(read_runs(given)))
    assert table.head[3] == "95 % interval"
    rows = {row[0]: row for row in table.rows}
    assert expected.word == "better"
    assert rows["d0, d1"][3] == f"{expected.low:+.4f} to {expected.high:+.4f}: better"
    assert rows["p0, p1"][3] == "–"
    longer = made_up("p2", miou=0.9, config={"iters": 99})
    np.savez(os.path.join(longer, "confusions.npz"), matrices=matrices["d"][0])
    assert "95 % interval" not in gains(comparisons(read_runs([*given, longer]))).head
    os.remove(os.path.join(given[0], "confusions.npz"))
    assert "95 % interval" not in gains(comparisons(read_runs(given))).head


def named(made_up, name, classes, section=None):
    """Make up a run whose data set has these classes."""
    section = section or {"type": "Dataset", "class_names": classes}
    iou = [0.25] * len(classes)
    evaluation = {"kind": "eval", "iteration": 9, "miou": 0.25, "class_iou": iou}
    return made_up(name, history=[evaluation], config={"val_dataset": section})


def test_the_table_of_classes_names_them(made_up):
    given = [named(made_up, name, ["background", "optic disc"], {"type": "OpticDiscSeg"}) for name in "ab"]
    given.append(named(made_up, "c", ["background", "optic disc"]))
    table = class_scores(read_runs(given))
    assert table.rows == [[label, *["0.2500"] * 3] for label in ("0 background", "1 optic disc")]
    assert table.notes == []


def test_the_iou_of_a_class_that_is_no_number_is_unknown(made_up):
    evaluation = {"kind": "eval", "iteration": 2, "miou": 0.5, "class_iou": [0.5, None]}
    table = class_scores(read_runs([made_up("a", history=[evaluation]), made_up("b", miou=0.25)]))
    assert table.rows == [["0", "0.5000", "0.2500"], ["1", "–", "0.2500"]]


def test_a_note_lists_the_runs_without_names_of_classes(made_up):
    given = [named(made_up, "b", "??", {"type": "NoSuchSet"}), named(made_up, "a", ["soil", "leaf"])]
    table = class_scores(read_runs(given))
    assert table.rows == [["0 soil", "0.2500", "0.2500"], ["1 leaf", "0.2500", "0.2500"]]
    assert table.notes == ["The names come from other runs: none are given in b."]
    table = class_scores(read_runs(given[:1]))
    assert [row[0] for row in table.rows] == ["0", "1"]
    assert table.notes == []


def test_a_class_that_runs_name_differently_has_only_its_number(made_up):
    given = [
        named(made_up, "a", ["background", "optic disc"], {"type": "OpticDiscSeg"}),
        named(made_up, "b", ["background", "cup"]),
        named(made_up, "c", ["background", "cup"]),
    ]
    table = class_scores(read_runs(given))
    assert [row[0] for row in table.rows] == ["0 background", "1"]
    assert table.notes == ["Class 1, by the names that the runs give: optic disc in a; cup in b, c."]


def test_data_sets_of_different_classes_share_no_name(made_up):
    given = [named(made_up, "a", ["sky", "road", "pole"]), named(made_up, "b", ["soil", "leaf"])]
    table = class_scores(read_runs(given))
    assert table.rows == [["0", "0.2500", "0.2500"], ["1", "0.2500", "0.2500"], ["2 pole", "0.2500", "–"]]
    assert table.notes == ["Classes 0, 1, by the names that the runs give: sky, road in a; soil, leaf in b."]


def of_val_datasets(made_up, **val_datasets):
    """Return the table of gains of a teacher and two seeds of students, by their `val_dataset`s."""
    teaching = {"role": "distill", "teachers": [{"config": {"model": {"type": "Big"}}, "weights": None}]}
    given = [made_up("big", "Big", miou=0.9, config={"val_dataset": val_datasets["teacher"]})]
    for name, miou, record in (("plain", 0.5, {}), ("distilled", 0.7, teaching)):
        for seed in (0, 1):
            config = {"val_dataset": val_datasets[name]}
            given.append(made_up(f"{name}{seed}", miou=miou + seed / 100, seed=seed, config=config, **record))
    return gains(comparisons(read_runs(given)))


def test_one_folder_in_two_spellings_has_the_same_images(made_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("data")
    roots = {"teacher": "link", "plain": str(tmp_path / "data"), "distilled": "data"}
    sections = {name: {"type": "Dataset", "dataset_root": root} for name, root in roots.items()}
    sections["distilled"]["class_names"] = ["sky", "road"]  # names change no image
    table = of_val_datasets(made_up, **sections)
    assert table.rows[-1][2:] == ["+0.2000", "51%", "2"]
    assert not table.notes


@pytest.mark.parametrize(("teacher", "distilled", "gain"), [("/b", "/a", "+0.2000"), ("/a", "/b", "–")])
def test_a_teacher_of_other_images_hides_the_share_alone(made_up, teacher, distilled, gain):
    roots = {"teacher": teacher, "plain": "/a", "distilled": distilled}
    sections = {name: {"type": "Dataset", "dataset_root": root} for name, root in roots.items()}
    table = of_val_datasets(made_up, **sections)
    assert table.rows[-1][2:] == [gain, "–", "2"]
    assert "the runs were not evaluated on the same images" in table.notes[0]
