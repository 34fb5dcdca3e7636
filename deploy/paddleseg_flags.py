"""The flags of PaddleSeg's deploy/python/infer.py that this script does not have, and what to do instead."""

from errors import UserError

_TENSORRT = "TensorRT is not used; an ONNX export can be run by TensorRT's own tools"
# {flag: (reason, the values that ask for what is done anyway)}
REFUSED = {
    "auto_tuned_shape_file": (_TENSORRT, ()),
    "batch_size": ("images are run one by one, since their sizes may differ; leave it out", ("1",)),
    "benchmark": ("the latency is always printed; leave it out", ("False",)),
    "device_id": ("the environment variable CUDA_VISIBLE_DEVICES selects a GPU; leave it out", ("0",)),
    "enable_auto_tune": (_TENSORRT, ("False",)),
    "enable_mkldnn": ("the library chooses itself; leave it out", ("False",)),
    "min_subgraph_size": (_TENSORRT, ()),
    "model_name": ("it names a line of --benchmark, which does not exist; leave it out", ("",)),
    "precision": ("models are run in the precision of their export, float32; leave it out", ("fp32",)),
    "print_detail": ("Paddle's own log is not shown; leave it out", ("False",)),
    "use_multilabel": ("a pixel of a mask has one class; leave it out", ("False",)),
    "use_trt": (_TENSORRT, ("False",)),
    "with_argmax": ("the deploy.yaml says whether the model ends with an argmax; leave it out", ()),
}


def without_idle(words):
    """Return the words of a command line without flags that ask for what is done anyway.

    Raises:
        UserError: a flag of PaddleSeg's that has no effect here.
    """
    words, left = list(words), []
    while words:
        name, equals, value = words[0].partition("=")
        word, refused = words.pop(0), REFUSED.get(name[2:]) if name.startswith("--") else None
        if refused is None:
            left.append(word)
            continue
        if not equals and words and not words[0].startswith("--"):
            value = words.pop(0)
        reason, idle = refused
        if value not in idle:
            raise UserError(f"{name} is PaddleSeg's flag and has no effect here: {reason}")
    return left
