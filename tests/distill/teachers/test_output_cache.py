"""What a teacher with a cache computes, stores and reads."""

import contextlib

import numpy as np
import paddle
import pytest
import tiny

from paddleseg.distill.taps import Tap
from paddleseg.distill.teachers import Teacher
from paddleseg.distill.teachers.cache_files import CacheFiles
from paddleseg.distill.teachers.output_cache import OutputCache, image_checksum
from paddleseg.errors import UserError
from paddleseg.models import DeepLabV3P
from paddleseg.models.backbones import ResNet18_vd

TAP = Tap("output_of", "body.0")
IMAGES = np.random.default_rng(6).standard_normal((4, 3, 6, 5)).astype("float32")


@pytest.fixture
def model():
    paddle.seed(8)
    return tiny.TinyNet(outputs=2)


@pytest.fixture
def runs(model):
    """The number of images of each run of the teacher."""
    counts = []
    model.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    return counts


@pytest.fixture
def cached(tmp_path, model):
    """A function that makes the cached teacher of a process, with one output and one tap."""

    def make(dtype="float32", shape=(2, 6, 5)):
        layout = {"logits_0": (shape, dtype), "tap_0": ((4, 6, 5), dtype)}
        files = CacheFiles(str(tmp_path / dtype), {}, 8, layout)
        teacher = Teacher(model, declared=[(TAP, "here")])
        teacher.cache = OutputCache(files, 2, [TAP])
        return teacher

    return make


def keys(*views_and_indices):
    """Return the keys of views of images; `IMAGES[i]` is the image of index i."""
    return [[view, index, image_checksum(IMAGES[index])] for view, index in views_and_indices]


def outputs(teacher, keys):
    images = paddle.to_tensor(IMAGES[[index for _, index, _ in keys]])
    (logits,), taps = teacher.at_head(images, keys)
    assert list(taps) == [TAP]
    return logits.numpy(), taps[TAP].numpy()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_read_is_what_was_computed_bit_for_bit(cached, model, runs, dtype):
    teacher = cached(dtype)
    batch = keys((0, 2), (1, 0))
    first = outputs(teacher, batch)
    again = outputs(teacher, batch)
    others = outputs(cached(dtype), batch[::-1])
    assert runs == [2]
    expected = (
        model(paddle.to_tensor(IMAGES[[2, 0]]))[0].numpy(),
        model.body[0](paddle.to_tensor(IMAGES[[2, 0]])),
    )
    for one, two, three, plain in zip(first, again, others, expected):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three[::-1])
        np.testing.assert_array_equal(one, np.asarray(plain).astype(dtype).astype("float32"))
    assert (teacher.cache.hits, teacher.cache.lookups) == (2, 4)


def test_views_are_kept_apart(cached, runs):
    teacher = cached()
    outputs(teacher, keys((0, 1)))
    outputs(teacher, keys((1, 1)))
    assert len(runs) == 2
    assert teacher.cache.files.num_filled() == 2


def test_what_is_missing_of_a_batch_is_computed_with_the_whole_batch(cached, model, runs):
    teacher = cached()
    outputs(teacher, keys((0, 0), (0, 3)))
    got = outputs(teacher, keys((0, 3), (0, 2), (0, 1)))
    assert runs == [2, 3]
    assert (teacher.cache.hits, teacher.cache.lookups) == (1, 5)
    expected = model(paddle.to_tensor(IMAGES[[3, 2, 1]]))[0].numpy()
    np.testing.assert_allclose(got[0], expected, rtol=1e-5, atol=1e-6)
    outputs(teacher, keys(*((0, i) for i in range(4))))
    assert len(runs) == 3


def test_another_image_under_the_same_key_is_computed(cached, runs):
    teacher = cached()
    outputs(teacher, keys((0, 0)))
    changed = keys((0, 0))
    changed[0][2] = image_checksum(IMAGES[1])
    (logits,), _ = teacher.at_head(paddle.to_tensor(IMAGES[1:2]), changed)
    (expected, _), _ = teacher.at_head(paddle.to_tensor(IMAGES[1:2]))
    np.testing.assert_array_equal(logits.numpy(), expected.numpy())
    outputs(teacher, keys((0, 0)))
    assert teacher.cache.hits == 0


def test_without_keys_the_teacher_runs_and_nothing_is_stored(cached, model, runs):
    teacher = cached()
    images = paddle.to_tensor(IMAGES)
    for logits, _ in (teacher.at_head(images), teacher(images)):
        np.testing.assert_array_equal(logits[0].numpy(), model(images)[0].numpy())
        assert len(logits) == 2
    assert teacher.cache.files.num_filled() == teacher.cache.lookups == 0


def test_a_row_that_another_process_stored_meanwhile_is_used(cached):
    other = cached().cache.files
    key = keys((0, 0))
    theirs = {name: np.ones_like(array[0]) for name, array in other.empty_rows(1).items()}

    teacher = cached()
    compute = teacher.engine

    def slow(images):
        other.write(0, key[0][2], theirs)
        return compute(images)

    teacher.engine = slow
    logits, tap = outputs(teacher, key)
    np.testing.assert_array_equal(logits[0], theirs["logits_0"])
    np.testing.assert_array_equal(tap[0], theirs["tap_0"])


def test_numbers_beyond_float16_are_refused(cached, model):
    model.heads[0].bias.set_value(paddle.to_tensor([0.0, 7e4]))
    with pytest.raises(
        UserError, match=r"logits_0 holds 7e\+04, which float16 cannot represent; set cache_dtype to float32"
    ):
        outputs(cached("float16"), keys((0, 0)))
    assert outputs(cached("float32"), keys((0, 0)))[0].max() > 6e4


def test_an_image_of_another_size_is_refused(cached):
    with pytest.raises(
        UserError, match=r"logits_0 of this image is \[2, 6, 5\], of the first \[2, 6, 4\]; images"
    ):
        outputs(cached(shape=(2, 6, 4)), keys((0, 0)))


def test_rows_are_computed_at_full_precision(cached, model, monkeypatch):
    enabled = []  # on a CPU nothing is lowered in any case

    @contextlib.contextmanager
    def auto_cast(enable=True):
        enabled.append(enable)
        yield
        enabled.pop()

    seen = []
    model.register_forward_pre_hook(lambda *_: seen.append(list(enabled)))
    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    outputs(cached(), keys((0, 0)))
    assert seen == [[False]]


def test_the_checksum_is_of_numbers_and_shape():
    checksums = {image_checksum(image) for image in (IMAGES[0], IMAGES[1], IMAGES[0].reshape(3, 5, 6))}
    assert len(checksums) == 3
    assert image_checksum(IMAGES[0].copy(order="F")) == image_checksum(IMAGES[0])


def test_logits_are_cached_at_the_head_and_upsampled_as_the_model_does(tmp_path):
    paddle.seed(1)
    net = DeepLabV3P(2, ResNet18_vd(output_stride=16), aspp_out_channels=8)
    teacher = Teacher(net)
    images = paddle.to_tensor(np.random.default_rng(0).standard_normal((1, 3, 37, 50)).astype("float32"))
    shape = teacher.at_head(images)[0][0].shape[1:]
    assert shape[1:] == [10, 13]
    files = CacheFiles(str(tmp_path / "c"), {}, 1, {"logits_0": (shape, "f4")})
    teacher.cache = OutputCache(files, 1, [])
    for _ in range(2):
        logits, _ = teacher.at_head(images, [[0, 0, 5]])
        (whole,) = teacher.upsampled(logits, images.shape[2:])
        np.testing.assert_array_equal(whole.numpy(), net(images)[0].numpy())
    assert teacher.cache.hits == 1
