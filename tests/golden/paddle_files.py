"""Writes the files `paddle_2_6_2_*`, by the Paddle that is installed: python paddle_files.py FOLDER"""

import sys

import paddle

# Those of Paddle that NumPy can be handed.
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128", "bfloat16"),
)


def contents():
    """Return what is saved by file name: weights, an optimizer's state, and everything nested."""
    paddle.seed(0)
    model = paddle.nn.Sequential(paddle.nn.Linear(3, 2), paddle.nn.BatchNorm1D(2))
    schedule = paddle.optimizer.lr.PolynomialDecay(0.1, 5)
    optimizer = paddle.optimizer.Adam(schedule, parameters=model.parameters())
    model(paddle.randn([4, 3])).sum().backward()
    optimizer.step()
    schedule.step()
    nested = {
        "model": model.state_dict(),
        "opt": optimizer.state_dict(),
        "dtypes": {dtype: paddle.to_tensor([[0, 1, 2]]).astype(dtype) for dtype in DTYPES},
        "one": model[0].weight,
        "list": [model[0].bias, 1.5, None, True],
        "tuple": (1, "a"),
        "empty": paddle.zeros([0, 3]),
        "scalar": paddle.to_tensor(2.5),
        "epoch": 100,
    }
    return {"model.pdparams": model.state_dict(), "model.pdopt": optimizer.state_dict(), "nested": nested}


if __name__ == "__main__":
    written_by = "paddle_" + paddle.__version__.replace(".", "_")
    for name, content in contents().items():
        for protocol in (2, 4) if name == "nested" else (4,):
            suffix = f"_protocol_{protocol}.pdparams" if name == "nested" else ""
            paddle.save(content, f"{sys.argv[1]}/{written_by}_{name}{suffix}", protocol=protocol)
