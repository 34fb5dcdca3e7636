import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from loss_reference import normal, tensor

from paddleseg.errors import UserError
from paddleseg.losses.labels import class_means, class_members, label_edges, resize_label_like, valid_mask

SIZES = [((7, 9), (7, 9)), ((128, 96), (16, 12)), ((33, 65), (9, 17)), ((5, 4), (11, 9)), ((50, 50), (1, 1))]


@pytest.mark.parametrize(("size", "wanted"), SIZES, ids=str)
def test_resizes_as_interpolate_does(size, wanted):
    label = np.random.RandomState(0).randint(0, 200, (2, *size))
    resized = resize_label_like(paddle.zeros([2, 3, *wanted]), tensor(label))
    as_image = tensor(label[:, None].astype("float32"))
    np.testing.assert_array_equal(resized.numpy(), F.interpolate(as_image, wanted).numpy()[:, 0])
    assert resized.dtype == paddle.int64


def test_takes_the_first_pixel_of_each_block():
    label = np.arange(16).reshape(1, 4, 4)
    assert resize_label_like(paddle.zeros([1, 1, 2, 2]), tensor(label)).tolist() == [[[0, 2], [8, 10]]]


def test_a_label_of_other_axes_must_fit():
    assert resize_label_like(paddle.zeros([4, 3]), paddle.zeros([4], dtype="int64")).shape == [4]
    with pytest.raises(
        UserError, match=r"label has the shape \[4, 8\] where logits of \[4, 3, 5\] need \[4, 5\]"
    ):
        resize_label_like(paddle.zeros([4, 3, 5]), paddle.zeros([4, 8], dtype="int64"))


def test_valid_mask():
    features, label = paddle.zeros([1, 3, 1, 3]), tensor(np.array([[[0, 255, 1]]]))
    assert valid_mask(features, label, 255).tolist() == [[[1, 0, 1]]]
    assert valid_mask(features, label, 0).tolist() == [[[0, 1, 1]]]
    assert valid_mask(features, None, 255).tolist() == [[[1, 1, 1]]]


def test_members_and_means_of_classes():
    label = np.array([[[0, 2, 255, -1]], [[9, 2, 2, 1]]])
    members = class_members(tensor(label), 3, 1, "float32")
    assert members[0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert members[1].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    features = normal((2, 5, 4), seed=1)
    means = class_means(tensor(features), members).numpy()
    np.testing.assert_allclose(means[0, 2], features[0, :, 1], rtol=1e-6)
    np.testing.assert_allclose(means[1, 2], features[1, :, 1:3].mean(axis=1), rtol=1e-6)
    assert (means[:, 1] == 0).all()


def edges_by_definition(label, ignored, radius):
    """Return the edges that PaddleSeg's data sets add, by the distances between all pixels."""
    padded = np.pad(label, 1, constant_values=-1)  # an image ends where no class is
    edges = np.zeros(label.shape, int)
    for y, x in np.ndindex(*label.shape):
        own = label[y, x]
        ys, xs = np.ogrid[: padded.shape[0], : padded.shape[1]]
        near = padded[(ys - y - 1) ** 2 + (xs - x - 1) ** 2 <= radius**2]
        others = near[near != own]
        edges[y, x] = len(others) > 0 if own != ignored else np.isin(others, range(5)).any()
    return edges


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_edges_are_where_another_class_or_the_end_of_the_image_is_near(radius):
    coarse = np.random.RandomState(0).choice([0, 1, 4, 255], (2, 3, 4))
    label = coarse.repeat(6, axis=1).repeat(6, axis=2)
    edges = label_edges(tensor(label), 255, radius).numpy()
    expected = [edges_by_definition(one, 255, radius) for one in label]
    np.testing.assert_array_equal(edges, expected)
    assert 0 < edges.mean() < 1
