"""What a training refuses: each mistake with its message on stderr and exit status 2, no traceback."""

import os
import shutil

import numpy as np
import paddle
import pytest
import tiny
from refusal import refused

from paddleseg.weights.load import read_weights


def test_nothing_is_refused_where_nothing_is_wrong(distill, train, tmp_path):
    assert distill(features=[tiny.feature(0), tiny.feature(1, "L1Loss")])[0] == 0
    assert train("--device", "cpu")[0] == 0
    assert (tmp_path / "out" / "best_model" / "model.pdparams").is_file()


def test_all_mistakes_of_a_config_at_once(train):
    result = train(
        iterz=3,
        optimizer={"type": "SDG"},
        loss={"types": [{"type": "KLLoss"}], "coef": [1, "x"]},
        lr_scheduler={"type": "PolynomialDecay"},
    )
    refused(
        result,
        "problems in the config",
        "iterz: unknown key 'iterz'; did you mean 'iters'?",
        "optimizer.type: unknown optimizer 'SDG'; did you mean 'SGD'?",
        "loss.types.0.type: KLLoss compares the student with the teacher",
        "loss.coef.1: must be a number of 0 or above, not 'x'",
        "lr_scheduler: the key 'learning_rate' of PolynomialDecay is missing",
    )


def test_a_gpu_that_is_not_there(train):
    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count():
        pytest.skip("there is a GPU")
    refused(train("--device", "gpu"), "device gpu", "use device cpu or auto")


def test_evaluation_with_nothing_to_evaluate_on(train):
    refused(train("--do_eval", val_dataset=None), "the key 'val_dataset' is missing")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--do_eval", "--no_eval"], "do_eval and no_eval exclude each other"),
        (["--iters", "-3"], "--iters: must be a whole number above 0, not -3"),
        (["--save_interval", "0"], "--save_interval: must be a whole number above 0, not 0"),
        (["--device", "tpu"], "invalid choice"),
        (["--no_such_flag"], "unrecognized arguments: --no_such_flag"),
        (["--opts", "iters"], "option opts: iters: write it as key.path=value"),
        (["--resume_model", "nowhere"], "resume_model nowhere: there is no such folder"),
    ],
)
def test_flags_that_cannot_act(train, flags, told):
    refused(train(*flags), told)


def test_a_data_set_that_is_not_there(train):
    dataset = {"type": "OpticDiscSeg", "dataset_root": "no/such/folder", "transforms": []}
    refused(train(train_dataset=dataset), "no/such/folder", "tools/make_optic_disc.py --out no/such/folder")


def test_weights_of_another_model(train, tmp_path):
    path = tiny.save_weights(tmp_path / "w.pdparams", tiny.TinyNet(width=5, outputs=2))
    result = train(model={"type": "TinyNet", "num_classes": 2, "pretrained": path})
    refused(result, "unexpected keys: heads.1.weight, heads.1.bias", "wrongly shaped keys: body.0.weight")


def test_a_label_outside_the_classes(train, tmp_path, root):
    import cv2
    import numpy as np

    mask = os.path.join(root, "Annotations", "odd.png")
    cv2.imwrite(mask, np.full((tiny.SIZE, tiny.SIZE), 7, "uint8"))
    path = tmp_path / "list.txt"
    path.write_text("JPEGImages/train_0.jpg Annotations/odd.png\n" * 4, encoding="utf-8")
    dataset = {"type": "Dataset", "dataset_root": root, "train_path": str(path), "transforms": []}
    for workers in ("0", "1"):
        result = train("--num_workers", workers, train_dataset={**dataset, "num_classes": 2})
        refused(result, "odd.png", "7")


@pytest.fixture
def damaged(root, tmp_path):
    """The section of a training set of which the second image is cut off and the last is missing."""
    folder = tmp_path / "damaged"
    shutil.copytree(root, folder)
    with open(folder / "JPEGImages" / "train_1.jpg", "r+b") as file:
        file.truncate(600)
    return {"type": "OpticDiscSeg", "dataset_root": str(folder), "transforms": []}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_damaged_image(train, distill, damaged, workers, tmp_path):
    flags = "--num_workers", workers, "--iters", "4", "--batch_size", "4"
    refused(train(*flags, train_dataset=damaged), "train_1.jpg", "cut off", "max_bad_samples N would replace")
    weights = []
    for out in ("one", "two"):
        flags = (*flags, "--max_bad_samples", "1", "--save_dir", tmp_path / out)
        assert train(*flags, train_dataset=damaged)[0] == 0
        weights.append(read_weights(tmp_path / out / "iter_4"))
        flags = "--num_workers", "0", "--iters", "4", "--batch_size", "4"
    # Without workers, the second time, the same takes its place.
    assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_files_that_are_missing(train, damaged, tmp_path):
    os.remove(os.path.join(damaged["dataset_root"], "Annotations", "train_7.png"))
    refused(train(train_dataset=damaged), "train_dataset: 1 of 8 samples lack a file", "train_7.png")
    refused(train("--max_bad_samples", "1", "--iters", "4", train_dataset=damaged), "than max_bad_samples 1")
    assert train("--max_bad_samples", "2", "--iters", "4", train_dataset=damaged)[0] == 0


def test_a_config_that_is_not_there(command):
    refused(command("val.py", "--config", "no_such.yml"), "there is no config file no_such.yml")


def test_images_of_different_sizes(train, tmp_path, root):
    import cv2
    import numpy as np

    for folder, value in (("JPEGImages/wide.jpg", 9), ("Annotations/wide.png", 0)):
        cv2.imwrite(os.path.join(root, folder), np.full((tiny.SIZE, 40), value, "uint8"))
    path = tmp_path / "list.txt"
    pairs = "JPEGImages/train_0.jpg Annotations/train_0.png\nJPEGImages/wide.jpg Annotations/wide.png\n"
    path.write_text(2 * pairs, encoding="utf-8")
    dataset = {"type": "Dataset", "dataset_root": root, "train_path": str(path), "transforms": []}
    for workers in ("0", "1"):
        result = train("--num_workers", workers, train_dataset={**dataset, "num_classes": 2})
        refused(result, "different shapes", "Resize or RandomPaddingCrop")


def test_a_folder_that_cannot_be_written(train, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(train("--save_dir", tmp_path / "file"), "save_dir", "cannot be made")
    refused(train("--save_dir", ""), "save_dir ''", "cannot be made")


def test_a_checkpoint_of_another_optimizer(train, tmp_path):
    assert train("--device", "cpu", "--iters", "2")[0] == 0
    flags = "--resume_model", tmp_path / "out" / "iter_2"
    result = train(*flags, optimizer={"type": "AdamW"})
    refused(result, "settings that change the result differ: ", "optimizer.type: SGD then, AdamW now")
    result = train(*flags, "--resume_anyway", optimizer={"type": "AdamW"})
    refused(result, "the checkpoint was trained with Momentum, and the config names AdamW")


def test_what_plain_training_does_not_read_is_no_part_of_it(train, tmp_path):
    losses = {"types": [{"type": "KLLoss"}], "coef": [3]}
    assert train("--device", "cpu", "--iters", "2", distill_loss=losses)[0] == 0
    losses = {"types": [{"type": "KLLoss"}], "coef": [1]}
    flags = "--resume_model", tmp_path / "out" / "iter_2", "--device", "cpu", "--iters", "2"
    refused(train(*flags, distill_loss=losses), "is at iteration 2 of 2 already")


def test_a_dataset_that_says_no_number_of_classes(train):
    model = {"type": "TutorialModel"}
    digits = {"type": "Digits"}
    result = train(train_dataset=digits, val_dataset=digits, model=model, imports=["tiny", "tutorial_model"])
    refused(result, "val_dataset: the number of classes is stated nowhere", "no_eval")


@pytest.mark.parametrize("text", ["def (", "from paddleseg import no_such_name"])
def test_a_module_of_ones_own_that_cannot_be_imported(train, tmp_path, text):
    (tmp_path / "broken_module.py").write_text(text, encoding="utf-8")
    refused(train(imports=["tiny", "broken_module"]), "1 problem", "'broken_module' cannot be imported")


def test_a_seed_that_is_too_large(train):
    refused(train("--seed", "9" * 20), "must be a whole number from 0 to 4294967295")
