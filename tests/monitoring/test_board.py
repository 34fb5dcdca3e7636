"""What VisualDL's own reader finds in a log."""

import os

import cv2
import numpy as np
import pytest
import tiny

from paddleseg.evaluation.metrics import compute_scores
from paddleseg.monitoring.board import Board

FIGURES = {
    "losses": {"loss": 2.0, "KLLoss": 0.5},
    "lr": 0.1,
    "batch_cost": 1.0,
    "reader_cost": 0.1,
    "ips": 8.0,
}
LOG = "vdlrecords.1700000000.log"
OTHER_LOG = "vdlrecords.1700000001.log"


def reader(folder):
    from visualdl import LogReader

    (file,) = (name for name in os.listdir(folder) if "vdlrecords" in name)
    return LogReader(file_path=os.path.join(folder, file))


def test_visualdl_reads_back_the_figures(tmp_path):
    with Board(str(tmp_path)) as board:
        board.add_training({**FIGURES, "iteration": 7})
        result = compute_scores(np.array([[8, 2], [1, 9]]))
        board.add_evaluation(result, 7)
    log = reader(tmp_path)
    tags = set(log.get_tags()["scalar"])
    assert {f"Train/{t}" for t in ("loss", "KLLoss", "lr", "batch_cost", "reader_cost", "ips")} <= tags
    (point,) = log.get_data("scalar", "Evaluate/mIoU")
    assert (point.id, point.value) == (7, pytest.approx(result.miou))
    (point,) = log.get_data("scalar", "Train/KLLoss")
    assert point.value == pytest.approx(0.5)
    assert "Evaluate/IoU/class_1" in tags


def test_a_class_with_a_name_has_it_in_its_tag(tmp_path):
    with Board(str(tmp_path), class_names=("road", "traffic sign")) as board:
        board.add_evaluation(compute_scores(np.diag([1, 2, 3])), 7)
    tags = {f"Evaluate/IoU/class_{label}" for label in ("0_road", "1_traffic_sign", "2")}
    assert tags <= set(tiny.curves(str(tmp_path)))


def draw(folder, iterations, position=None):
    """Write a curve; return the position after its first half."""
    with Board(str(folder), position) as board:
        for iteration in iterations:
            if iteration == iterations[len(iterations) // 2]:
                half = board.position()
            board.add_training({**FIGURES, "iteration": iteration})
    return half


def steps(folder):
    return [step for step, _ in tiny.curves(str(folder))["Train/loss"]]


def test_curves_continue_in_the_same_log_from_the_position(tmp_path):
    half = draw(tmp_path, range(1, 9))
    draw(tmp_path, range(5, 8), half)
    assert len(list(tmp_path.iterdir())) == 1
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_continued_log_keeps_the_names_of_its_classes(tmp_path, lines):
    def evaluate(iteration, names, position):
        with Board(str(tmp_path), position, class_names=names) as board:
            board.add_evaluation(compute_scores(np.diag([1, 2])), iteration)
            return board.position()

    position = evaluate(1, ("road", "pole"), None)
    position = evaluate(2, ("road", "pole"), position)
    assert lines == []
    position = evaluate(3, ("street", "pole"), position)
    assert lines == [
        f"the curves of the classes in {position['file']} keep their old names: ('road', 'pole')"
    ]
    curves = tiny.curves(tmp_path)
    assert [iteration for iteration, _ in curves["Evaluate/IoU/class_0_road"]] == [1, 2, 3]
    evaluate(4, ("street", "pole"), {**position, "file": "vdlrecords.1.log"})
    assert len(lines) == 1
    assert len(list(tmp_path.iterdir())) == 2
    assert "Evaluate/IoU/class_0_street" in tiny.curves(tmp_path)


@pytest.mark.parametrize("given", [None, 5, "abc", [1]])
def test_class_names_that_are_no_texts_are_left_out(tmp_path, given):
    with Board(str(tmp_path), class_names=("road", "pole")) as board:
        position = board.position()
    with Board(str(tmp_path), {**position, "class_names": given}, class_names=("road", "pole")) as board:
        again = board.position()
    assert (again["file"], again["class_names"]) == (position["file"], [])


def test_a_new_run_begins_a_new_log_which_is_shown(tmp_path):
    draw(tmp_path, range(1, 9))
    draw(tmp_path, range(1, 3))
    assert len(list(tmp_path.iterdir())) == 2
    assert steps(tmp_path) == [1, 2]


@pytest.mark.parametrize("position", [{"file": "vdlrecords.1.log", "bytes": 3}, None])
def test_a_missing_log_is_begun(tmp_path, position):
    draw(tmp_path, range(1, 3), position)
    assert steps(tmp_path) == [1, 2]


@pytest.mark.parametrize(
    "position",
    [
        {"file": "../secret", "bytes": 0},
        {"file": f"../{LOG}", "bytes": 0},
        {"file": "{outside}", "bytes": 0},
        {"file": f"{LOG}\n", "bytes": 0},
        {"file": "link", "bytes": 0},
        {"file": LOG, "bytes": 0},  # a link
        {"file": OTHER_LOG, "bytes": -1},
        {"file": OTHER_LOG, "bytes": 100},
        {"file": OTHER_LOG, "bytes": True},
        {"file": OTHER_LOG, "bytes": "0"},
        {"file": OTHER_LOG},
        {"file": 3, "bytes": 0},
        {},
        [],
        OTHER_LOG,
    ],
)
def test_a_position_that_no_run_wrote_cuts_nothing_off(tmp_path, position):
    run = tmp_path / "run"
    run.mkdir()
    files = [tmp_path / "secret", tmp_path / LOG, run / OTHER_LOG]
    for file in files:
        file.write_bytes(b"0123456789")
    for link in (LOG, "link"):
        os.symlink(tmp_path / "secret", run / link)
    if isinstance(position, dict) and position.get("file") == "{outside}":
        position = {**position, "file": str(tmp_path / "secret")}
    draw(run, range(1, 3), position)
    assert [file.read_bytes() for file in files] == [b"0123456789"] * 3
    assert len(list(run.iterdir())) == 4


def test_auc_boundary_iou_and_the_moving_average_have_their_own_curves(tmp_path):
    half = np.array([[[4, 0], [0, 4]], [[4, 0], [0, 4]]])
    result = compute_scores(np.array([[8, 2], [1, 9]]), half, np.array([[1, 2], [3, 4]]))
    with Board(str(tmp_path)) as board:
        board.add_evaluation(result, 3)
        board.add_evaluation(compute_scores(np.array([[8, 0], [0, 9]])), 3, ema=True)
    curves = {tag: points for tag, points in tiny.curves(tmp_path).items() if "oundary" in tag or "uc" in tag}
    assert curves == {
        "Evaluate/Auc_roc": [(3, pytest.approx(result.auc_roc))],
        "Evaluate/Boundary_mIoU": [(3, pytest.approx(0.625))],
        "Evaluate/Boundary_IoU/class_0": [(3, 0.5)],
        "Evaluate/Boundary_IoU/class_1": [(3, 0.75)],
    }
    assert tiny.curves(tmp_path)["Evaluate/Ema_mIoU"] == [(3, 1.0)]
    assert tiny.curves(tmp_path)["Evaluate/Ema_IoU/class_1"] == [(3, 1.0)]


def test_memory_has_a_curve(tmp_path):
    with Board(str(tmp_path)) as board:
        board.add_training({**FIGURES, "iteration": 2})
    (point,) = reader(tmp_path).get_data("scalar", "Train/host_memory_MB")
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    assert point.value == pytest.approx(peak, rel=0.05)


def test_a_log_that_is_continued_has_its_hyperparameters_once(tmp_path):
    hparams = {"lr": 0.1, "iters": 9, "use_ema": True, "model.type": "FCN", "clip": None}
    position = None
    for iteration in (1, 2):
        with Board(str(tmp_path), position, hparams, ["Train/loss"]) as board:
            board.add_training({**FIGURES, "iteration": iteration})
            position = board.position()
    (record,) = reader(tmp_path).get_data("hyper_parameters", "hparam")
    shown = {item.name: getattr(item, item.WhichOneof("type")) for item in record.hparam.hparamInfos}
    assert shown == {"lr": 0.1, "iters": 9, "use_ema": "True", "model/type": "FCN", "clip": "None"}
    assert [item.name for item in record.hparam.metricInfos] == ["Train/loss"]


def test_pictures_keep_their_colours_and_a_resumed_run_continues_them(tmp_path, capsys):
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 200
    with Board(str(tmp_path)) as board:
        board.add_pictures({"0_a": blue}, 1)
        position = board.position()
        board.add_pictures({"0_a": blue}, 2)
    with Board(str(tmp_path), position) as board:
        board.add_pictures({"0_a": blue[:2]}, 2)
    records = reader(tmp_path).get_data("image", "Validation/0_a")
    shown = [
        cv2.imdecode(np.frombuffer(record.image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
        for record in records
    ]
    assert [record.id for record in records] == [1, 2]
    np.testing.assert_array_equal(shown[0], blue)
    np.testing.assert_array_equal(shown[1], blue[:2])
    assert capsys.readouterr() == ("", "")
