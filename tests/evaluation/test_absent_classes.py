"""Classes that no pixel of the truth has."""

import cv2
import numpy as np
import pytest
import tiny

from paddleseg.evaluation.metrics import compute_scores


def test_the_scores_name_the_classes_without_truth():
    assert compute_scores(np.diag([5, 0, 2])).absent == (1,)
    assert compute_scores([[5, 1], [0, 2]]).absent == ()
    assert compute_scores([[5, 1], [0, 0]]).absent == (1,)


@pytest.fixture
def root(tmp_path):
    return tiny.write_optic_disc(tmp_path / "data")


def three_classes(tmp_path, root, **keys):
    sections = {
        f"{mode}_dataset": {
            "type": "Dataset",
            "dataset_root": root,
            f"{mode}_path": f"{root}/{mode}_list.txt",
            "num_classes": 3,
            "class_names": ["ground", "disc", "cup"],
            "transforms": [{"type": "Normalize"}],
            **keys,
        }
        for mode in ("train", "val")
    }
    model = {"type": "TinyNet", "num_classes": 3}
    return tiny.write_yaml(tmp_path / "c.yml", tiny.config(root, model, distill=False, **sections))


def test_they_are_named_once_in_a_training(tmp_path, root, capsys):
    config = three_classes(tmp_path, root)
    tiny.train(config, save_dir=str(tmp_path / "run"), save_interval=2, iters=4)
    out = capsys.readouterr().out
    assert out.count("[EVAL] #Images") == 2
    assert out.count("[EVAL] val_dataset has no pixel of class 2 cup: an IoU of 0 in the mIoU") == 1
    assert out.count("has no pixel of class") == 1


def test_an_evaluation_names_them_and_a_class_that_is_ignored_as_such(tmp_path, root, capsys):
    config = three_classes(tmp_path, root)
    tiny.train(config, save_dir=str(tmp_path / "run"), iters=2, no_eval=True)
    weights = str(tmp_path / "run" / "iter_2" / "model.pdparams")
    tiny.evaluate(config, weights)
    assert "val_dataset has no pixel of class 2 cup" in capsys.readouterr().out
    tiny.evaluate(three_classes(tmp_path, root, ignore_index=2), weights)
    out = capsys.readouterr().out
    assert "has no pixel of" not in out
    assert out.count("[EVAL] val_dataset ignores class 2 cup: an IoU of 0 in the mIoU") == 1
    for name in ("val_0", "val_1"):
        mask = cv2.imread(f"{root}/Annotations/{name}.png", cv2.IMREAD_UNCHANGED)
        mask[0] = 2
        cv2.imwrite(f"{root}/Annotations/{name}.png", mask)
    tiny.evaluate(config, weights)
    assert "has no pixel of" not in capsys.readouterr().out
