"""Run an exported model: python infer.py --config output/inference_model/deploy.yaml --image_path photographs

Needs NumPy, OpenCV, PyYAML, Paddle or onnxruntime, and the files beside it, but nothing of the training code.
"""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from colors import colored, is_own, palette
from deploy_file import input_shape, read_deploy_file, refuse_too_many
from engines import open_model
from errors import ImageError, UserError, one_line
from photographs import image_files, mask_names, read_image
from transforms import prepared, steps_of


def main():
    parser = argparse.ArgumentParser(description="Masks and latency of an exported model.")
    parser.add_argument("--config", required=True, help="the deploy.yaml beside the exported model")
    parser.add_argument("--image_path", required=True, help="an image, a folder, or a .txt list of images")
    parser.add_argument("--save_dir", default="./output/masks", help="where masks go (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--cpu_threads", type=threads, default=0, help="0 leaves it to the library (default: 0)"
    )
    parser.add_argument("--warmup", type=count, default=3, help="runs before the clock counts (default: 3)")
    args = parser.parse_args()
    try:
        infer(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever reads has gone, as `head` does; what is still to be told as Python exits goes nowhere.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(141)  # a shell's status of what SIGPIPE has ended


def count(text):
    """Return a flag's text as a whole number of 0 or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or above")
    return int(text)


def threads(text):
    """Return a flag's text as a number of threads that this machine has cores for."""
    most = os.cpu_count() or 1
    if count(text) > most:
        raise argparse.ArgumentTypeError(f"{text} threads are more than the {most} cores of this machine")
    return int(text)


def infer(args):
    """Write a mask for each image and print latency."""
    deploy = read_deploy_file(args.config)
    shape = input_shape(deploy)
    prepare = steps_of(deploy["transforms"])
    run = open_model(deploy, os.path.dirname(os.path.abspath(args.config)), args)
    colors = palette(deploy.get("num_classes"))
    files = image_files(args.image_path)
    masks = [os.path.join(args.save_dir, name) for name in mask_names(files)]
    refuse_overwriting(files, masks)
    make_folder(args.save_dir)
    seconds, failed = [], []
    for file, mask in zip(files, masks):
        try:
            image = read_image(file, shape[1])
            batch = prepared(image, prepare)
            check_size(batch, shape)
            took, output = timed(run, batch, 0 if seconds else args.warmup)
            write_mask(mask, mask_of(output, image.shape[:2], deploy.get("output_op")), colors)
            seconds.append(took)
        except ImageError as error:
            failed.append(file)
            print(f"passed over {file}: {error}", file=sys.stderr)
    if seconds:
        spread = f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}"
        print(f"images: {len(seconds)}, masks in {args.save_dir}")
        print(
            f"latency of the model alone: median {1000 * np.median(seconds):.1f} ms ({spread} ms)", flush=True
        )
    if failed:
        raise UserError(f"{len(failed)} of {len(files)} images were passed over and have no mask")


def timed(run, batch, warmup):
    """Return the seconds that a model took for a batch, after `warmup` runs, and its output."""
    try:
        for _ in range(warmup):
            run(batch)
        started = time.perf_counter()
        output = run(batch)
    except Exception as error:  # both libraries have classes of their own
        size = " x ".join(map(str, batch.shape))
        raise ImageError(f"the model does not run on an input of {size}: {one_line(error)}") from error
    return time.perf_counter() - started, output


def check_size(batch, shape):
    """Refuse an image whose size is not the one that the model was exported for."""
    (height, width), (given_height, given_width) = shape[2:], batch.shape[2:]
    if height not in (-1, given_height) or width not in (-1, given_width):
        raise ImageError(
            f"the model takes {width} x {height} (width x height, -1 is any), and after the "
            f"deploy.yaml's transforms this image has {given_width} x {given_height}; export it without "
            f"--input_shape, or give the config an `export: transforms:` section with a Resize to that size"
        )


def mask_of(output, size, output_op):
    """Return classes, uint8 of `size` (H, W), of an output: classes 1 x h x w, or a number for each class."""
    refuse_too_many(int(output.max()) + 1 if output.ndim == 3 else output.shape[1])
    if output_op == "softmax":
        # Logits and the logarithms of their probabilities differ by one number a pixel, the same for all
        # classes, and so they do when interpolated: the largest stays the largest. The floor changes classes
        # alone that are e^87 times less likely than another; where such neighbours are interpolated, the
        # outline between them may lie elsewhere than with logits.
        output = np.log(np.maximum(output, np.finfo(np.float32).tiny))
    if output.ndim == 3:
        return cv2.resize(output[0].astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    planes = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in output[0]]
    return np.argmax(planes, axis=0).astype(np.uint8)


def refuse_overwriting(files, masks):
    """Refuse masks, or pictures of them for people, that would be written over something else.

    That is a photograph, the mask of another, or what lies there and was not written by this script, which
    leaves both files.
    """
    taken = {os.path.realpath(file) for file in files}
    for pair in ((mask, colored(mask)) for mask in masks):
        there = [file for file in pair if os.path.lexists(file)]
        for file in pair:
            if os.path.realpath(file) in taken:
                raise UserError(
                    f"{file} would be written over a photograph, or the mask of another; choose a "
                    f"--save_dir outside of --image_path, or rename the photograph"
                )
            taken.add(os.path.realpath(file))
        if there and not is_own(*pair):
            raise UserError(
                f"{there[0]} is there and no mask of an earlier run, which leaves a mask and beside it its "
                f"picture in colours; choose another --save_dir"
            )


def write_mask(path, mask, colors):
    """Write a mask as a grey PNG of class indices, and beside it `*_color.png` for people."""
    pictures = {path: mask, colored(path): colors[mask][..., ::-1]}
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for file, picture in pictures.items():
            # OpenCV itself ends the process at a name that is no UTF-8.
            Path(file + ".part").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        for file in pictures:  # both at once, or one alone would be taken for another's at the next run
            os.replace(file + ".part", file)
    except OSError as error:
        for file in pictures:
            with contextlib.suppress(OSError):
                os.remove(file + ".part")
        raise ImageError(f"cannot write {path}: {error.strerror}") from None


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


if __name__ == "__main__":
    main()
