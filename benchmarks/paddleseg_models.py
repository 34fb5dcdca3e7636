"""Train one step of each model type in PaddleSeg's configs: python benchmarks/paddleseg_models.py CONFIGS

CONFIGS is the folder `configs` of a PaddleSeg checkout; the environment's PADDLESEG_PATH names the checkout,
or an unpacked wheel, with the models. The accepted configs of each model type are tried in turn, until one
trains a step on two small random images, without pretrained weights. The last line counts the types that did.
"""

import argparse
import contextlib
import gc
import pathlib
import sys
import tempfile
import time
import traceback

import cv2
import numpy as np
import paddle
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from paddleseg.cvlibs import Config, SegBuilder  # noqa: E402
from paddleseg.datasets.loading import load_batches  # noqa: E402
from paddleseg.datasets.sampling import SeededSamples  # noqa: E402
from paddleseg.errors import UserError, one_line  # noqa: E402
from paddleseg.training import SupervisedStep  # noqa: E402

# Transforms that make what a loss or a model needs, and not only other images.
NEEDED_TRANSFORMS = ("GenerateInstanceTargets",)
# Backbones that PaddleSeg cannot build without a file of weights, with the width of their tokens. They get a
# file with the initial value of their class token alone.
NEEDING_WEIGHTS = {"CAE": 768, "VisionTransformer": 768, "ViT_large_patch16_384": 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("configs", type=pathlib.Path, help="PaddleSeg's folder `configs`")
    parser.add_argument("--size", type=int, default=128, help="height and width of the images (default 128)")
    parser.add_argument("--only", nargs="+", default=[], help="model types (default all)")
    args = parser.parse_args()
    paddle.set_device("cpu")
    chosen, known = accepted(args.configs)
    chosen = {name: paths for name, paths in chosen.items() if not args.only or name in args.only}
    trained = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in sorted(chosen.items()):
            # `any` stops at the first config that trains.
            trained += any(trains(name, path, pathlib.Path(folder), args.size) for path in paths)
    print(f"{trained} of {len(chosen)} model types trained a step; {len(known - set(chosen))} not accepted")


def trains(name, path, folder, size):
    """Print what a training step of a config gives; return whether that is a finite loss."""
    start = time.perf_counter()
    try:
        loss = train_step(path, folder, size)
        result = f"loss {loss:.4f}"
    except Exception as error:  # a model of PaddleSeg's files may raise anything
        loss, last = np.nan, traceback.extract_tb(error.__traceback__)[-1]
        result = f"FAILED {pathlib.Path(last.filename).name}:{last.lineno} {type(error).__name__}: "
        result += one_line(error)[:200]
    seconds = time.perf_counter() - start
    print(f"{name:26s} {path.parent.name}/{path.name}: {result} ({seconds:.1f} s)", flush=True)
    gc.collect()
    return bool(np.isfinite(loss))


def accepted(folder):
    """Return {model type: its accepted configs}, and the set of all model types."""
    chosen, known = {}, set()
    for path in sorted(folder.rglob("*.yml")):
        if "_base_" in path.parts:
            continue
        try:
            cfg = Config(str(path))
        except UserError:
            found = yaml.safe_load(path.read_text(encoding="utf-8")).get("model") or {}
            known.update({found["type"]} if "type" in found else set())
            continue
        if cfg.get("model") and cfg.get("train_dataset"):
            known.add(cfg.model_type)
            chosen.setdefault(cfg.model_type, []).append(path)
    return chosen, known


def train_step(path, folder, size):
    """Train one step of a config on random images, and return the loss."""
    cfg = Config(str(path)).drop_pretrained()
    dic, changed = cfg.dic, folder / "config.yml"
    backbone = dic["model"].get("backbone") or {}
    if backbone.get("type") in NEEDING_WEIGHTS:
        width = backbone.get("embed_dim", NEEDING_WEIGHTS[backbone["type"]])
        backbone["pretrained"] = str(folder / "class_token.pdparams")
        paddle.save({"cls_token": paddle.zeros([1, 1, width])}, backbone["pretrained"])
    dic["train_dataset"] = dataset(dic["train_dataset"], cfg.num_classes, folder, size)
    dic.pop("val_dataset", None)
    changed.write_text(yaml.safe_dump(dic), encoding="utf-8")
    paddle.seed(0)
    np.random.seed(0)
    builder = SegBuilder(Config(str(changed)))
    step = SupervisedStep(builder.model, builder.loss)
    samples = SeededSamples(builder.train_dataset, seed=0)
    with contextlib.closing(load_batches(samples, [[(0, 0), (0, 1)]], 0, step.collate)) as batches:
        batch = next(batches)
    loss = step({**batch, "iteration": 1})["loss"]
    loss.backward()
    builder.optimizer_of(step.trained).step()
    return float(loss)


def dataset(spec, num_classes, folder, size):
    """Write two images and masks; return the section of a data set that has them, instead of `spec`."""
    rng = np.random.default_rng(0)
    for i in range(2):
        cv2.imwrite(str(folder / f"{i}.jpg"), rng.integers(0, 255, (size, size, 3), "uint8"))
        coarse = rng.integers(0, min(num_classes, 255), (4, 4)).astype("uint8")
        mask = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{i}.png"), mask)
    (folder / "train.txt").write_text("".join(f"{i}.jpg {i}.png\n" for i in range(2)), encoding="utf-8")
    needed = [one for one in spec.get("transforms") or [] if one["type"] in NEEDED_TRANSFORMS]
    return {
        "type": "Dataset",
        "dataset_root": str(folder),
        "train_path": str(folder / "train.txt"),
        "num_classes": num_classes,
        "mode": "train",
        "transforms": [{"type": "Normalize"}, *needed],
        **{key: spec[key] for key in ("edge",) if key in spec},
    }


if __name__ == "__main__":
    main()
