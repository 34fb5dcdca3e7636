"""Images per second of the loader, with each image decoded every time, or cached in memory or on disk:

python benchmarks/data.py [--chain resize crop scale] [--workers 0 1 2] [--data FOLDER] [--json FILE]

Without --data the photographs are drawn here. "plain" is equivalent to PaddleSeg's chain, in float32 from
the file to the normalised image. All others are the toolkit's; it is first checked that their samples are the
same to the last bit. The caches are full before the first turn, which, as all others, reads every image once
and makes tensors of the batches.
"""

import contextlib
import itertools
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

import timing  # noqa: E402

from paddleseg.commands import flags, process, runtime  # noqa: E402

SIDE = 512  # pixels of a side of the model's input
PLAIN, NONE = "plain", "none"
CHAINS = ("resize", "crop", "scale")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def main():
    parser = timing.described_parser(__doc__)
    parser.add_argument("--data", metavar="FOLDER", help="images to read; default: drawn ones")
    parser.add_argument("--images", type=flags.positive, default=32, help="how many (default: %(default)s)")
    parser.add_argument("--size", type=flags.positive, default=1024, help="of drawn ones (default: 1024)")
    parser.add_argument("--chain", nargs="+", choices=CHAINS, default=CHAINS, help="default: all")
    parser.add_argument("--workers", nargs="+", type=flags.count, default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--batch", type=flags.positive, default=4, help="(default: %(default)s)")
    timing.add_timing_flags(parser, repeats=7)
    args = parser.parse_args()
    runtime.prepare()
    figures, table = {}, []
    with tempfile.TemporaryDirectory() as folder:
        pairs = files(args, folder)
        for chain in args.chain:
            datasets = variants(pairs, chain, os.path.join(folder, "cache"))
            check_same(datasets)
            for workers in args.workers:
                turns = {name: turn(dataset, workers, args) for name, dataset in datasets.items()}
                seconds = timing.interleaved(turns, args.repeats, args.warmup)
                name = f"{chain}, {workers} workers"
                figures.update({f"{name}, {variant}": all_ for variant, all_ in seconds.items()})
                table += rows(chain, workers, seconds, len(pairs), args)
    head = ["transforms", "workers", "images", "images/s (quartiles)", "times none", "times plain"]
    print(f"\n{timing.machine(args.clock)}\n\n{timing.markdown(head, table)}", flush=True)
    timing.write_json(args.json, {**timing.machine(args.clock), **vars(args)}, figures)


def transforms(chain, side):
    """Return the list of transforms of a chain, for images of `side` pixels."""
    from paddleseg import transforms as T

    sizes = {"resize": [T.Resize([side, side])], "crop": [T.RandomPaddingCrop([side, side])]}
    sizes["scale"] = [T.ResizeStepScaling(0.5, 2.0, 0.25), *sizes["crop"]]
    colors = [T.RandomDistort(0.4, 0.5, 0.4, 0.5, 0.4, 0.5)] if chain == "scale" else []
    return [*sizes[chain], T.RandomHorizontalFlip(), *colors, T.Normalize(MEAN, STD)]


def files(args, folder):
    """Return [image, mask] paths: of `--data`, else of drawn JPEGs, whose PNGs have two classes."""
    import cv2
    import numpy as np

    from paddleseg.datasets.synthetic import draw
    from paddleseg.errors import UserError
    from paddleseg.utils.image_files import in_folder

    if args.data:
        images = in_folder(args.data)[: args.images]
        if len(images) < args.batch:
            raise UserError(f"data {args.data}: it holds {len(images)} images, and a batch {args.batch}")
        masks = [np.zeros(cv2.imread(image).shape[:2], np.uint8) for image in images]
    else:
        images, masks = [os.path.join(folder, f"{i}.jpg") for i in range(args.images)], []
        for i, path in enumerate(images):
            image, mask = draw(args.size, np.random.default_rng(i))
            cv2.imwrite(path, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            masks.append(mask)
    pairs = [[image, os.path.join(folder, f"{i}.png")] for i, image in enumerate(images)]
    for (_, path), mask in zip(pairs, masks):
        cv2.imwrite(path, mask)
    return pairs


def variants(pairs, chain, folder, side=SIDE):
    """Return {name of the variant: data set}."""
    from paddleseg.datasets import Dataset
    from paddleseg.datasets.image_cache import cache_images

    class Listed(Dataset):
        def find_files(self, path, separator):
            return pairs

    class Plain(Listed):
        def sample(self, index, rng=None):
            return plain_sample(*pairs[index], self.transforms.transforms, rng)

    datasets = {}
    for name, cls in ((PLAIN, Plain), (NONE, Listed), ("ram", Listed), ("disk", Listed)):
        datasets[name] = cls(os.path.dirname(pairs[0][1]), transforms(chain, side), 2, train_path="")
        if name in ("ram", "disk"):
            cache_images({"train_dataset": datasets[name]}, name, 2**33, folder)
    return datasets


def plain_sample(image, mask, transforms, rng):
    """Read and transform one sample in float32 throughout."""
    import cv2
    import numpy as np
    from PIL import Image

    with Image.open(mask) as file:
        label = np.array(file)
    image = cv2.cvtColor(cv2.imread(image).astype(np.float32), cv2.COLOR_BGR2RGB)
    data = {"img": image, "label": label, "gt_fields": ["label"], "trans_info": []}
    for transform in transforms:
        data = transform(data, rng=rng)
    return {"img": data["img"].transpose(2, 0, 1), "label": data["label"]}


def check_same(datasets):
    """Fill the caches, and stop if a variant gives other samples."""
    from paddleseg.datasets import SeededSamples

    for index in range(len(datasets[NONE])):
        expected = SeededSamples(datasets[PLAIN], 0)[0, index]
        for name in (NONE, *datasets, *datasets):
            got = SeededSamples(datasets[name], 0)[0, index]
            if any(got[key].tobytes() != expected[key].tobytes() for key in ("img", "label")):
                raise SystemExit(f"{name!r} gives another sample {index} than {PLAIN!r}")


def turn(dataset, workers, args):
    """Return a function that reads all images once, in batches, and returns the seconds."""
    from paddleseg.datasets import EpochBatches, SeededSamples
    from paddleseg.datasets.loading import load_batches, stack

    clock = timing.CLOCKS[args.clock]
    epochs = itertools.count()

    def read():
        # The time starts after one extra batch, when the workers are running.
        start = next(epochs) * (len(dataset) // args.batch)
        iters = start + len(dataset) // args.batch + 1
        keys = EpochBatches(len(dataset), args.batch, iters, 0, start_iter=start)
        with contextlib.closing(load_batches(SeededSamples(dataset, 0), keys, workers, stack)) as batches:
            next(batches)
            started = clock()
            for _ in batches:
                pass
            return clock() - started

    return read


def rows(chain, workers, seconds, images, args):
    """Return the rows of the table."""
    count = images // args.batch * args.batch
    speeds = {name: [count / second for second in all_] for name, all_ in seconds.items()}
    return [
        [chain, workers, name, timing.figure(values, 1)]
        + [f"{timing.ratio(speeds, name, base):.2f}" for base in (NONE, PLAIN)]
        for name, values in speeds.items()
    ]


if __name__ == "__main__":
    process.run(main)
