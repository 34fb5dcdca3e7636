"""A process that makes a step in Paddle each time it is asked; `step.py` starts it.

python benchmarks/step_paddle.py plain|distil|train FOLDER BATCH CLOCK [flags of the toolkit's command]
"""

import os
import runpy
import sys
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import step_setup  # noqa: E402
from turns import Turns  # noqa: E402

from paddleseg.commands import process, runtime  # noqa: E402

HOST_READS = 5


def main():
    role, folder, batch, clock, *flags = sys.argv[1:]
    turns = Turns(clock)
    if role == "plain":
        plain(folder, int(batch), turns)
    else:
        ours(role, folder, batch, turns, flags)


def plain(folder, batch, turns):
    """Make the steps of the plain loop, which is equivalent to PaddleSeg's distillation.

    The teacher is in eval mode, but records its graph; the losses are at full resolution; the host reads five
    losses at every step. Every step has the same batch, which is read before.
    """
    runtime.prepare()
    import paddle
    import paddle.nn.functional as F

    from paddleseg import onednn
    from paddleseg.cvlibs import SegBuilder

    turns.note("imported")
    paddle.set_device("cpu")
    onednn.use_engine("paddle")
    paddle.seed(0)
    student_cfg, teacher_cfg = step_setup.configs(folder, batch)
    builder = SegBuilder(student_cfg)
    student, teacher, optimizer = builder.model, SegBuilder(teacher_cfg).model, builder.optimizer
    images, labels = step_setup.first_batch(builder)
    student.train()
    teacher.eval()
    sums = [0.0] * HOST_READS

    def step():
        ours, theirs = student(images)[0], teacher(images)[0]
        ours, theirs = ours.transpose([0, 2, 3, 1]), theirs.transpose([0, 2, 3, 1])
        task = F.cross_entropy(ours, labels, ignore_index=255)
        logit = 3.0 * F.kl_div(F.log_softmax(ours, -1), F.softmax(theirs, -1), reduction="mean")
        feature = paddle.zeros([1])
        loss = task + logit + feature.sum()
        loss.backward()
        optimizer.step()
        optimizer._learning_rate.step()
        student.clear_gradients()
        for i, value in enumerate((loss, logit, feature, task, logit)):
            sums[i] += float(value)

    while True:
        turns.take(step)


def ours(role, folder, batch, turns, flags):
    """Run the toolkit's own command on the same configs; each of its updates is a turn."""
    runtime.prepare()
    from paddleseg.training import fitting

    turns.note("imported")

    class Update(fitting.Update):
        def __call__(self, batches, iteration):
            return turns.take(lambda: super(Update, self).__call__(batches, iteration))

    endless = str(10**6)
    student = os.path.join(folder, step_setup.STUDENT)
    if role == "train":
        script, command = "train.py", ["--config", student]
    else:
        script = os.path.join("slim", "distill", "distill_train.py")
        command = ["--teacher_config", os.path.join(folder, step_setup.TEACHER), "--student_config", student]
    script = os.path.join(ROOT, script)
    command += ["--no_eval", "--device", "cpu"]
    command += ["--batch_size", batch, "--iters", endless, "--save_interval", endless]
    command += ["--save_dir", os.path.join(folder, f"run_{os.getpid()}"), *flags]
    with mock.patch.object(fitting, "Update", Update), mock.patch.object(sys, "argv", [script, *command]):
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    process.run(main)
