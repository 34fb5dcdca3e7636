"""Write the files that all variants of a distillation step share to a folder:

python benchmarks/step_setup.py FOLDER --size 128 --batch 4

These are the configs of the quick start with drawn images of this size, a teacher whose running statistics
fit the images, and an archive of the weights and images for a process without Paddle.
"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

from paddleseg.commands import process, runtime  # noqa: E402

QUICK_START = os.path.join(
    ROOT, "configs", "quick_start", "deeplabv3p_resnet{}_os8_optic_disc_512x512_1k_{}.yml"
)
STUDENT, TEACHER, WEIGHTS, ARRAYS = "student.yml", "teacher.yml", "teacher.pdparams", "arrays.npz"


def main():
    parser = argparse.ArgumentParser(description="Configs, images and weights for benchmarks/step.py.")
    parser.add_argument("folder", help="an existing one")
    parser.add_argument("--size", type=int, default=128, help="pixels a side, at least 64")
    parser.add_argument("--batch", type=int, default=4, help="images a step")
    args = parser.parse_args()
    runtime.prepare()
    set_up(args.folder, args.size, args.batch)


def set_up(folder, size, batch):
    """Write all files."""
    import paddle

    from paddleseg.cvlibs import SegBuilder
    from paddleseg.datasets.synthetic import make_optic_disc

    paddle.set_device("cpu")
    paddle.seed(0)
    data = os.path.join(folder, "data")
    # An epoch is one step, so a cache is full after the first step.
    make_optic_disc(data, train=batch, val=1, test=1, size=size)
    write_configs(folder, data, size)
    student_cfg, teacher_cfg = configs(folder, batch, weights=False)
    builder = SegBuilder(student_cfg)
    student, teacher = builder.model, SegBuilder(teacher_cfg).model
    images, labels = first_batch(builder)
    fit_statistics(teacher, images)
    paddle.save(teacher.state_dict(), os.path.join(folder, WEIGHTS))
    write_arrays(os.path.join(folder, ARRAYS), student, teacher, images, labels)


def write_configs(folder, data, size):
    """Write the configs of student and teacher."""
    import yaml

    transforms = [{"type": "Resize", "target_size": [size, size]}, {"type": "Normalize"}]
    dataset = {"dataset_root": data, "download": False, "transforms": transforms}
    for role, layers, name in (("student", 18, STUDENT), ("teacher", 50, TEACHER)):
        dic = {"_base_": QUICK_START.format(layers, role), "train_dataset": dataset}
        if role == "teacher":
            dic["model"] = {"pretrained": os.path.join(folder, WEIGHTS)}
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            yaml.safe_dump(dic, file)


def configs(folder, batch, weights=True):
    """Return the checked `Config`s of student and teacher, the teacher's without weights unless `weights`."""
    from paddleseg.cvlibs import Config

    without = [] if weights else ["model.pretrained=Null"]
    teacher = Config(os.path.join(folder, TEACHER), opts=without, sections=("model",), required=("model",))
    return Config(os.path.join(folder, STUDENT), batch_size=batch), teacher


def first_batch(builder):
    """Return (images float32 N x 3 x H x W, labels int64 N x H x W) as training reads them, as tensors."""
    import paddle

    from paddleseg.datasets.loading import stack
    from paddleseg.datasets.sampling import SeededSamples

    samples = SeededSamples(builder.train_dataset, 0)
    batch = stack([samples[0, i] for i in range(builder.cfg.batch_size)])
    return paddle.to_tensor(batch["img"]), paddle.to_tensor(batch["label"])


def fit_statistics(model, images):
    """Set the running statistics to the mean of their first values and those of the images.

    With the first values, the logits of 50 random layers grow without bounds. With those of the images, a
    branch with one pixel an image has few values, and magnifies differences in rounding between frameworks.
    """
    import paddle

    layers = [layer for layer in model.sublayers() if isinstance(layer, paddle.nn.BatchNorm2D)]
    momenta = [layer._momentum for layer in layers]
    for layer in layers:
        layer._momentum = 0.5
    model.train()
    with paddle.no_grad():
        model(images)
    model.eval()
    for layer, momentum in zip(layers, momenta):
        layer._momentum = momentum


def write_arrays(path, student, teacher, images, labels):
    """Write the weights of both models, a batch, and the models' logits for it in eval mode."""
    import numpy as np
    import paddle

    arrays = {"images": images.numpy(), "labels": labels.numpy()}
    for role, model in (("student", student), ("teacher", teacher)):
        model.eval()
        arrays.update({f"{role}/{name}": value.numpy() for name, value in model.state_dict().items()})
        with paddle.no_grad():
            arrays[f"{role}:logits"] = model(images)[0].numpy()
    np.savez(path, **arrays)


if __name__ == "__main__":
    process.run(main)
