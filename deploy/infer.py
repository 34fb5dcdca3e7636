"""Run an exported model: python infer.py --config output/inference_model/deploy.yaml --image_path photographs

Needs NumPy, OpenCV, PyYAML, and Paddle or onnxruntime, but nothing of the training code.
"""

import argparse
import collections
import math
import os
import platform
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import yaml

INTERPOLATIONS = {
    "NEAREST": cv2.INTER_NEAREST,
    "LINEAR": cv2.INTER_LINEAR,
    "CUBIC": cv2.INTER_CUBIC,
    "AREA": cv2.INTER_AREA,
    "LANCZOS4": cv2.INTER_LANCZOS4,
}
COLORED = "_color"  # is added to the name of a picture for people
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class UserError(Exception):
    """What the user can mend, in one line."""


def main():
    parser = argparse.ArgumentParser(description="Masks and latency of an exported model.")
    parser.add_argument("--config", required=True, help="the deploy.yaml beside the exported model")
    parser.add_argument("--image_path", required=True, help="an image, a folder, or a .txt list of images")
    parser.add_argument("--save_dir", default="./output/masks", help="where masks go (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="default: %(default)s")
    parser.add_argument("--cpu_threads", type=int, default=0, help="0 leaves it to the library (default: 0)")
    parser.add_argument("--warmup", type=int, default=3, help="runs before the clock counts (default: 3)")
    args = parser.parse_args()
    try:
        infer(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def infer(args):
    """Write a mask for each image and print latency."""
    deploy = read_deploy_file(args.config)
    shape = input_shape(deploy)
    prepare = [step(spec) for spec in deploy["transforms"]]
    run = open_model(deploy, os.path.dirname(os.path.abspath(args.config)), args)
    colors = palette(deploy.get("num_classes"))
    files = image_files(args.image_path)
    make_folder(args.save_dir)
    seconds, unreadable = [], []
    for file, name in zip(files, mask_names(files)):
        image = read_image(file, shape[1])
        if image is None:
            unreadable.append(file)
            print(f"passed over, cut off or no image that OpenCV reads: {file}", file=sys.stderr)
            continue
        batch = prepared(image, prepare)
        check_size(batch, shape, file)
        for _ in range(0 if seconds else args.warmup):
            run(batch)
        started = time.perf_counter()
        output = run(batch)
        seconds.append(time.perf_counter() - started)
        write_mask(
            os.path.join(args.save_dir, name),
            mask_of(output, image.shape[:2], deploy.get("output_op")),
            colors,
        )
    if seconds:
        spread = f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}"
        print(f"images: {len(seconds)}, masks in {args.save_dir}")
        print(f"latency of the model alone: median {1000 * np.median(seconds):.1f} ms ({spread} ms)")
    if unreadable:
        raise UserError(f"{len(unreadable)} of {len(files)} images could not be read")


def read_deploy_file(path):
    """Return the `Deploy` section of a deploy.yaml."""
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; name the deploy.yaml in it")
    try:
        with open(path, encoding="utf-8") as file:
            deploy = yaml.safe_load(file)["Deploy"]
        missing = [key for key in ("model", "transforms") if key not in deploy]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, KeyError, TypeError):
        raise UserError(f"{path} is no deploy.yaml, which export.py writes beside the model") from None
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    return deploy


def input_shape(deploy):
    """Return what the model takes, [N, C, H, W], -1 being anything: N is 1 or -1, C 3 (RGB) or 1 (grey)."""
    shape = deploy.get("input_shape") or [-1, 3, -1, -1]
    if shape[1] not in (1, 3):
        raise UserError(f"the model takes images of {shape[1]} channels, and infer.py reads those of 1 or 3")
    if shape[0] not in (1, -1):
        raise UserError(f"the model takes {shape[0]} images at once; export it for 1, or for any number (-1)")
    return shape


def check_size(batch, shape, file):
    """Refuse an image whose size is not the one that the model was exported for."""
    (height, width), (given_height, given_width) = shape[2:], batch.shape[2:]
    if height not in (-1, given_height) or width not in (-1, given_width):
        raise UserError(
            f"{file}: the model takes {width} x {height} (width x height, -1 is any), and after the "
            f"deploy.yaml's transforms this image has {given_width} x {given_height}; export it without "
            f"--input_shape, or give the config an `export: transforms:` section with a Resize to that size"
        )


def image_files(path):
    """Return the images that a path means: itself, those of a folder, or those that a list names."""
    if os.path.isdir(path):
        found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        images = (file for file in found if file.lower().endswith(SUFFIXES) and os.path.isfile(file))
        files = without_masks(sorted(images))
    elif path.lower().endswith(".txt") and os.path.isfile(path):
        lines = lines_of(path)
        folder = os.path.dirname(path)
        # A line is an image, whose name may hold spaces, or an image and a mask.
        whole = [os.path.isfile(os.path.join(folder, line)) for line in lines]
        names = [line if known else line.split()[0] for line, known in zip(lines, whole)]
        files = [os.path.join(folder, name) for name in names]
    else:
        files = [path] if os.path.isfile(path) else []
    if not files:
        raise UserError(f"there is no image at {path}")
    return files


def lines_of(path):
    """Return the lines of a list of images, the empty ones left out."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.strip() for line in file if line.strip()]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"the list {path} is no text in UTF-8") from None


def without_masks(files):
    """Return a folder's images without the folders of masks in it, as predict.py does; say how many.

    A folder's files are masks if all are PNG with a palette or in grey, the first three hold 64 values at
    most, and other folders hold other images.
    """
    folders = {}
    for file in files:
        folders.setdefault(os.path.dirname(file), []).append(file)
    masks = [f for f, inside in folders.items() if all(map(is_flat, inside)) and all(map(is_few, inside[:3]))]
    if len(masks) == len(folders):
        return files
    for folder in masks:
        told = f"{folder}, with {len(folders[folder])}; to take them for images, name their folder"
        print(f"left out, as masks: {told}", file=sys.stderr)
    return [file for file in files if os.path.dirname(file) not in masks]


def is_flat(file):
    """Tell whether a file is a PNG with a palette or in grey, as the 26th byte of it says."""
    if not file.lower().endswith(".png"):
        return False
    try:
        with open(file, "rb") as stream:
            head = stream.read(26)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[25:] in (b"\x00", b"\x03")


def is_few(file):
    """Tell whether an image holds 64 colours at most; one that cannot be read does not."""
    try:
        image = cv2.imread(file, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV takes
        image = None
    if image is None:
        return False
    # One number a pixel: rows of them would be sorted ten times as slowly.
    channels = image.reshape(*image.shape[:2], -1).astype(np.int64)
    return len(np.unique(sum(channels[..., i] << (16 * i) for i in range(channels.shape[2])))) <= 64


def read_image(file, channels=3):
    """Return an image, uint8 H x W x 3 (RGB) or H x W; None if it cannot be read or is cut off."""
    if not os.path.isfile(file):  # a pipe would be waited for
        return None
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        with open(file, "rb") as stream:
            content = stream.read()
        # OpenCV would fill up a cut-off JPEG with grey.
        if not content or is_cut_jpeg(content):
            return None
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except (OSError, ValueError, cv2.error):  # ValueError: a name with a null character
        return None
    return image if image is None or channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def is_cut_jpeg(content):
    """Tell whether a JPEG lacks its end marker; a thumbnail's within the header does not count."""
    if not content.startswith(b"\xff\xd8"):
        return False
    place = 2
    # Each segment before the picture itself says how long it is.
    while place + 4 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == 0xDA:
            return content.find(b"\xff\xd9", place) < 0
        filler = content[place + 1] == 0xFF
        place += 1 if filler else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return b"\xff\xd9" not in content


def mask_names(files):
    """Return a different name for each image's mask; folders below the common one are kept.

    Where two would be equal, or one that of another's picture for people, the image's suffix is in it.
    """
    common = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    inner = [os.path.relpath(os.path.abspath(file), common) for file in files]
    stems = [os.path.splitext(name)[0] for name in inner]
    counts = collections.Counter([*stems, *(stem + COLORED for stem in stems)])
    return [(stem if counts[stem] == 1 else name) + ".png" for stem, name in zip(stems, inner)]


def step(spec):
    """Return the function, image to image, of one transform of a deploy.yaml."""
    arguments = {key: value for key, value in spec.items() if key != "type"}
    maker = STEPS.get(spec["type"])
    if maker is None:
        raise UserError(
            f"the transform {spec['type']} is not one that infer.py knows ({', '.join(STEPS)}); give the "
            f"config an `export: transforms:` section without it and export again"
        )
    return maker(**arguments)


def _scaled(image, scale, interp):
    height, width = image.shape[:2]
    size = (round(width * scale), round(height * scale))
    return cv2.resize(image, size, interpolation=INTERPOLATIONS[interp])


def resize(target_size=(512, 512), interp="LINEAR", keep_ratio=False, size_divisor=None):
    def apply(image):
        width, height = target_size
        if keep_ratio:
            sides = image.shape[1], image.shape[0]
            scale = min(max(target_size) / max(sides), min(target_size) / min(sides))
            width, height = (round(side * scale) for side in sides)
        step = size_divisor or 1
        size = [max(math.ceil(side / step), 1) * step for side in (width, height)]
        return cv2.resize(image, size, interpolation=INTERPOLATIONS[interp])

    return apply


def resize_by_long(long_size):
    return lambda image: _scaled(image, long_size / max(image.shape[:2]), "LINEAR")


def normalize(mean=(0.5,), std=(0.5,)):
    mean, std = np.float32(mean), np.float32(std)
    return lambda image: (image / np.float32(255) - mean) / std


STEPS = {"Resize": resize, "ResizeByLong": resize_by_long, "Normalize": normalize}


def prepared(image, steps):
    """Return what `read_image` gives as what the model takes: transformed, float32 1 x C x H x W."""
    image = image.astype(np.float32)
    for apply in steps:
        image = apply(image)
    return np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)[None], dtype=np.float32)


def open_model(deploy, folder, args):
    """Return the function, float32 N x C x H x W to the graph's output, of an exported model."""
    path = os.path.join(folder, deploy["model"])
    if not os.path.isfile(path):
        raise UserError(f"there is no model {path}")
    if path.endswith(".onnx"):
        return open_onnx(path, args)
    return open_paddle(path, os.path.join(folder, deploy["params"]), args)


def open_onnx(path, args):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # below errors it remarks on constants that the converter left over
    options.intra_op_num_threads = args.cpu_threads
    wanted = "CUDAExecutionProvider" if args.device == "gpu" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UserError("--device gpu: this onnxruntime is built without; install onnxruntime-gpu")
    session = onnxruntime.InferenceSession(path, options, providers=[wanted])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def open_paddle(path, params, args):
    if slow_in_mkl():
        # It is read as Paddle is imported.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    # What Paddle remarks at its start asks nothing of the user.
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"paddle\.")
    from paddle import inference

    config = inference.Config(path, params)
    config.disable_glog_info()
    if args.device == "gpu":
        config.enable_use_gpu(256, 0)
    elif hasattr(config, "disable_mkldnn"):
        # With oneDNN, Paddle 3's executor fails on the interpolation that every model here ends with.
        config.disable_mkldnn()
    if args.cpu_threads:
        config.set_cpu_math_library_num_threads(args.cpu_threads)
    predictor = inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    target = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(batch):
        source.reshape(batch.shape)
        source.copy_from_cpu(batch)
        predictor.run()
        return target.copy_to_cpu()

    return run


def slow_in_mkl(cpuinfo="/proc/cpuinfo"):
    """Tell whether the MKL in Paddle would leave the processor's AVX2 alone, Intel not being its maker."""
    try:
        lines = Path(cpuinfo).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    told = {}
    for name, _, value in (line.partition(":") for line in lines):
        told.setdefault(name.strip(), value.strip())  # of the first core
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    foreign = told.get("vendor_id", "GenuineIntel") != "GenuineIntel"
    return x86 and foreign and "avx2" in told.get("flags", "").split()


def mask_of(output, size, output_op):
    """Return classes, uint8 of `size` (H, W), of an output: classes 1 x h x w, or a number for each class."""
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


def write_mask(path, mask, colors):
    """Write a mask as a grey PNG of class indices, and beside it `*_color.png` for people."""
    make_folder(os.path.dirname(path))
    pictures = {path: mask, os.path.splitext(path)[0] + f"{COLORED}.png": colors[mask][..., ::-1]}
    for file, picture in pictures.items():
        if not cv2.imwrite(file, picture):
            raise UserError(f"cannot write {file}")


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from None


def palette(num_classes):
    """Return the colours of predict.py, uint8 256 x 3, RGB: green for the second of two classes, else VOC's.

    PASCAL VOC deals the bits of a class out to the channels.
    """
    classes = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    if num_classes == 2:
        colors[1] = 60, 220, 80
    return colors


if __name__ == "__main__":
    main()
