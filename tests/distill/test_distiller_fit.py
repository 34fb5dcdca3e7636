"""`Distiller.fit`: all that the trainer can do, for layers and data sets of a script."""

import os
import signal

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import yaml
from test_distiller import Data, Net, distiller, fitted, sgd

from paddleseg.distill import Distiller, Feature
from paddleseg.errors import Stopped, UserError
from paddleseg.losses import KLLoss


def weights(folder, name="iter_6"):
    loaded = paddle.load(os.path.join(folder, name, "model.pdparams"), return_numpy=True)
    return {key: value for key, value in loaded.items() if key != "StructuredToParameterName@@"}


def assert_same(one, other):
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_a_resumed_training_ends_as_the_whole_one(tmp_path, lines):
    fitted(distiller(5), tmp_path / "whole", save_interval=3, use_ema=True)
    resume = str(tmp_path / "whole" / "iter_3")
    fitted(distiller(5), tmp_path / "rest", save_interval=3, use_ema=True, resume_model=resume)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "rest"))
    assert set(weights(tmp_path / "whole")) == set(Net().state_dict())
    assert os.path.isfile(tmp_path / "rest" / "iter_6" / "ema_model.pdparams")
    other = distiller(5, logits=[("SegChannelwiseLoss", 2)])
    with pytest.raises(UserError, match=r"distill_loss.coef.0: 3 then, 2 now"):
        fitted(other, tmp_path / "rest", resume_model=resume, save_interval=3, use_ema=True)


def test_it_evaluates_and_keeps_the_best_model(tmp_path, lines):
    made = distiller()
    result = made.fit(
        Data(), Data(), optimizer=sgd(made), iters=4, save_dir=str(tmp_path), save_interval=2, batch_size=4
    )
    assert result["best_iter"] in (2, 4)
    assert len(result["best_class_iou"]) == 3
    assert sum("#Images: 4 mIoU" in line for line in lines) == 2
    assert set(weights(tmp_path, "best_model")) == set(Net().state_dict())
    run = yaml.safe_load((tmp_path / "run.yml").read_text(encoding="utf-8"))
    assert run["role"] == "distill"
    assert run["config"]["distill_loss"]["types"][0]["type"] == "SegChannelwiseLoss"
    assert run["config"]["optimizer"] == {"type": "SGD", "learning_rate": pytest.approx(0.1)}


@pytest.mark.parametrize("weight", [3, "auto"])
def test_a_dry_run_changes_nothing(tmp_path, weight, lines):
    tried, other = (distiller(5, logits=[("SegChannelwiseLoss", weight)]) for _ in range(2))
    dry = {"optimizer": sgd(tried), "iters": 2, "save_dir": str(tmp_path / "dry"), "dry_run": True}
    assert tried.fit(Data(), **dry) == {}
    assert fitted(tried, tmp_path / "tried", iters=2) == fitted(other, tmp_path / "other", iters=2)


def test_a_schedule_of_the_learning_rate_advances_and_a_resume_continues_it(tmp_path, lines):
    def run(folder, **options):
        made = distiller()
        rate = paddle.optimizer.lr.PolynomialDecay(0.1, 6, end_lr=0.01)
        optimizer = paddle.optimizer.Momentum(rate, parameters=made.parameters())
        options = {"save_interval": 3, "log_iters": 1, "log_style": "plain", **options}
        made.fit(Data(), optimizer=optimizer, iters=6, save_dir=str(folder), **options)
        return weights(folder)

    whole = run(tmp_path / "whole")
    rates = [line.split("lr: ")[1].split(",")[0] for line in lines if "[TRAIN]" in line]
    assert rates == ["0.100000", "0.085000", "0.070000", "0.055000", "0.040000", "0.025000"]
    assert_same(whole, run(tmp_path / "rest", resume_model=str(tmp_path / "whole" / "iter_3")))


def test_accumulated_batches_are_one_iteration(tmp_path, lines):
    """A loss that is a mean over pixels of equal number gives the same for halves of a batch."""

    class Full(Data):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, label % 3

    def run(folder, **options):
        made = Distiller(nn.Sequential(nn.Conv2D(3, 3, 1)), Net(), nn.CrossEntropyLoss(axis=1), nn.MSELoss())
        made.student.set_state_dict({"0.weight": paddle.ones([3, 3, 1, 1]), "0.bias": paddle.zeros([3])})
        made.fit(Full(), optimizer=sgd(made), iters=2, save_dir=str(folder), log_style="plain", **options)
        return weights(folder, "iter_2")

    paddle.seed(1)
    one = run(tmp_path / "one", batch_size=4)
    paddle.seed(1)
    two = run(tmp_path / "two", batch_size=2, accumulate_steps=2)
    for key, value in one.items():
        np.testing.assert_allclose(two[key], value, atol=1e-6)


def test_images_without_labels_share_the_batch(tmp_path, lines):
    class Bare(paddle.io.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return Data()[index][0]

    logged = fitted(distiller(), tmp_path, unlabeled_dataset=Bare(), unlabeled_share=0.5)
    assert "CrossEntropyLoss" in logged[0]
    made = distiller()
    with pytest.raises(UserError, match="unlabeled_share: 0.1 of batch_size 2 is 0"):
        made.fit(Data(), optimizer=sgd(made), iters=1, unlabeled_dataset=Bare(), unlabeled_share=0.1)


def test_the_teachers_answers_are_cached(tmp_path, lines):
    cache = {"teacher_cache": str(tmp_path / "cache"), "cache_views": 1, "cache_dtype": "float32"}
    several = {"logits": [("SegChannelwiseLoss", 3), (nn.MSELoss(), 1)]}
    plain = fitted(distiller(**several), tmp_path / "plain", cache_views=1)
    assert fitted(distiller(**several), tmp_path / "cached", **cache) == plain
    assert fitted(distiller(**several), tmp_path / "again", **cache) == plain
    assert any("teacher cache" in line for line in lines)


def test_the_students_forward_pass_may_be_a_static_graph(tmp_path, lines):
    plain = fitted(distiller(), tmp_path / "plain", iters=2)
    static = fitted(distiller(), tmp_path / "static", iters=2, to_static_training=True)
    assert static[-1] == pytest.approx(plain[-1], abs=1e-5)


def test_after_a_training_the_loop_of_ones_own_goes_on(tmp_path, lines):
    made = distiller()
    fitted(made, tmp_path, iters=1)
    images, labels = (paddle.to_tensor(value) for value in Data()[0])
    made(images.unsqueeze(0), labels.unsqueeze(0))["loss"].backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"itres": 3}, "fit takes no 'itres'; did you mean 'log_iters'|fit takes no 'itres'; there are"),
        ({"distill_config": "d.py"}, r"fit takes no 'distill_config'; a script gives features=\[Feature"),
        ({"precision": "fp16"}, "computes mixed precision on GPUs alone"),
        ({"teacher_engine": "onnx"}, "teacher_engine: unknown engine 'onnx'; .*'onnxruntime'"),
        ({"iters": 0}, "iters must be a whole number above 0, not 0"),
        ({"batch_size": 9}, "4 samples, fewer than one batch needs"),
        ({"save_interval": 0}, "save_interval must be a whole number above 0"),
        ({"test_config": {"is_slide": True}}, "is_slide needs crop_size"),
        ({"test_config": {"slide": True}}, "test_config: .*'slide'"),
        ({"unlabeled_dataset": paddle.io.DataLoader(Data())}, "unlabeled_dataset must be .* not DataLoader"),
        ({"optimizer": "SGD"}, "optimizer must be one of paddle.optimizer, not str"),
        ({"early_stop_intervals": 2}, "early_stop_intervals needs evaluations"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, change, message, lines):
    made = distiller()
    arguments = {"optimizer": sgd(made), "iters": 2, "save_dir": str(tmp_path), **change}
    with pytest.raises(UserError, match=message):
        made.fit(Data(), **arguments)


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        ((4, 8, 8), (8, 8), r"images: \[2, 4, 8, 8\], and the student takes 3 channels"),
        ((3, 8, 8), (8, 7), r"the logits have the shape \[2, 3, 8, 8\], and the label \[2, 8, 7\]"),
    ],
)
def test_samples_of_another_shape_are_named(tmp_path, image, label, message, lines):
    samples = [(np.zeros(image, "float32"), np.zeros(label, "int64"))] * 4
    made = distiller()
    with pytest.raises(UserError, match=message):
        made.fit(samples, optimizer=sgd(made), iters=2, save_dir=str(tmp_path))


def test_an_optimizer_must_have_what_is_trained(tmp_path, lines):
    made = distiller(5)
    with pytest.raises(UserError, match=r"lacks what is trained beside.*extra.0.*distiller.parameters\(\)"):
        made.fit(Data(), optimizer=sgd(made.student), iters=1, save_dir=str(tmp_path))
    with pytest.raises(UserError, match="no parameter of this model; make the optimizer after the model"):
        made.fit(Data(), optimizer=sgd(Net()), iters=1, save_dir=str(tmp_path))
    plateau = paddle.optimizer.lr.ReduceOnPlateau(0.1)
    with pytest.raises(UserError, match="ReduceOnPlateau depends on the losses"):
        made.fit(Data(), optimizer=sgd(made, plateau), iters=1, save_dir=str(tmp_path))


def test_losses_with_state_of_a_users_own_are_trained_and_saved(tmp_path, lines):
    class Learned(nn.Layer):
        def __init__(self):
            super().__init__()
            self.scale = self.create_parameter([1])

        def forward(self, student, teacher):
            return ((self.scale * student - teacher) ** 2).mean()

    made = distiller(features=[Feature("body", "body", Learned())], logits=[KLLoss()])
    fitted(made, tmp_path)
    assert os.path.isfile(tmp_path / "iter_6" / "extra.pdparams")


def test_a_stop_saves_and_leaves_the_signals_to_the_notebook(tmp_path, lines):
    before, made = signal.getsignal(signal.SIGINT), distiller()

    class Interrupted(Data):
        def __getitem__(self, index):
            if signal.getsignal(signal.SIGINT) is not before:  # the training has begun
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(index)

    with pytest.raises(Stopped):
        made.fit(Interrupted(), optimizer=sgd(made), iters=9, save_dir=str(tmp_path), log_style="plain")
    assert signal.getsignal(signal.SIGINT) is before
    assert os.path.isfile(tmp_path / "iter_1" / "model.pdparams")
