"""Makes losses.npz, losses.json, schedules.json and updates.json, with the released PaddleSeg 2.8.0.

Run it where that, and not this package, is what `import paddleseg` finds: once with Paddle 2.6.2, for
which 2.8.0 was written, then with Paddle 3.3.1 for the losses with a `pos_weight` alone, of which the
kernel of 2.6.2 weighs a part only (https://github.com/PaddlePaddle/Paddle/pull/65859):

    cd /tmp && PYTHONPATH= python REPOSITORY/tests/golden/released_training.py
"""

import json
import pathlib
import types

import numpy as np
import paddle

from paddleseg.cvlibs import SegBuilder, manager

HERE = pathlib.Path(__file__).parent

# (type, parameters, shape of the logits, which label: see `label`).
IGNORING, FULL = "ignoring", "full"
SMALL, TWO, ONE, LARGE = [2, 3, 5, 7], [2, 2, 5, 7], [2, 1, 5, 7], [2, 3, 24, 31]
LOSSES = [
    ("CrossEntropyLoss", {}, SMALL, IGNORING),
    ("CrossEntropyLoss", {"avg_non_ignore": False}, SMALL, IGNORING),
    ("CrossEntropyLoss", {"avg_non_ignore": False, "weight": [0.5, 1.0, 3.0]}, SMALL, FULL),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.3}, SMALL, IGNORING),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.3, "avg_non_ignore": False}, SMALL, IGNORING),
    ("CrossEntropyLoss", {"top_k_percent_pixels": 0.21, "weight": [0.5, 1.0, 3.0]}, SMALL, FULL),
    ("OhemCrossEntropyLoss", {}, SMALL, IGNORING),
    ("OhemCrossEntropyLoss", {"thresh": 0.7, "min_kept": 3}, SMALL, IGNORING),
    ("OhemCrossEntropyLoss", {"thresh": 0.2, "min_kept": 3}, SMALL, FULL),
    # Released, one pixel less than `min_kept` is kept; the tests hold these against one less.
    ("OhemCrossEntropyLoss", {"thresh": 0.0001, "min_kept": 12}, SMALL, IGNORING),
    ("DiceLoss", {}, SMALL, IGNORING),
    ("DiceLoss", {"weight": [0.5, 1.0, 3.0], "smooth": 0.1}, SMALL, FULL),
    ("LovaszSoftmaxLoss", {}, SMALL, IGNORING),
    ("LovaszSoftmaxLoss", {"classes": "all"}, [2, 4, 5, 7], "lacking"),
    ("LovaszSoftmaxLoss", {}, [2, 4, 5, 7], "lacking"),
    ("LovaszSoftmaxLoss", {"classes": [0, 2]}, SMALL, FULL),
    ("FocalLoss", {}, TWO, IGNORING),
    ("FocalLoss", {"alpha": 0.6, "gamma": 0.5}, TWO, FULL),
    ("MultiClassFocalLoss", {"num_class": 3}, SMALL, IGNORING),
    ("MultiClassFocalLoss", {"num_class": 3, "alpha": 0.5, "gamma": 1.5}, SMALL, FULL),
    ("BCELoss", {}, SMALL, IGNORING),
    ("BCELoss", {"pos_weight": 2.5}, ONE, IGNORING),
    ("BCELoss", {"weight": "dynamic"}, ONE, FULL),
    ("BCELoss", {"pos_weight": "dynamic"}, SMALL, FULL),
    ("RMILoss", {"num_classes": 3}, LARGE, IGNORING),
    ("RMILoss", {"num_classes": 3, "rmi_pool_way": 1, "rmi_radius": 2}, LARGE, FULL),
    ("RMILoss", {"num_classes": 3, "rmi_pool_way": 2}, LARGE, IGNORING),
    ("RMILoss", {"num_classes": 3, "rmi_pool_size": 2, "rmi_pool_stride": 2}, LARGE, IGNORING),
]

WARM = {"warmup_iters": 4, "warmup_start_lr": 0.01}
SCHEDULES = [
    {"type": "PolynomialDecay", "learning_rate": 0.2, "power": 0.9, "end_lr": 0.001},
    {"type": "PolynomialDecay", "learning_rate": 0.2, "power": 0.9, "end_lr": 0.001, **WARM},
    {"type": "PolynomialDecay", "learning_rate": 0.2, "decay_steps": 7, **WARM},
    {"type": "CosineAnnealingDecay", "learning_rate": 0.2, "T_max": 6, "eta_min": 0.05},
    {"type": "CosineAnnealingDecay", "learning_rate": 0.2, "T_max": 8, **WARM},
    {"type": "PiecewiseDecay", "boundaries": [3, 7], "values": [0.5, 0.1, 0.2]},
    {"type": "StepDecay", "learning_rate": 0.2, "step_size": 3, "gamma": 0.5},
    {"type": "StepDecay", "learning_rate": 0.2, "step_size": 3, **WARM},
    {"type": "ExponentialDecay", "learning_rate": 0.2, "gamma": 0.8},
    {"type": "ExponentialDecay", "learning_rate": 0.2, "gamma": 0.8, **WARM},
]
ITERS, SEEN = 12, 15

DECAY = {"weight_decay": 0.3}
GROUPS = {"custom_cfg": [{"name": "body", "lr_mult": 0.1}, {"name": "bias", "weight_decay_mult": 0.0}]}
CLIPS = [
    {"name": "ClipGradByNorm", "clip_norm": 0.5},
    {"name": "ClipGradByValue", "max": 0.4, "min": -0.2},
    {"name": "ClipGradByValue", "max": 0.4},
]
UPDATES = [
    *({"type": kind, **DECAY, **GROUPS} for kind in ("SGD", "Momentum", "Adam", "AdamW")),
    *({"type": "Momentum", **DECAY, **GROUPS, "grad_clip_cfg": clip} for clip in CLIPS),
    {"type": "AdamW", **DECAY, "grad_clip_cfg": {"name": "ClipGradByGlobalNorm", "clip_norm": 0.5}},
]


def logits(shape):
    """Return scale * sin(step * k), k = 1, 2, ..., as the tests' `wave` does."""
    return (3.0 * np.sin(0.7 * np.arange(1, 1 + np.prod(shape)))).reshape(shape).astype("float32")


def label(shape, kind):
    """Return N x H x W of the classes: `ignoring` has ignored pixels, `lacking` none of class 1."""
    n, c, h, w = shape
    classes = max(c, 2)
    made = (np.arange(n * h * w) * 7 // 3 % classes).reshape(n, h, w)
    if kind == "ignoring":
        made[0, :2] = 255
        made[1, 3, 4] = 255
    if kind == "lacking":
        made[made == 1] = 2
    return made


class Net(paddle.nn.Layer):
    """Two parameters in a body, two in a head, each with a gradient of its own choosing."""

    def __init__(self):
        super().__init__()
        self.body, self.head = paddle.nn.Linear(2, 2), paddle.nn.Linear(2, 1)
        for k, (_, p) in enumerate(self.named_parameters()):
            p.set_value(np.sin(k + np.arange(p.size)).reshape(p.shape).astype("float32"))


def updated(optimizer, net):
    """Return the net's weights by name after three steps along fixed gradients."""
    for step in range(3):
        terms = []
        for k, (_, p) in enumerate(net.named_parameters()):
            gradient = np.cos(step + 2 * k + np.arange(p.size)).reshape(p.shape)
            terms.append((p * paddle.to_tensor(gradient.astype("float32"))).sum())
        sum(terms).backward()
        optimizer.step()
        optimizer.clear_grad()
    return {name: p.numpy().astype(float).round(9).tolist() for name, p in net.named_parameters()}


def rates(section):
    """Return the learning rates of the iterations."""
    config = types.SimpleNamespace(lr_scheduler_cfg=dict(section), iters=ITERS)
    builder = SegBuilder.__new__(SegBuilder)
    builder.config = config
    schedule, seen = builder.lr_scheduler, []
    for _ in range(SEEN):
        seen.append(schedule())
        schedule.step()
    return seen


def main():
    second_run = paddle.__version__.startswith("3")
    arrays = dict(np.load(HERE / "losses.npz")) if second_run else {}
    for i, (kind, parameters, shape, which) in enumerate(LOSSES):
        if ("pos_weight" in parameters) != second_run:
            continue
        x = paddle.to_tensor(logits(shape), stop_gradient=False)
        arrays[f"{i}_label"] = label(shape, which)
        value = manager.LOSSES[kind](**parameters)(x, paddle.to_tensor(arrays[f"{i}_label"]))
        value.backward()
        arrays[f"{i}_value"], arrays[f"{i}_gradient"] = value.numpy(), x.grad.numpy()
    np.savez_compressed(HERE / "losses.npz", **arrays)
    if second_run:
        return
    names = ("type", "params", "shape", "kind_of_label")
    write("losses", [dict(zip(names, case)) for case in LOSSES])
    write("schedules", [{"section": s, "iters": ITERS, "rates": rates(s)} for s in SCHEDULES])
    made = []
    for section in UPDATES:
        arguments = {key: value for key, value in section.items() if key != "type"}
        net = Net()
        optimizer = manager.OPTIMIZERS[section["type"]](**arguments)(net, 0.1)
        made.append({"section": section, "weights": updated(optimizer, net)})
    write("updates", made)


def write(name, content):
    rows = ",\n".join(json.dumps(row) for row in content)
    (HERE / f"{name}.json").write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main()
