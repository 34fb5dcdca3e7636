import inspect

import numpy as np
import paddle
import pytest
from backbone_tests import BackboneTests

from paddleseg.models import backbones
from paddleseg.models.backbones import MixVisionTransformer_B0, MixVisionTransformer_B1

STRIDES = (4, 8, 16, 32)
SMALL, LARGE = (32, 64, 160, 256), (64, 128, 320, 512)
# Of the released PaddleSeg 2.8.0: numbers that are trained, and entries of the state.
SIZES = {
    "MixVisionTransformer_B0": (SMALL, 3_319_392, 176),
    "MixVisionTransformer_B1": (LARGE, 13_151_424, 176),
    "MixVisionTransformer_B2": (LARGE, 24_196_288, 332),
    "MixVisionTransformer_B3": (LARGE, 44_072_128, 572),
    "MixVisionTransformer_B4": (LARGE, 60_842_688, 832),
    "MixVisionTransformer_B5": (LARGE, 81_443_008, 1052),
}


class TestMixVisionTransformer(BackboneTests):
    smallest = MixVisionTransformer_B0
    other = MixVisionTransformer_B1
    misfit = "wrongly shaped keys: patch_embed1.proj.weight"
    maps = {"MixVisionTransformer_B0": (SMALL, STRIDES), "MixVisionTransformer_B1": (LARGE, STRIDES)}
    classifier = ("head.weight", "head.bias")
    refused = [({"attn_drop_rate": 1.0}, "attn_drop_rate must be 0 or above and below 1, not 1.0")]

    @pytest.mark.parametrize("name", SIZES)
    def test_sizes_and_channels(self, name):
        with paddle.LazyGuard():  # sizes need no values
            backbone = getattr(backbones, name)()
        trained = sum(int(np.prod(p.shape)) for p in backbone.parameters() if not p.stop_gradient)
        assert (tuple(backbone.feat_channels), trained, len(backbone.state_dict())) == SIZES[name]

    def test_takes_what_paddlesegs_takes(self):
        names = set(inspect.signature(MixVisionTransformer_B0).parameters)
        assert names == {"img_size", "in_channels", "num_classes", "qk_scale", "attn_drop_rate", "pretrained"}

    def test_initial_weights(self):
        for key, p in MixVisionTransformer_B0().named_parameters():
            if key.endswith("bias"):
                assert (p.numpy() == 0).all(), key
            elif p.ndim == 1:
                assert (p.numpy() == 1).all(), key
            else:
                expected = (
                    0.0176 if paddle.__version__.startswith("2.") else 0.02
                )  # Paddle 2 truncates at 0.04
                if p.ndim == 4:
                    outputs, inputs, height, width = p.shape
                    groups = outputs if inputs == 1 else 1
                    expected = np.sqrt(2 * groups / (height * width * outputs))
                assert float(p.std()) == pytest.approx(expected, rel=0.1), key

    def test_layers_with_tokens_leave_their_grid(self):
        model = MixVisionTransformer_B0()
        tokens = {}
        for name, layer in model.named_sublayers():
            layer.register_forward_post_hook(
                lambda layer, inputs, output, name=name: tokens.update({name: output.shape})
            )
        maps = model(paddle.zeros([1, 3, 33, 47]))
        for stage, x in enumerate(maps, start=1):
            grid = tuple(x.shape[2:])
            names = [f"patch_embed{stage}", f"norm{stage}", *(f"block{stage}.{i}" for i in range(2))]
            for name in names:
                assert tuple(dict(model.named_sublayers())[name].grid) == grid, name
                assert tokens[name] == [1, grid[0] * grid[1], x.shape[1]], name

    def test_stochastic_depth_leaves_out_branches_in_training_alone(self):
        x = paddle.randn([1, 3, 32, 32])
        model = MixVisionTransformer_B0()
        rates = [
            block.drop_path.drop_prob for stage in (1, 2, 3, 4) for block in getattr(model, f"block{stage}")
        ]
        np.testing.assert_allclose(rates, np.arange(8) / 70, rtol=1e-12)
        paddle.seed(0)
        in_training = {float(model(x)[-1].sum()) for _ in range(20)}
        model.eval()
        assert len({float(model(x)[-1].sum()) for _ in range(3)}) == 1
        assert len(in_training) > 1
