"""Run an exported model: python infer.py --config output/inference_model/deploy.yaml --image_path photographs

It needs NumPy, OpenCV, PyYAML, Paddle or onnxruntime, and the files of its folder, but no training code.
"""

import argparse
import os
import sys
import time

import numpy as np
from bounds import max_pixels
from deploy_file import img_range, input_shape, read_deploy_file
from engines import open_model
from errors import ImageError, UserError, one_line
from masks import mask_of, palette, refuse_overwriting, write_mask
from paddleseg_flags import without_idle
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
    try:
        infer(parser.parse_args(without_idle(sys.argv[1:])))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has ended. Python still flushes as it exits: to nowhere.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(141)  # the status in a shell after SIGPIPE


def count(text):
    """Return the whole number of 0 or above that a flag's text states."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or above")
    return int(text)


def threads(text):
    """Return the number of threads that a flag's text states, at most the machine's cores."""
    most = os.cpu_count() or 1
    if count(text) > most:
        raise argparse.ArgumentTypeError(f"{text} threads are more than the {most} cores of this machine")
    return int(text)


def infer(args):
    """Write a mask for each image and print the model's latency."""
    deploy = read_deploy_file(args.config)
    shape, values, most = input_shape(deploy), img_range(deploy), max_pixels()
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
            image = read_image(file, shape[1], values, most)
            batch = prepared(image, prepare)
            check_size(batch, shape)
            duration, output = timed(run, batch, 0 if seconds else args.warmup)
            write_mask(mask, mask_of(output, image.shape[:2], deploy.get("output_op")), colors)
            seconds.append(duration)
        except ImageError as error:
            failed.append(file)
            print(f"skipped {file}: {error}", file=sys.stderr)
    if seconds:
        spread = f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}"
        print(f"images: {len(seconds)}, masks in {args.save_dir}")
        print(
            f"latency of the model alone: median {1000 * np.median(seconds):.1f} ms ({spread} ms)", flush=True
        )
    if failed:
        raise UserError(f"{len(failed)} of {len(files)} images were skipped and have no mask")


def timed(run, batch, warmup):
    """Return the seconds that a model takes for a batch after `warmup` runs, and its output."""
    try:
        for _ in range(warmup):
            run(batch)
        started = time.perf_counter()
        output = run(batch)
    except Exception as error:  # both libraries have their own classes
        size = " x ".join(map(str, batch.shape))
        raise ImageError(f"the model does not run on an input of {size}: {one_line(error)}") from error
    return time.perf_counter() - started, output


def check_size(batch, shape):
    """Refuse an image of another size than the model was exported for."""
    (height, width), (given_height, given_width) = shape[2:], batch.shape[2:]
    if height not in (-1, given_height) or width not in (-1, given_width):
        raise ImageError(
            f"the model takes {width} x {height} (width x height, -1 is any), and after the "
            f"deploy.yaml's transforms this image has {given_width} x {given_height}; export it without "
            f"--input_shape, or give the config an `export: transforms:` section with a Resize to that size"
        )


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


if __name__ == "__main__":
    main()
