"""What a frozen teacher computes, and how it identifies itself."""

import numpy as np
import paddle
import pytest
import tiny
from distilling import Both

from paddleseg import models
from paddleseg.cvlibs import Config
from paddleseg.distill import AdaptorBase
from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers import Teacher


def segmentation_model(index=-1, num_classes=3):
    """Return a small FCN whose head gives logits at a stride of 8 or, with index 0, of 4."""
    paddle.seed(index % 5)
    return models.FCN(num_classes, models.backbones.MobileNetV2_x0_25(), (index,), channels=4)


def test_a_teacher_answers_without_gradient_and_never_changes():
    model = tiny.TinyNet(dropout=0.5)
    teacher = Teacher(model, Both)
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    x = paddle.randn([2, 3, 8, 8])
    (logits,), taps = teacher(x)
    (again,), _ = teacher(x)
    np.testing.assert_array_equal(logits.numpy(), again.numpy())  # no dropout, no batch statistics
    assert all(tensor.stop_gradient for tensor in (logits, *taps.values()))
    assert all(p.stop_gradient for p in model.parameters())
    assert all((v.numpy() == before[k]).all() for k, v in model.state_dict().items())


def test_a_bare_tensor_counts_as_a_list_of_one():
    logits, _ = Teacher(tiny.BareNet(), Both)(paddle.randn([2, 3, 8, 8]))
    assert [item.shape for item in logits] == [[2, 2, 8, 8]]


def test_the_heads_logits_upsampled_are_the_models():
    model = segmentation_model()
    teacher = Teacher(model)
    x = paddle.randn([2, 3, 65, 41])
    logits, _ = teacher.at_head(x)
    assert logits[0].shape[2:] < [65, 41]
    assert logits[0].stop_gradient
    for whole in (teacher.upsampled(logits, x.shape[2:]), teacher(x)[0]):
        assert [item.shape for item in whole] == [[2, 3, 65, 41]]
        np.testing.assert_array_equal(whole[0].numpy(), model(x)[0].numpy())


def test_any_other_models_outputs_are_its_heads():
    model = tiny.TinyNet(outputs=2)
    x = paddle.randn([2, 3, 8, 6])
    logits, _ = Teacher(model).at_head(x)
    again = Teacher(model).upsampled(logits, [8, 6])
    assert len(logits) == 2
    for one, two, expected in zip(logits, again, model(x)):
        np.testing.assert_array_equal(one.numpy(), expected.numpy())
        np.testing.assert_array_equal(two.numpy(), expected.numpy())


def test_a_forward_of_ones_own_is_what_counts():
    class Doubling(models.FCN):
        def forward(self, x):
            return [2 * logits for logits in super().forward(x)]

    model = Doubling(2, models.backbones.MobileNetV2_x0_25(), channels=4)
    x = paddle.randn([1, 3, 33, 33])
    logits, _ = Teacher(model).at_head(x)
    np.testing.assert_array_equal(logits[0].numpy(), model(x)[0].numpy())


class LogitsOfForward(AdaptorBase):
    def mapping_layers(self):
        return {"hidden_0": self.model.logit_list} if self.add_tensor else {}


@pytest.mark.parametrize(
    ("adaptor", "declared", "key"),
    [
        (None, [(Tap("attr", "logit_list", 0), "c.yml")], Tap("attr", "logit_list", 0)),
        (LogitsOfForward, [], "hidden_0"),
    ],
)
def test_what_forward_leaves_is_tapped_at_the_head_too(adaptor, declared, key):
    model = segmentation_model()
    teacher = Teacher(model, adaptor, declared)
    for size in (33, 64):
        x = paddle.randn([1, 3, size, size])
        (logits,), taps = teacher.at_head(x)
        assert taps[key].shape == [1, 3, size, size]
        assert logits.shape[2] < size
        np.testing.assert_array_equal(taps[key].numpy(), model(x)[0].numpy())


def test_the_weights_are_hashed_once():
    class Counting(tiny.TinyNet):
        hashed = 0

        def state_dict(self, *args, **kwargs):
            self.hashed += 1
            return super().state_dict(*args, **kwargs)

    teacher = Teacher(Counting())
    identity = teacher.identity()
    assert identity == teacher.identity()
    assert identity["weights (SHA-256)"] == teacher.weights_digest
    assert teacher.model.hashed == 1


def test_a_teacher_names_itself_by_its_config_and_the_content_of_its_weights(write):
    paddle.seed(2)
    section = "{type: TinyNet, num_classes: 2, width: 3, pretrained: nowhere.pdparams}"
    cfg = Config(write(f"model: {section}\nimports: [tiny]\n"), sections=("model",), as_teacher=True)
    model = tiny.TinyNet(width=3)
    identity = Teacher(model, cfg=cfg).identity()
    assert {key: value for key, value in identity.items() if "SHA-256" not in key} == {
        "model.type": "TinyNet",
        "model.num_classes": 2,
        "model.width": 3,
    }
    model.heads[0].bias.set_value(model.heads[0].bias + 1)
    assert Teacher(model, cfg=cfg).identity() != identity
    record = Teacher(model, cfg=cfg).run_record()
    assert record["config"]["model"]["width"] == 3
    assert record["weights"] == "nowhere.pdparams"


@pytest.mark.parametrize("in_place", [True, False])
def test_a_teacher_that_overwrites_its_images_leaves_the_students_as_they_are(in_place):
    class Normalizing(tiny.TinyNet):
        def forward(self, x):
            with paddle.no_grad():
                x = x.scale_(2.0) if in_place else x.scale(2.0)
            return super().forward(x)

    teacher = Teacher(Normalizing())
    images = paddle.randn([2, 3, 8, 8])
    for x in (images, images + 1, images):  # in the first pass, and in later ones
        before = x.numpy()
        (logits,), _ = teacher(x)
        np.testing.assert_array_equal(x.numpy(), before)
        expected = tiny.TinyNet.forward(teacher.model, paddle.to_tensor(2 * before))[0]
        np.testing.assert_array_equal(logits.numpy(), expected.numpy())
