import numpy as np
import paddle
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.teacher import Teacher


class Both(AdaptorBase):
    def mapping_layers(self):
        mapping = {"hidden_0": "body.0"}
        if self.add_tensor:
            mapping["hidden_1"] = self.model.mixed
        return mapping


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
