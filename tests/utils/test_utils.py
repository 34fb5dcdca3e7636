"""What PaddleSeg's users import from `paddleseg.utils` in their model files."""

import numpy as np
import paddle
import paddle.nn as nn
import pytest
import tiny

from paddleseg import utils
from paddleseg.errors import UserError
from paddleseg.utils import logger as log
from paddleseg.utils.utils import load_entire_model, load_pretrained_model


class Backbone(nn.Layer):
    def __init__(self, width=4, head=False):
        super().__init__()
        self.body = nn.Linear(3, width)
        self.position = self.create_parameter([1, width])
        if head:
            self.head = nn.Linear(width, 10)


def test_the_names_are_found_in_both_places():
    assert utils.load_entire_model is load_entire_model
    assert utils.load_pretrained_model is load_pretrained_model
    log.info("a line"), log.warning("a line")
    with pytest.raises(AttributeError, match="no attribute 'load_everything'"):
        utils.load_everything  # noqa: B018


def test_a_whole_model_must_fit(tmp_path):
    source, target = Backbone(head=True), Backbone(head=True)
    path = tiny.save_weights(tmp_path / "model.pdparams", source)
    load_entire_model(target, path)
    for key, value in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[key].numpy(), value.numpy())
    with pytest.raises(UserError, match="are not those of Backbone"):
        load_entire_model(Backbone(), path)
    load_entire_model(target, None)


def test_a_backbone_takes_what_fits_and_names_the_rest(tmp_path, lines):
    source, target = Backbone(width=4, head=True), Backbone(width=4)
    target.added = nn.Linear(2, 2)
    path = tiny.save_weights(tmp_path / "model.pdparams", source)
    load_pretrained_model(target, path)
    np.testing.assert_array_equal(target.body.weight.numpy(), source.body.weight.numpy())
    assert lines == [
        f"Backbone: 3 of 5 weights loaded from {path}",
        "Backbone keeps its initial weights for added.weight, added.bias",
    ]


def test_weights_of_another_size_are_left_out_and_named(tmp_path, lines):
    source, target = Backbone(), Backbone()
    target.position = target.create_parameter([2, 4])
    load_pretrained_model(target, tiny.save_weights(tmp_path / "model.pdparams", source))
    assert lines[-1] == "Backbone keeps its initial weights for position"
    load_pretrained_model(target, None)


def test_a_file_of_which_nothing_fits_is_refused(tmp_path):
    path = tiny.save_weights(tmp_path / "model.pdparams", nn.Linear(7, 7))
    with pytest.raises(
        UserError, match=f"none of the weights in {path} is of Backbone: no key and shape fits"
    ):
        load_pretrained_model(Backbone(), path)


def test_bits_of_bfloat16_are_refused(tmp_path):
    path = str(tmp_path / "w.pdparams")
    weights = {key: value.astype("bfloat16") for key, value in Backbone().state_dict().items()}
    paddle.save(weights, path)
    with pytest.raises(UserError, match="uint16 instead of float32; convert the weights to float32"):
        load_pretrained_model(Backbone(), path)
