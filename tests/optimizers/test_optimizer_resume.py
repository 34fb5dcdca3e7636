"""A checkpoint of an optimizer with groups, clipping and a warm-up resumes all of it."""

import numpy as np
import paddle
import pytest
from test_groups import Net, step_of

from paddleseg.checkpoints.checkpoint import Checkpoints
from paddleseg.checkpoints.snapshot import Snapshot
from paddleseg.optimizers import Adam, AdamW, CosineAnnealingDecay, Momentum
from paddleseg.training.step import TrainedLayer

SECTION = {
    "weight_decay": 0.3,
    "grad_clip_cfg": {"name": "ClipGradByGlobalNorm", "clip_norm": 0.5},
    "custom_cfg": [{"name": "body", "lr_mult": 0.1, "weight_decay_mult": 2}],
    "decay_norm_and_bias": False,
}


def run(kind, steps, save_dir=None, start=0, load=None):
    """Return the weights after the steps from `start` on; load a checkpoint before or save one after them."""
    net = Net()
    schedule = CosineAnnealingDecay(0.1, 6, warmup_iters=3)
    optimizer = kind(**SECTION)(net, schedule)
    snapshot = Snapshot(TrainedLayer(net), optimizer)
    if load:
        snapshot.load(load, start)
    for step in range(start, start + steps):
        step_of(net, optimizer, step)
        schedule.step()
    if save_dir:
        Checkpoints(save_dir).save(steps, snapshot.files(), {})
    return np.concatenate([p.numpy().ravel() for p in net.parameters()])


@pytest.mark.parametrize("kind", [Momentum, Adam, AdamW])
@pytest.mark.parametrize("after", [2, 4])
def test_a_resumed_optimizer_takes_the_same_steps(tmp_path, kind, after):
    whole = run(kind, 7)
    run(kind, after, str(tmp_path))
    paddle.nn.Linear(1, 1)  # Paddle's internal names count on, so they differ in another process too.
    resumed = run(kind, 7 - after, start=after, load=str(tmp_path / f"iter_{after}"))
    np.testing.assert_array_equal(resumed, whole)
