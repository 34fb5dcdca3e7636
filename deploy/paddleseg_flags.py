"""The flags of PaddleSeg's deploy/python/infer.py that this script does not have, and what to do instead."""

from errors import UserError

_TENSORRT = (
    "onnxruntime's TensorRT provider tunes itself; export with --format onnx, give --providers tensorrt"
)
# {flag: (reason, the values that ask for what is done anyway)}
REFUSED = {
    "auto_tuned_shape_file": (_TENSORRT, ()),
    "device_id": ("the environment variable CUDA_VISIBLE_DEVICES selects a GPU; leave it out", ("0",)),
    "enable_auto_tune": (_TENSORRT, ("False",)),
    "enable_mkldnn": ("the library chooses itself; leave it out", ("False",)),
    "min_subgraph_size": (_TENSORRT, ()),
    "model_name": ("--benchmark names the file of the model; leave it out", ("",)),
    "precision": (
        "a model runs in the precision of its file: export.py --precision fp16, or slim/quant/ptq.py, writes "
        "another; leave it out",
        ("fp32",),
    ),
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
