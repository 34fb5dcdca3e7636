"""A pass before tracing leaves nothing on a model."""

import paddle
import tiny

from paddleseg.graphs.traced import run_and_forget


def test_tensors_that_forward_sets_are_removed_and_all_else_stays():
    model = tiny.StridedNet()
    model.body.eval()
    model.register_buffer("grid", paddle.ones([2]), persistable=False)
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    images = paddle.randn([2, 3, 8, 8])
    for _ in range(2):
        model(images)
        expected = model(images)[0]
        given = run_and_forget(model, images)[0]
        assert (given.numpy() == expected.numpy()).all()
        assert given.stop_gradient
        assert not hasattr(model, "mixed")
    assert model.grid.tolist() == [1, 1]
    assert model.training
    assert not model.body.training
    assert all((value.numpy() == before[key]).all() for key, value in model.state_dict().items())
