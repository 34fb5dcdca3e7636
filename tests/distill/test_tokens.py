"""Tokens as maps: the arithmetic, the grids that follow from the size of images, and what cannot be."""

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill.taps import Tap, Taps
from paddleseg.distill.tokens import as_map, auto_grid, grids_of_images, prefixed_grid, stated_grid
from paddleseg.errors import UserError

IMAGES = paddle.to_tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 24)).astype("float32"))
PLACE = "c.yml:3: grid"


def test_tokens_lie_row_by_row_behind_the_prefix():
    tokens = np.random.default_rng(1).standard_normal((2, 7, 5)).astype("float32")
    expected = np.stack([[image[1:, c].reshape(2, 3) for c in range(5)] for image in tokens])
    found = as_map(paddle.to_tensor(tokens), (2, 3), 1, PLACE)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("grid", "skip", "message"),
    [
        ((2, 3), 0, r"7 tokens are not those of the grid 2 x 3; `skip: 1` drops 1 prefix token"),
        ((2, 3), 2, "7 tokens are not those of the grid 2 x 3 and skip 2; `skip: 1` drops"),
        ((1, 7), 2, "7 tokens are not those of the grid 1 x 7 and skip 2; leave out `skip`"),
        ((7, 7), 0, "7 tokens are not those of the grid 7 x 7; name the grid"),
        ((1, 1), 0, "7 tokens are not those of the grid 1 x 1; name the grid"),
    ],
)
def test_other_numbers_of_tokens_are_refused(grid, skip, message):
    with pytest.raises(UserError, match=rf"{PLACE}: the tensor is \[2, 7, 5\], and its {message}"):
        as_map(paddle.zeros([2, 7, 5]), grid, skip, PLACE)


@pytest.mark.parametrize(
    ("length", "size", "grids"),
    [
        (196, (224, 224), [(14, 14)]),
        (256, (224, 224), [(16, 16)]),
        (1024, (448, 448), [(32, 32)]),
        (150, (160, 240), [(10, 15)]),
        (25 * 34, (197, 269), [(25, 34)]),  # rounded up, as a padded convolution of stride 8 does
        (24 * 33, (197, 269), [(24, 33)]),  # rounded down
        (42, (32, 32), [(6, 7), (7, 6)]),
        (197, (224, 224), []),
    ],
)
def test_both_sides_of_an_image_have_one_stride(length, size, grids):
    assert grids_of_images(length, size) == grids


def test_auto_refuses_what_it_cannot_decide():
    assert auto_grid([1, 197, 4], (224, 224), 1, PLACE) == (14, 14)
    for shape, size, message in (
        ([1, 42, 4], (32, 32), r"42 tokens of images of 32 x 32 may be \[6, 7\] or \[7, 6\]; state `grid"),
        (
            [1, 197, 4],
            (224, 224),
            "no grid of images of 224 x 224 has 197 tokens; `skip: 1` would leave 14 x 14",
        ),
        ([1, 1000, 4], (224, 224), r"has 1000 tokens; state `grid: \[h, w\]`"),
    ):
        with pytest.raises(UserError, match=f"{PLACE}: .*{message}"):
            auto_grid(shape, size, 0, PLACE)


def test_class_tokens_and_registers_are_found():
    assert prefixed_grid(261, (224, 224)) == (5, (16, 16))
    assert prefixed_grid(196, (224, 224)) == (0, (14, 14))
    assert prefixed_grid(1000, (224, 224)) is None
    assert prefixed_grid(6, (76, 100)) is None  # 2 x 3 or 3 x 2, and not 2 x 2 behind two prefix tokens


def test_only_a_pair_of_numbers_is_a_grid():
    layer = paddle.nn.Layer()
    for grid, expected in (((3, 4), (3, 4)), ([3, 4], (3, 4)), ((3,), None), ("34", None), (None, None)):
        layer.grid = grid
        assert stated_grid(layer) == expected


def maps(model, tap):
    """Run a model once, and return the tensor of a tap as a loss gets it."""
    model.eval()
    taps = Taps(model, "student", None, [(tap, "c.yml:1: teacher")])
    model(IMAGES)
    return taps.maps(taps.read(), IMAGES.shape[2:])[tap].numpy()


def expected_map(model):
    tokens = model.embed(IMAGES).flatten(2).transpose([0, 2, 1])
    return model.block(tokens, (4, 6)).transpose([0, 2, 1]).reshape([2, 6, 4, 6]).numpy()


def test_the_model_says_its_grid():
    model = tiny.TinyTransformer()
    np.testing.assert_array_equal(maps(model, Tap("output_of", "block")), expected_map(model))
    silent = tiny.TinyTransformer(says_grid=False)
    assert maps(silent, Tap("output_of", "block")).shape == (2, 24, 6)


@pytest.mark.parametrize("grid", ["auto", (4, 6)])
def test_a_tap_states_its_grid(grid):
    model = tiny.TinyTransformer(says_grid=False)
    np.testing.assert_array_equal(maps(model, Tap("output_of", "block", grid=grid)), expected_map(model))
    assert maps(model, Tap("input_of", "block", grid=grid)).shape == (2, 6, 4, 6)
    with_class = tiny.TinyTransformer(says_grid=False, class_token=True)
    with_class.set_state_dict(model.state_dict())
    found = maps(with_class, Tap("output_of", "block", grid=grid, skip=1))
    np.testing.assert_allclose(found, expected_map(model), rtol=1e-5, atol=1e-6)


def test_prefix_tokens_alone_may_be_stated():
    for says_grid in (True, False):
        model = tiny.TinyTransformer(says_grid=says_grid, class_token=True)
        assert maps(model, Tap("output_of", "block", skip=1)).shape == (2, 6, 4, 6)


def test_auto_takes_the_grid_of_the_nearest_layer_around():
    class Wide(tiny.TinyTransformer):
        """Says another grid of as many tokens than follows from the images."""

        def forward(self, x):
            logits = super().forward(x)
            self.block.grid = (2, 12)
            return logits

    assert maps(Wide(), Tap("output_of", "block.linear", grid="auto")).shape == (2, 6, 2, 12)
    assert maps(Wide(), Tap("output_of", "block.linear")).shape == (2, 24, 6)
    assert maps(Wide(), Tap("output_of", "block.linear", grid=(4, 6))).shape == (2, 6, 4, 6)


def test_a_grid_for_what_holds_no_tokens_is_refused():
    tap = Tap("output_of", "embed", grid="auto", grid_place="c.yml:2: teacher.grid", own_grid=True)
    message = r"c.yml:2: teacher.grid: it is for tokens N x L x C, and the tensor is \[2, 6, 4, 6\]"
    with pytest.raises(UserError, match=message):
        maps(tiny.TinyTransformer(), tap)


def test_taps_that_differ_in_their_grid_are_two():
    tap, other = Tap("output_of", "block"), Tap("output_of", "block", grid=(4, 6), skip=1)
    assert tap != other
    assert str(tap) == "block"
    assert str(other) == "{output_of: block, grid: [4, 6], skip: 1}"
    assert Tap("output_of", "block", grid_place="here") == tap
