"""`paddleseg.core` of Python objects: PaddleSeg's functions, as its API documentation calls them."""

import inspect
import os

import cv2
import numpy as np
import paddle
import pytest
import tiny

import paddleseg.transforms as T
from paddleseg import core
from paddleseg.core import distill, evaluate, predict, train
from paddleseg.datasets import OpticDiscSeg
from paddleseg.distill import Feature
from paddleseg.errors import UserError
from paddleseg.losses import CrossEntropyLoss, SegChannelwiseLoss

# Parameters and defaults of the released PaddleSeg 2.8.0.
RELEASED = {
    "train": "model, train_dataset, val_dataset=None, optimizer=None, save_dir='output', iters=10000, "
    "batch_size=2, resume_model=None, save_interval=1000, log_iters=10, num_workers=0, use_vdl=False, "
    "use_ema=False, losses=None, keep_checkpoint_max=5, test_config=None, precision='fp32', amp_level='O1', "
    "profiler_options=None, to_static_training=False",
    "evaluate": "model, eval_dataset, aug_eval=False, scales=1.0, flip_horizontal=False, "
    "flip_vertical=False, is_slide=False, stride=None, crop_size=None, precision='fp32', amp_level='O1', "
    "num_workers=0, print_detail=True, auc_roc=False",
    "predict": "model, model_path, transforms, image_list, image_dir=None, save_dir='output', "
    "aug_pred=False, scales=1.0, flip_horizontal=True, flip_vertical=False, is_slide=False, stride=None, "
    "crop_size=None, custom_color=None",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


def dataset(root, mode="train"):
    return OpticDiscSeg(dataset_root=root, transforms=[T.Normalize()], mode=mode)


def momentum(model):
    rate = paddle.optimizer.lr.PolynomialDecay(0.05, power=0.9, decay_steps=4, end_lr=0)
    return paddle.optimizer.Momentum(rate, parameters=model.parameters(), momentum=0.9, weight_decay=4.0e-5)


@pytest.mark.parametrize("name", RELEASED)
def test_parameters_and_defaults_are_those_of_paddleseg(name):
    parameters = list(inspect.signature(getattr(core, name)).parameters.values())
    own = [str(p) for p in parameters if p.kind is not p.VAR_KEYWORD]
    assert ", ".join(own) == RELEASED[name]


def test_a_model_is_trained_evaluated_and_predicts_as_the_documentation_shows(tmp_path, root, lines):
    paddle.seed(1)
    model = tiny.TinyNet(outputs=2)
    losses = {"types": [CrossEntropyLoss()] * 2, "coef": [1, 0.4]}
    save_dir, train_dataset, val_dataset = str(tmp_path / "run"), dataset(root), dataset(root, "val")
    best = train(
        model=model,
        train_dataset=train_dataset,
        val_dataset=val_dataset,
        optimizer=momentum(model),
        save_dir=save_dir,
        iters=4,
        batch_size=4,
        save_interval=2,
        log_iters=2,
        num_workers=0,
        losses=losses,
        use_vdl=True,
    )
    assert [name for name in sorted(os.listdir(save_dir)) if not name.startswith("vdl")] == [
        "best_model",
        "history.jsonl",
        "iter_2",
        "iter_4",
        "run.yml",
    ]
    weights = os.path.join(save_dir, "best_model", "model.pdparams")
    model = tiny.TinyNet(outputs=2)
    model.set_dict(paddle.load(weights))
    miou, acc, class_iou, class_precision, kappa = evaluate(model, val_dataset)
    assert miou == pytest.approx(best["best_miou"], abs=1e-12)
    assert list(class_iou) == pytest.approx(best["best_class_iou"], abs=1e-12)
    assert 0 <= acc <= 1
    assert len(class_precision) == 2
    assert -1 <= kappa <= 1
    image_dir = os.path.join(root, "JPEGImages")
    images = [os.path.join(image_dir, name) for name in sorted(os.listdir(image_dir))[:2]]
    transforms = T.Compose([T.Resize(target_size=(16, 16)), T.RandomHorizontalFlip(), T.Normalize()])
    results = str(tmp_path / "results")
    predict(tiny.TinyNet(outputs=2), weights, transforms, images, image_dir, results)
    assert any("RandomHorizontalFlip would move the masks away from the images" in line for line in lines)
    names = [os.path.basename(path) for path in images]
    assert sorted(os.listdir(os.path.join(results, "added_prediction"))) == names
    masks = [os.path.splitext(name)[0] + ".png" for name in names]
    assert sorted(os.listdir(os.path.join(results, "pseudo_color_prediction"))) == masks
    mask = cv2.imread(os.path.join(results, "pseudo_color_prediction", masks[0]))
    assert mask.shape == cv2.imread(images[0]).shape


def test_an_evaluation_takes_paddlesegs_ways_of_inference(root, lines):
    paddle.seed(1)
    model, data = tiny.TinyNet(), dataset(root, "val")
    model.train()
    plain = evaluate(model, data, print_detail=False)
    assert model.training
    assert lines == []
    # Without their switch, these have no effect, as in PaddleSeg.
    assert evaluate(model, data, flip_horizontal=True, scales=[0.5, 1.0], print_detail=False)[0] == plain[0]
    augmented = evaluate(model, data, aug_eval=True, scales=[0.5, 1.0], flip_horizontal=True, auc_roc=True)
    assert augmented[0] != plain[0]
    assert any("Auc_roc" in line for line in lines)
    windows = evaluate(model, data, is_slide=True, crop_size=[8, 8], stride=(8, 8), precision="fp16")
    assert windows[0] != plain[0]
    assert any("evaluations compute in float32" in line for line in lines)
    with pytest.raises(UserError, match="is_slide needs crop_size"):
        evaluate(model, data, is_slide=True)


def test_training_by_python_and_by_a_config_give_the_same_weights(tmp_path, root, lines):
    paddle.seed(0)
    dic = tiny.config(root, distill=False)
    dic["train_dataset"]["transforms"] = [{"type": "Normalize"}]
    dic["optimizer"]["weight_decay"] = 4.0e-5
    path = tiny.write_yaml(tmp_path / "c.yml", dic)
    tiny.train(config=path, save_dir=str(tmp_path / "config"), conv_engine="paddle")
    paddle.seed(0)
    model = tiny.TinyNet()
    options = {"save_interval": 2, "log_style": "plain", "batch_size": 4, "iters": 4}
    losses = {"types": ["CrossEntropyLoss"], "coef": [1]}
    train(model, dataset(root), None, momentum(model), str(tmp_path / "python"), losses=losses, **options)
    one, other = (
        tiny.flat_arrays(str(tmp_path / f"{n}/iter_4/model.pdparams")) for n in ("config", "python")
    )
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_a_student_is_distilled_with_the_parameters_of_distill_train(tmp_path, root, lines):
    paddle.seed(3)
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    result = distill(
        student,
        teacher,
        dataset(root),
        dataset(root, "val"),
        momentum(student),
        str(tmp_path),
        iters=2,
        batch_size=4,
        save_interval=2,
        log_iters=1,
        losses={"types": [CrossEntropyLoss()], "coef": [1]},
        distill_losses={"types": [SegChannelwiseLoss()], "coef": [3]},
        features=[Feature("body", "body", "L2Loss")],
        seed=3,
    )
    assert result["best_iter"] == 2
    line = next(line for line in lines if line.startswith("[TRAIN]"))
    assert all(f"{name}: " in line for name in ("CrossEntropyLoss", "SegChannelwiseLoss", "body_L2Loss"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": None}, "losses is missing"),
        ({"optimizer": None}, "optimizer is missing"),
        ({"profiler_options": "batch_range=[1,2]"}, "profile=N times N iterations here"),
        ({"losses": {"types": [CrossEntropyLoss()] * 3, "coef": [1, 1]}}, "losses: 2 coef for 3 types"),
        (
            {"losses": {"types": [CrossEntropyLoss()] * 3, "coef": [1]}},
            "the model has 1 output and .* 3 losses",
        ),
        ({"losses": {"types": ["KLLoss"], "coef": [1]}}, "losses.types.0: KLLoss compares .* the teacher"),
        ({"amp_level": "O2"}, "amp_level O2: it says how much is computed in 16 bits"),
        ({"sed": 3}, "train takes no 'sed'; did you mean 'seed'"),
        ({"iters": "many"}, "iters must be a whole number above 0, not 'many'"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, root, change, message, lines):
    model = tiny.TinyNet()
    losses = {"types": [CrossEntropyLoss()], "coef": [1]}
    arguments = {
        "optimizer": momentum(model),
        "losses": losses,
        "iters": 1,
        "save_dir": str(tmp_path),
        **change,
    }
    with pytest.raises(UserError, match=message):
        train(model, dataset(root), **arguments)


def test_images_and_transforms_of_another_form_are_refused(tmp_path, root):
    model = tiny.TinyNet()
    with pytest.raises(UserError, match="transforms must be a Compose or a list"):
        predict(model, None, "Normalize", [f"{root}/JPEGImages"], save_dir=str(tmp_path))
    with pytest.raises(UserError, match="is not in image_dir"):
        predict(model, None, [T.Normalize()], ["elsewhere/a.jpg"], root, str(tmp_path))
    with pytest.raises(UserError, match="there is no image, folder or list nowhere.jpg"):
        predict(model, None, [T.Normalize()], "nowhere.jpg", save_dir=str(tmp_path))


def test_what_is_no_map_style_data_set_is_refused(root):
    loader = paddle.io.DataLoader(dataset(root), batch_size=2)
    with pytest.raises(
        UserError, match="train_dataset must be a data set with __len__ and .*, not DataLoader"
    ):
        train(
            tiny.TinyNet(), loader, optimizer=momentum(tiny.TinyNet()), losses={"types": ["x"], "coef": [1]}
        )
    with pytest.raises(UserError, match="eval_dataset must be .* not generator"):
        evaluate(tiny.TinyNet(), (batch for batch in loader))


def test_a_data_set_without_a_number_of_classes_cannot_be_scored(root):
    class Bare(paddle.io.Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.zeros((3, 8, 8), "float32"), np.zeros((8, 8), "int64")

    with pytest.raises(
        UserError, match="number of classes is stated nowhere; add num_classes .* to the data set"
    ):
        evaluate(tiny.TinyNet(), Bare())


class SecondHeadInTraining(tiny.TinyNet):
    def forward(self, x):
        return super().forward(x)[: 2 if self.training else 1]


def test_a_dry_run_sees_the_model_as_a_training_does(tmp_path, root, lines):
    model = SecondHeadInTraining(outputs=2)
    model.eval()
    losses = {"types": [CrossEntropyLoss()] * 2, "coef": [1, 0.4]}
    train(model, dataset(root), None, momentum(model), str(tmp_path), 4, losses=losses, dry_run=True)
    assert any("dry run: the training can begin" in line for line in lines)
