"""What the commands refuse: each mistake with its message on stderr and exit status 2, no traceback."""

import os
import shutil

import distilling
import numpy as np
import paddle
import pytest
import tiny

from paddleseg.utils.weights import read_weights

UNLABELED = {"type": "UnlabeledImages", "dataset_root": ".", "transforms": []}
LABELS_NEEDED = {"type": "MemoryLoss"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


def refused(result, *told):
    """Assert exit status 2, each text in the message, and no traceback."""
    status, error = result
    assert status == 2, error
    for text in told:
        assert text in error
    assert "Traceback" not in error


@pytest.fixture
def distill(tmp_path, root, command):
    """Distil a TinyNet under another; keywords replace parts of the set-up."""

    def run(
        *flags,
        student=None,
        teacher=None,
        features=None,
        opts=None,
        pretrained=True,
        changes=None,
        **distill_file,
    ):
        model = {"type": "TinyNet", "num_classes": 2, **(teacher or {})}
        if pretrained:
            arguments = {key: value for key, value in model.items() if key != "type"}
            path = tmp_path / "teacher.pdparams"
            model["pretrained"] = tiny.save_weights(path, tiny.TinyNet(**arguments))
        student = tiny.config(root, model={"type": "TinyNet", "num_classes": 2, **(student or {})})
        student = {**student, "imports": ["tiny", "distilling"], **(changes or {})}
        return command(
            "slim/distill/distill_train.py",
            "--teather_config",
            tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]}),
            "--student_config",
            tiny.write_yaml(tmp_path / "student.yml", student),
            "--distill_config",
            tiny.write_distill_file(tmp_path / "d.py", features or [], **distill_file),
            "--save_dir",
            tmp_path / "out",
            "--device",
            "cpu",
            *flags,
            *(["--opts", *opts] if opts else []),
        )

    return run


@pytest.fixture
def train(tmp_path, root, command):
    """Train a TinyNet; `changes` replace top-level keys of its config."""

    def run(*flags, **changes):
        dic = tiny.config(root, **changes)
        path = tiny.write_yaml(tmp_path / "c.yml", {k: v for k, v in dic.items() if v is not None})
        return command("train.py", "--config", path, "--save_dir", tmp_path / "out", *flags)

    return run


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
    refused(train("--device", "gpu"), "--device gpu", "use --device cpu or auto")


def test_evaluation_with_nothing_to_evaluate_on(train):
    refused(train("--do_eval", val_dataset=None), "the key 'val_dataset' is missing")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--do_eval", "--no_eval"], "not allowed with argument"),
        (["--iters", "-3"], "'-3' is not a whole number"),
        (["--save_interval", "0"], "must be above 0"),
        (["--device", "tpu"], "invalid choice"),
        (["--no_such_flag"], "unrecognized arguments: --no_such_flag"),
        (["--opts", "iters"], "--opts iters: write it as key.path=value"),
        (["--resume_model", "nowhere"], "no state.json there; name an iter_N folder of a run"),
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
    refused(train(*flags, train_dataset=damaged), "train_1.jpg", "cut off", "--max_bad_samples N goes on")
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
    refused(
        train("--max_bad_samples", "1", "--iters", "4", train_dataset=damaged), "than --max_bad_samples 1"
    )
    assert train("--max_bad_samples", "2", "--iters", "4", train_dataset=damaged)[0] == 0


def test_a_random_teacher(distill):
    refused(distill(pretrained=False), "model.pretrained is empty", "--allow_random_teacher")


def test_a_layer_that_does_not_exist(distill):
    result = distill(features=[tiny.feature()], layer="boddy.0", teacher_layer="body.0")
    refused(result, "Student (student)", "no sublayer 'boddy.0'; did you mean 'body.0'")
    result = distill(features=[tiny.feature()], teacher_layer="boddy.0")
    refused(result, "Teacher (teacher)", "no sublayer 'boddy.0'; did you mean 'body.0'")


def test_a_tensor_that_does_not_exist(distill):
    refused(distill(tensor="mixd", teacher_tensor="mixed"), "leaves no 'mixd' on TinyNet", "'mixed'")


def test_a_feature_that_nobody_named(distill):
    refused(distill(features=[tiny.feature(4)]), "asks for the student's 'hidden_4'")


def test_features_of_different_shapes(distill):
    result = distill(teacher={"width": 6}, features=[tiny.feature()])
    refused(result, "student's hidden_0 has shape [2, 4, 32, 32]", "teacher's hidden_0 [2, 6, 32, 32]")


def test_a_loss_for_an_output_that_the_student_lacks(distill):
    result = distill(teacher={"outputs": 2}, opts=["distill_loss.coef=[3, 1]"])
    refused(result, "student and teacher share 1 output(s) and the config 2 loss(es)")


def test_another_number_of_classes(distill):
    refused(distill(teacher={"num_classes": 3}), "the student has 2 classes and the teacher's 3")


def test_a_loss_that_does_not_exist(distill):
    result = distill(features=[tiny.feature(loss_function="L3Loss")])
    refused(result, "unknown loss 'L3Loss'", "'L1Loss'")


@pytest.mark.parametrize(
    ("loss", "told"), [("DMLLoss", "raw features, which is NaN"), ("CELoss", "softmax over the width")]
)
def test_a_loss_that_cannot_work_on_features(distill, loss, told):
    refused(distill(features=[tiny.feature(loss_function=loss)]), told)


def test_a_distill_config_that_is_not_there(distill):
    refused(distill("--distill_config", "no_such.py"), "there is no file no_such.py")


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
    refused(train("--save_dir", tmp_path / "file"), "--save_dir", "cannot be made")
    refused(train("--save_dir", ""), "--save_dir ''", "cannot be made")


def test_a_checkpoint_of_another_optimizer(train, tmp_path):
    assert train("--device", "cpu", "--iters", "2")[0] == 0
    flags = "--resume_model", tmp_path / "out" / "iter_2"
    result = train(*flags, optimizer={"type": "AdamW"})
    refused(result, "what decides the outcome has changed: ", "optimizer.type: SGD then, AdamW now")
    result = train(*flags, "--resume_anyway", optimizer={"type": "AdamW"})
    refused(result, "it was trained with Momentum, the config says AdamW")


def test_a_dataset_that_says_no_number_of_classes(train):
    model = {"type": "Model"}
    digits = {"type": "Digits"}
    result = train(train_dataset=digits, val_dataset=digits, model=model, imports=["tiny", "tutorial_model"])
    refused(result, "val_dataset: the number of classes is said nowhere", "--no_eval")


def test_mistakes_in_the_users_own_file(distill, tmp_path):
    result = distill(tensor="logit_list[3]", teacher_tensor="mixed")
    refused(result, "Student (student)", "IndexError: list index out of range", "d.py")
    result = distill(tensor="body[1].featur", teacher_tensor="mixed")
    refused(result, "leaves no 'featur' on BatchNorm2D")


@pytest.mark.parametrize("text", ["def (", "from paddleseg import no_such_name"])
def test_a_module_of_ones_own_that_cannot_be_imported(train, tmp_path, text):
    (tmp_path / "broken_module.py").write_text(text, encoding="utf-8")
    refused(train(imports=["tiny", "broken_module"]), "1 problem", "'broken_module' cannot be imported")


def test_a_loss_on_relations_between_samples_needs_some(distill):
    result = distill("--batch_size", "2", features=[tiny.feature(loss_function="RKDLoss")])
    refused(result, "is 0 for fewer than three; batch_size is 2")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"distill": {"features": [distilling.feature(loss="RKDLoss")]}, "batch_size": 2},
            ": distill.features.0.loss: body.0_RKDLoss compares the samples of a batch",
        ),
        (
            {"distill_loss": {"types": [{"type": "KLLoss"}] * 2, "coef": [1, 1]}},
            ": distill_loss: student and teacher share 1 output(s) and the config 2 loss(es) for them",
        ),
        (
            {"distill_loss": {"types": [{"type": "KLLoss", "temperature": 0}], "coef": [1]}},
            ": distill_loss.types.0: temperature must be a positive number, not 0",
        ),
        (
            {"unlabeled_dataset": UNLABELED, "distill": {"unlabeled_share": 1}, "distill_loss": None},
            ": distill.unlabeled_share: without labels, distill_loss and feature losses there is nothing",
        ),
        (
            {"distill": {"teacher_weighting": "confidence"}, "distill_loss": None},
            ": distill.teacher_weighting: confidence weighs logits, and without distill_loss none",
        ),
        (
            {"distill": {"features": [distilling.feature()]}, "distill_loss": None},
            "--teacher_config: nobody asks teacher 1: there is no distill_loss, and no entry of ",
        ),
    ],
)
def test_refusals_of_distillation_with_file_and_key(distill, tmp_path, changes, told):
    teachers = (
        [str(tmp_path / "teacher.yml")] * 2 if {"distill_loss": None}.items() <= changes.items() else []
    )
    result = distill(*(["--teacher_config", *teachers] if teachers else []), changes=changes)
    refused(result, "student.yml:", told)


def test_a_seed_that_is_too_large(train):
    refused(train("--seed", "9" * 20), "must be below 2**32")


@pytest.mark.parametrize(
    ("feature", "key", "told"),
    [
        ({"loss": {"type": "L3Loss"}}, "loss.type", "unknown loss 'L3Loss'; did you mean 'L"),
        ({"loss": {"type": "KLLoss", "temperature": -1}}, "loss", "temperature must be a positive number"),
        ({"loss": {"type": "L1Loss", "reduction": "some"}}, "loss", "L1Loss refuses {'reduction': 'some'}"),
        ({"student": "boddy.0"}, "student", "TinyNet has no sublayer 'boddy.0'; did you mean 'body.0'"),
        ({"teacher": {"input_of": "bod"}}, "teacher", "TinyNet has no sublayer 'bod'; did you mean 'body'"),
        (
            {"student": {"attr": "mixd"}},
            "student",
            "forward leaves no 'mixd' on TinyNet; did you mean 'mixed'",
        ),
        ({"teacher": {"attr": "logit_list", "index": 5}}, "teacher", "a list of 1 has no index 5"),
        ({"connector": {"type": "ConvBNReLU"}}, "connector.type", "unknown connector 'ConvBNReLU'"),
        ({"connector": {"type": "ConvConnector", "kernel_size": 2}}, "connector", "kernel_size must be odd"),
        ({"weight": -1}, "weight", "must be a number of 0 or above, not -1"),
        ({"schedule": {"start_iter": "x"}}, "schedule.start_iter", "must be a whole number of 0 or above"),
        ({"teacher_index": 1}, "teacher_index", "1, but the last of 1 teacher(s) is 0"),
    ],
)
def test_a_wrong_entry_of_distill_features(distill, feature, key, told):
    section = {"features": [{**distilling.feature(), **feature}]}
    refused(distill(changes={"distill": section}), "student.yml:", f": distill.features.0.{key}: {told}")


def test_features_of_different_channels_without_a_connector(distill):
    feature = distilling.feature("body.0", "SegChannelwiseLoss", connector="none")
    result = distill(teacher={"width": 6}, changes={"distill": {"features": [feature]}})
    shapes = "the student's body.0 has shape [2, 4, 32, 32], the teacher's body.0 [2, 6, 32, 32]"
    refused(result, "distill.features.0.loss", shapes, "choose two of equal shape, or `connector: auto`")


def test_a_loss_that_needs_labels_and_gets_none(distill):
    changes = {"unlabeled_dataset": UNLABELED, "distill": {"unlabeled_share": 1}}
    features = {**changes["distill"], "features": [distilling.feature(loss=LABELS_NEEDED)]}
    told = "MemoryLoss needs labels, and with unlabeled_share 1 none reach it"
    result = distill(changes={**changes, "distill": features})
    refused(result, "student.yml:", f"distill.features.0.loss.type: {told}")
    result = distill(changes={**changes, "distill_loss": {"types": [LABELS_NEEDED], "coef": [1]}})
    refused(result, "student.yml:", f"distill_loss.types.0.type: {told}")


def test_labels_that_are_no_maps(distill):
    """One class an image, which no loss can lay over a feature map."""
    dataset = {"type": "Digits"}
    changes = {
        "imports": ["tiny", "tutorial_model", "distilling"],
        "model": {"type": "Model"},
        "train_dataset": dataset,
        "val_dataset": dataset,
        "distill_loss": None,
        "num_classes": 10,
        "distill": {"features": [{"student": "conv1", "teacher": "body.0", "loss": LABELS_NEEDED}]},
    }
    names = {"layer": "conv1", "tensor": "reshape_out", "teacher_layer": "body.0", "teacher_tensor": "mixed"}
    result = distill("--no_eval", changes=changes, **names)
    refused(result, "distill.features.0.loss", "conv1_MemoryLoss", "needs labels")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"teacher_weighting": "best"}, "distill.teacher_weighting: must be mean or confidence, not 'best'"),
        (
            {"teacher_weighting": "confidence"},
            "confidence weighs teachers against one another, and there is one",
        ),
        ({"unlabeled_share": 0.5}, "distill.unlabeled_share: there is no unlabeled_dataset"),
        ({"feature": []}, "distill.feature: unknown key 'feature'; did you mean 'features'?"),
    ],
)
def test_a_wrong_distill_section(distill, section, told):
    refused(distill(changes={"distill": section}), "student.yml:", told)


def test_unlabelled_images_that_do_not_fit(distill, tmp_path):
    import cv2
    import numpy as np

    (tmp_path / "wide").mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / "wide" / f"{i}.png"), np.zeros((tiny.SIZE, 40, 3), "uint8"))
    dataset = {**UNLABELED, "dataset_root": str(tmp_path / "wide")}
    refused(distill(changes={"unlabeled_dataset": dataset}), "a batch has samples of different shapes, 'img'")
    refused(
        distill(changes={"unlabeled_dataset": {**UNLABELED, "dataset_root": "no"}}), "'no' is not a folder"
    )


def test_teachers_and_their_opts(distill, tmp_path):
    teachers = [str(tmp_path / "teacher.yml"), str(tmp_path / "teacher.yml")]
    opts = ["--teacher_opts", "model.num_classes=2"]
    refused(distill("--teacher_config", *teachers, *opts), "--teacher_opts is given 1 time(s) for 2 teachers")
    result = distill("--teacher_config", *teachers, *opts, "--teacher_opts", "model.pretrained=None")
    refused(result, "model.pretrained is empty")
