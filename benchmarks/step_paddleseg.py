"""A process that makes a step of the released PaddleSeg each time it is asked; `step.py` starts it.

PYTHON benchmarks/step_paddleseg.py distil|train FOLDER BATCH CLOCK

PYTHON is an interpreter whose `paddleseg` is the released one; this project is not imported.
"""

import os
import sys
import zlib  # noqa: F401  before Paddle, whose own zlib is another version

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from turns import Turns  # noqa: E402

STUDENT, TEACHER = "student.yml", "teacher.yml"


def main():
    work, folder, batch, clock = sys.argv[1:]
    turns = Turns(clock)
    import paddle

    from paddleseg.cvlibs import Config, SegBuilder

    turns.note("imported")
    paddle.set_device("cpu")
    paddle.seed(0)
    config = Config(os.path.join(folder, STUDENT), batch_size=int(batch))
    config.dic["train_dataset"].pop("download", None)  # a key of this project alone
    builder = SegBuilder(config)
    if work == "train":
        train(builder, os.path.join(folder, f"run_{os.getpid()}"), turns)
    else:
        distil(builder, SegBuilder(Config(os.path.join(folder, TEACHER))).model, turns)


def train(builder, save_dir, turns):
    """Run PaddleSeg's own training; a turn ends with each update of the optimizer."""
    from paddleseg.core import train as train_model

    optimizer, endless = builder.optimizer, 10**6
    update = optimizer.step

    def step():
        update()
        turns.end()
        turns.begin()

    optimizer.step = step
    turns.begin()
    train_model(
        builder.model,
        builder.train_dataset,
        optimizer=optimizer,
        save_dir=save_dir,
        iters=endless,
        batch_size=builder.config.batch_size,
        save_interval=endless,
        losses=builder.loss,
    )


def distil(builder, teacher, turns):
    """Make the steps of PaddleSeg's slim/distill, which its package lacks, with its models and losses.

    The teacher is in eval mode, but records its graph; losses are at full resolution; the host reads five
    losses at every step. Every step has the same batch, which is read before.
    """
    import numpy as np
    import paddle
    from paddleseg.core.train import loss_computation

    from paddleseg.models.losses import KLLoss

    student, optimizer, compare = builder.model, builder.optimizer, KLLoss()
    samples = [builder.train_dataset[i] for i in range(builder.config.batch_size)]
    images = paddle.to_tensor(np.stack([sample["img"] for sample in samples]))
    labels = paddle.to_tensor(np.stack([sample["label"] for sample in samples]).astype("int64"))
    student.train()
    teacher.eval()

    def step():
        ours, theirs = student(images), teacher(images)
        task = sum(loss_computation(ours, labels, None, builder.loss))
        logit = 3.0 * sum(compare(one, other, labels) for one, other in zip(ours, theirs))
        loss = task + logit
        loss.backward()
        optimizer.step()
        optimizer._learning_rate.step()
        student.clear_gradients()
        return [float(value) for value in (loss, task, logit, task, logit)]

    while True:
        turns.take(step)


if __name__ == "__main__":
    main()
