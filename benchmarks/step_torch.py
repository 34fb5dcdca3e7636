"""A process that makes a step in eager PyTorch each time it is asked; `step.py` starts it.

python benchmarks/step_torch.py FOLDER CLOCK THREADS contiguous|channels_last distil|train

It needs PyTorch and NumPy, but no Paddle. The models have the weights of those in Paddle, and must
give the same logits.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from turns import Turns  # noqa: E402

ARRAYS = "arrays.npz"
TOLERANCE = 1e-4


def main():
    folder, clock, threads, memory_format, work = sys.argv[1:]
    turns = Turns(clock)
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch_model import DeepLabV3P, load_paddle

    turns.note("imported")
    torch.set_num_threads(int(threads))
    layout = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
    arrays = np.load(os.path.join(folder, ARRAYS))
    images = torch.from_numpy(arrays["images"]).contiguous(memory_format=layout)
    labels = torch.from_numpy(arrays["labels"])
    models = {}
    for role, layers in (("student", 18), ("teacher", 50)):
        model = models[role] = DeepLabV3P(layers)
        prefix = role + "/"
        load_paddle(model, {n[len(prefix) :]: arrays[n] for n in arrays.files if n.startswith(prefix)})
        model.to(memory_format=layout).eval()
        with torch.no_grad():
            check(role, model(images).numpy(), arrays[f"{role}:logits"])
    student, teacher = models["student"].train(), models["teacher"]
    optimizer = torch.optim.SGD(student.parameters(), 0.01, momentum=0.9, weight_decay=4e-5)

    def distil():
        with torch.no_grad():
            theirs = teacher(images)
        ours = student(images)
        logit = 3.0 * F.kl_div(F.log_softmax(ours, 1), F.softmax(theirs, 1), reduction="mean")
        update(F.cross_entropy(ours, labels, ignore_index=255) + logit)

    def train():
        update(F.cross_entropy(student(images), labels, ignore_index=255))

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = {"distil": distil, "train": train}[work]
    while True:
        turns.take(step)


def check(role, ours, theirs):
    """Raise `RuntimeError` if logits differ by more than `TOLERANCE` of the largest logit."""
    difference = abs(ours - theirs).max() / abs(theirs).max()
    print(f"{role}: logits differ from Paddle's by {difference:.1e} of the largest", file=sys.stderr)
    if not difference < TOLERANCE:
        raise RuntimeError(f"the {role} in PyTorch is not Paddle's: its logits differ by {difference:.1e}")


if __name__ == "__main__":
    main()
