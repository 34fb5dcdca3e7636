import numpy as np
import paddle
import pytest
from loss_reference import tensor

from paddleseg.losses.class_queue import ClassQueue


def numbered(classes, each, start):
    """Return classes x each x 1 vectors whose only number tells them apart."""
    return np.arange(start, start + classes * each, dtype="float32").reshape(classes, each, 1)


def held(queue):
    return queue.vectors.numpy().reshape(queue.num_classes, queue.size)


def push(queue, vectors, counts):
    valid = np.arange(vectors.shape[1]) < np.array(counts)[:, None]
    queue.push(tensor(vectors), tensor(valid))


def test_begins_with_directions():
    queue = ClassQueue(3, 7, 5)
    np.testing.assert_allclose(np.linalg.norm(queue.vectors.numpy(), axis=1), 1, rtol=1e-6)
    assert queue.cursor.tolist() == [0, 0, 0]


def test_each_class_writes_its_valid_vectors_where_it_stands():
    queue = ClassQueue(2, 5, 1)
    before = held(queue)
    push(queue, numbered(2, 3, 10), [2, 0])
    np.testing.assert_array_equal(held(queue)[0], [10, 11, *before[0, 2:]])
    np.testing.assert_array_equal(held(queue)[1], before[1])
    push(queue, numbered(2, 3, 20), [1, 3])
    np.testing.assert_array_equal(held(queue)[0], [10, 11, 20, *before[0, 3:]])
    np.testing.assert_array_equal(held(queue)[1], [23, 24, 25, *before[1, 3:]])
    assert queue.cursor.tolist() == [3, 3]


@pytest.mark.parametrize("size", [3, 4, 7])
def test_equals_a_queue_written_one_class_after_the_other(size):
    """The rule of the published queues, in plain Python, over many pushes."""
    queue, random = ClassQueue(3, size, 1), np.random.RandomState(0)
    expected, cursors = held(queue).copy(), [0, 0, 0]
    for step in range(25):
        vectors, counts = numbered(3, 3, 100 * step), random.randint(0, 4, 3)
        push(queue, vectors, counts)
        for k, count in enumerate(counts):
            written = vectors[k, :count, 0]
            if cursors[k] + count >= size:
                if count:
                    expected[k, -count:] = written
                cursors[k] = 0
            else:
                expected[k, cursors[k] : cursors[k] + count] = written
                cursors[k] += count
        np.testing.assert_array_equal(held(queue), expected)
        assert queue.cursor.tolist() == cursors


def test_samples_the_same_places_of_each_class_without_repetition():
    queue = ClassQueue(2, 5, 1)
    push(queue, numbered(2, 5, 10), [5, 5])
    sample = queue.sample(3).numpy().reshape(2, 3)
    np.testing.assert_array_equal(sample[1] - sample[0], 5)
    assert len(set(sample[0])) == 3
    assert set(queue.sample(99).numpy().ravel()) == set(range(10, 20))


def test_goes_on_from_its_state_dict():
    queue, other = ClassQueue(2, 5, 3), ClassQueue(2, 5, 3)
    push(queue, np.ones((2, 1, 3), dtype="float32"), [1, 0])
    other.set_state_dict({name: paddle.to_tensor(v.numpy()) for name, v in queue.state_dict().items()})
    for one in (queue, other):
        push(one, 2 * np.ones((2, 1, 3), dtype="float32"), [1, 1])
    np.testing.assert_array_equal(other.vectors.numpy(), queue.vectors.numpy())
    assert other.cursor.tolist() == queue.cursor.tolist() == [2, 1]
