"""A teacher's export under onnxruntime, which joins batch norm and activations to the convolutions."""

import paddle

from paddleseg.graphs.onnx_session import open_session


class OnnxEngine:
    """An ONNX file with the logits at the head and the taps as its outputs, on the CPU.

    Args:
        path: the file; of any N, H and W.
        num_logits: how many of its outputs are logits, which come first.
        keys: what the other outputs are called, in their order.
    """

    name = "onnxruntime"

    def __init__(self, path, num_logits, keys):
        self._session = open_session(path)
        self._input = self._session.get_inputs()[0].name
        self._num_logits = num_logits
        self._keys = list(keys)

    def __call__(self, images):
        outputs = self._session.run(None, {self._input: images.numpy()})
        tensors = [paddle.to_tensor(output) for output in outputs]
        return tensors[: self._num_logits], dict(zip(self._keys, tensors[self._num_logits :]))
