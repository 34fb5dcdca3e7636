"""Run an exported model: python infer.py --config output/inference_model/deploy.yaml --image_path photographs

It needs NumPy, OpenCV, PyYAML, Paddle or onnxruntime, and the files of its folder, but no training code.
"""

import argparse
import os
import sys

from batches import Reader, check_batch_size, in_batches, outputs_of
from benchmark import Clock
from bounds import max_pixels
from deploy_file import img_range, input_shape, read_deploy_file
from engines import open_model
from errors import ImageError, UserError
from masks import mask_of, palette, refuse_overwriting, write_mask
from paddleseg_flags import without_idle
from photographs import image_files, mask_names
from providers import PROVIDERS, provider
from transforms import steps_of

REPEATS = 10  # of each batch of a benchmark


def main():
    parser = argparse.ArgumentParser(description="Masks and latency of an exported model.")
    parser.add_argument("--config", required=True, help="the deploy.yaml beside the exported model")
    parser.add_argument("--image_path", required=True, help="an image, a folder, or a .txt list of images")
    parser.add_argument("--save_dir", default="./output/masks", help="where masks go (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--cpu_threads", type=threads, default=0, help="0 leaves it to the library (default: 0)"
    )
    parser.add_argument(
        "--providers",
        type=provider,
        nargs="+",
        metavar="PROVIDER",
        help=f"what computes an ONNX file, the first choice first: {', '.join(PROVIDERS)}, or "
        f"onnxruntime's own names (default: cpu)",
    )
    parser.add_argument(
        "--batch_size",
        type=positive,
        default=1,
        help="images of equal size that follow each other and run together (default: 1)",
    )
    parser.add_argument(
        "--warmup",
        type=count,
        default=3,
        help="runs that do not count, before the first batch, or with --benchmark before the first batch of "
        "each shape (default: 3)",
    )
    parser.add_argument(
        "--benchmark",
        type=switch,
        nargs="?",
        const=True,
        default=False,
        metavar="True",
        help="warm up for each shape of a batch, run each batch --repeats times, and print percentiles of "
        "the latency for each shape; False is as without the flag",
    )
    parser.add_argument(
        "--repeats",
        type=positive,
        help=f"runs of each batch that count; needs --benchmark (default: {REPEATS})",
    )
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


def positive(text):
    """Return the whole number above 0 that a flag's text states."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def threads(text):
    """Return the number of threads that a flag's text states, at most the machine's cores."""
    most = os.cpu_count() or 1
    if count(text) > most:
        raise argparse.ArgumentTypeError(f"{text} threads are more than the {most} cores of this machine")
    return int(text)


def switch(text):
    """Return whether the text of a flag such as PaddleSeg's `--benchmark True` switches it on."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() == "true"


class Inference:
    """From image files to masks; an image that cannot be used is skipped and named.

    Args:
        deploy: the `Deploy` section of a deploy.yaml.
        clock: a `Clock` of the model.
    """

    def __init__(self, deploy, clock):
        self.clock = clock
        self.reader = Reader(
            steps_of(deploy["transforms"]), input_shape(deploy), img_range(deploy), max_pixels()
        )
        self.output_op = deploy.get("output_op")
        self.colors = palette(deploy.get("num_classes"))
        self.skipped = 0

    def __call__(self, files, masks, batch_size):
        """Write a mask for each file, to the path of the same place in `masks`."""
        for batch in in_batches(self._inputs(files, masks), batch_size):
            try:
                outputs = outputs_of(self.clock, batch)
            except ImageError as error:
                for one in batch:
                    self._skip(one.file, error)
                continue
            for one, output in zip(batch, outputs):
                self._write(one, output)

    def _inputs(self, files, masks):
        for file, mask in zip(files, masks):
            try:
                with self.clock.beside("read"):
                    one = self.reader(file, mask)
            except ImageError as error:
                self._skip(file, error)
            else:
                yield one

    def _write(self, one, output):
        try:
            with self.clock.beside("write"):
                write_mask(one.mask, mask_of(output, one.size, self.output_op), self.colors)
        except ImageError as error:
            self._skip(one.file, error)

    def _skip(self, file, error):
        self.skipped += 1
        print(f"skipped {file}: {error}", file=sys.stderr)


def infer(args):
    """Write a mask for each image and print the model's latency."""
    if args.repeats and not args.benchmark:
        raise UserError(f"--repeats {args.repeats}: without --benchmark each batch runs once; give it, too")
    deploy = read_deploy_file(args.config)
    check_batch_size(args.batch_size, input_shape(deploy))
    run = open_model(deploy, os.path.dirname(os.path.abspath(args.config)), args)
    repeats = (args.repeats or REPEATS) if args.benchmark else 1
    clock = Clock(run, args.warmup, repeats, each_shape=args.benchmark)
    inference = Inference(deploy, clock)
    files = image_files(args.image_path)
    masks = [os.path.join(args.save_dir, name) for name in mask_names(files)]
    refuse_overwriting(files, masks)
    make_folder(args.save_dir)
    inference(files, masks, args.batch_size)
    if inference.skipped < len(files):
        print(f"images: {len(files) - inference.skipped}, masks in {args.save_dir}")
        print(clock.latency(args.batch_size), flush=True)
        if args.benchmark:
            print("\n".join(clock.table(described(deploy, args))), flush=True)
    if inference.skipped:
        raise UserError(f"{inference.skipped} of {len(files)} images were skipped and have no mask")


def described(deploy, args):
    """Return the model and what computes it, for the first line of a benchmark."""
    threads = f"CPU threads: {args.cpu_threads or 'the default'}"
    where = " ".join(args.providers or [args.device])
    return f"{deploy['model']} ({deploy.get('precision', 'fp32')}, {where}, {threads})"


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


if __name__ == "__main__":
    main()
