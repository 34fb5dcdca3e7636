"""A synthetic stand-in for the optic-disc set: drawn fundus photographs with exact masks.

Every picture shows an orange retina in a round aperture, vessels that branch out of the optic disc, and
bright lesions, some as large and as bright as the disc. Neither brightness nor size tells the disc from a
lesion; only the cup, the outline and the vessels do.

Positions and lengths are fractions of the picture's side, except those in pixels.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from paddleseg.errors import UserError

SPLITS = ("train", "val", "test")
STAMP = "synthetic.json"
VERSION = 1  # of the pictures; a change that alters them raises it

_README = """\
SYNTHETIC images: drawn by a program, not photographs of eyes. Nothing medical can be learnt from them.

They stand in for PaddleSeg's optic_disc_seg where that cannot be downloaded, in the same layout:
JPEGImages/*.jpg, Annotations/*.png (0 background, 1 optic disc) and train_list.txt, val_list.txt and
test_list.txt. synthetic.json holds the arguments of tools/make_optic_disc.py that made them.
"""


def make_optic_disc(out, train=267, val=76, test=38, size=256, seed=0):
    """Write the synthetic set in the layout that `OpticDiscSeg` reads.

    The folder appears only when it is complete. A complete folder made with the same arguments is left as it
    is. Picture i of a split depends only on `size`, `seed`, the split and i.

    Args:
        out: the folder.
        train, val, test: how many pictures each split has, at least 1.
        size: the side of a picture in pixels, at least 64.
        seed: an integer >= 0.

    Returns:
        True if the set was made, False if it was there already.

    Raises:
        UserError: an argument is out of its range, or `out` exists and holds other files.
    """
    out = Path(os.path.abspath(out))
    counts = dict(zip(SPLITS, (train, val, test)))
    for name, value, least in [*((s, counts[s], 1) for s in SPLITS), ("size", size, 64), ("seed", seed, 0)]:
        if value < least:
            raise UserError(f"{name} must be {least} or more, not {value}")
    stamp = json.dumps({"version": VERSION, **counts, "size": size, "seed": seed})
    if _is_complete(out, stamp):
        return False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError(f"cannot write {str(out)!r}: {error}") from error
    try:
        complete = scratch / "complete"
        _write(complete, counts, size, seed)
        (complete / STAMP).write_text(stamp)
        os.rename(complete, out)
    finally:
        shutil.rmtree(scratch)
    return True


def _is_complete(out, stamp):
    """Tell whether the set is in the folder; raise `UserError` if the folder holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / STAMP).is_file():
        raise UserError(f"{str(out)!r} exists and is no synthetic set; choose another folder")
    own_stamp = (out / STAMP).read_text()
    if own_stamp != stamp:
        raise UserError(
            f"{str(out)!r} was made with {own_stamp}, not {stamp}; remove it or choose another folder"
        )
    return True


def _write(folder, counts, size, seed):
    for name in ("JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True)
    (folder / "README.txt").write_text(_README)
    with tqdm(total=sum(counts.values()), desc="drawing", disable=None) as bar:
        for number, (split, count) in enumerate(counts.items()):
            lines = []
            for index in range(count):
                rng = np.random.default_rng([seed, number, index])
                image, mask = draw(size, rng)
                stem = f"synthetic_{split}_{index:04d}"
                picture, annotation = f"JPEGImages/{stem}.jpg", f"Annotations/{stem}.png"
                quality = int(rng.integers(80, 96))
                cv2.imwrite(str(folder / picture), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
                palette_image = Image.fromarray(mask).convert("P")
                palette_image.putpalette([0, 0, 0, 128, 0, 0])
                palette_image.save(folder / annotation)
                lines.append(f"{picture} {annotation}\n")
                bar.update()
            (folder / f"{split}_list.txt").write_text("".join(lines))


def draw(size, rng):
    """Draw one photograph.

    Args:
        size: the side of the picture in pixels.
        rng: the `numpy.random.Generator` that every choice is drawn from.

    Returns:
        The image (uint8, size x size x 3, RGB) and the mask (uint8, size x size, 1 on the disc).
    """
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    side = rng.choice([-1, 1])
    centre = np.array([0.5 + side * rng.uniform(0.1, 0.26), 0.5 + rng.uniform(-0.09, 0.09)])
    macula = centre + [-side * rng.uniform(0.28, 0.34), rng.uniform(0.0, 0.05)]
    width = rng.uniform(0.066, 0.1)
    axes = (width, width * rng.uniform(1.0, 1.25))
    disc = _blob(x, y, centre, axes, rng, ripple=0.025)
    # Disc and lesions share the colour, so that brightness cannot tell them apart.
    bright = np.array([rng.uniform(225, 255), rng.uniform(160, 215), rng.uniform(75, 140)], np.float32)

    image = _retina(x, y, macula, rng)
    image = _lesions(image, x, y, centre, bright, rng)
    image = _disc(image, x, y, disc, centre, axes, bright, rng)
    image = _vessels(image, centre, side, rng)
    image = _photograph(image, x, y, rng)
    return image, (disc < 1).astype(np.uint8)


def _cloud(size, cells, rng):
    """Return smooth noise with mean 0 and deviation 1 and about `cells` bumps along a side."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    noise = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (noise - noise.mean()) / noise.std()


def _blob(x, y, centre, axes, rng, ripple):
    """Return a field that is below 1 inside an ellipse whose outline ripples by about `ripple`."""
    turn = rng.uniform(-0.3, 0.3)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    across = (dx * np.cos(turn) + dy * np.sin(turn)) / axes[0]
    along = (dy * np.cos(turn) - dx * np.sin(turn)) / axes[1]
    angle = np.arctan2(along, across)
    outline = 1 + sum(
        rng.normal(0, ripple) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 6)
    )
    return np.hypot(across, along) / np.maximum(outline, 0.3)


def _inside(field, softness):
    """Return 1 well inside a blob and 0 well outside; `softness` is the width of the edge in radii."""
    return np.clip((1 - field) / softness + 0.5, 0, 1)[..., np.newaxis]


def _blend(image, colour, alpha):
    """Return an image with `alpha`, 0 to 1, of a colour."""
    return image + (colour - image) * alpha


def _retina(x, y, macula, rng):
    size = len(x)
    base = np.array([rng.uniform(150, 205), rng.uniform(65, 105), rng.uniform(22, 50)], np.float32)
    shade = 1 + 0.06 * _cloud(size, 5, rng) + 0.035 * _cloud(size, 24, rng) + 0.025 * _cloud(size, 60, rng)
    image = base * shade[..., np.newaxis]
    distance = np.hypot(x - macula[0], y - macula[1]) / rng.uniform(0.07, 0.11)
    dark = rng.uniform(0.2, 0.45) * np.exp(-(distance**2))
    return image * (1 - dark[..., np.newaxis] * np.array([0.7, 1, 1], np.float32))


def _draw_place_away(rng, centre, distance):
    """Draw a place in the aperture at least `distance` from `centre`."""
    while True:
        place = rng.uniform(0.12, 0.88, 2)
        if np.hypot(*(place - 0.5)) < 0.38 and np.hypot(*(place - centre)) > distance:
            return place


def _lesions(image, x, y, disc_centre, bright, rng):
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(0.05, 0.105)
        place = _draw_place_away(rng, disc_centre, 0.13 + radius)
        field = _blob(x, y, place, (radius, radius * rng.uniform(0.75, 1.3)), rng, ripple=0.06)
        tint = bright * rng.uniform(0.94, 1.06) * (1 + 0.04 * _cloud(len(x), 16, rng)[..., np.newaxis])
        image = _blend(image, tint, _inside(field, rng.uniform(0.12, 0.4)) * rng.uniform(0.8, 1.0))
    exudates, bleedings = [], []
    for _ in range(rng.integers(0, 4)):
        cluster = _draw_place_away(rng, disc_centre, 0.2)
        for _ in range(rng.integers(3, 10)):
            exudates.append((cluster + rng.normal(0, 0.03, 2), rng.uniform(0.004, 0.014)))
    for _ in range(rng.integers(0, 7)):
        bleedings.append((_draw_place_away(rng, disc_centre, 0.12), rng.uniform(0.004, 0.012)))
    return _spots(_spots(image, exudates, bright), bleedings, np.float32([105, 22, 14]))


def _spots(image, spots, colour):
    alpha = np.zeros(image.shape[:2], np.uint8)
    for place, radius in spots:
        x, y, radius = (int(length * len(image) * 16) for length in (*place, radius))
        cv2.circle(alpha, (x, y), max(radius, 8), 255, -1, cv2.LINE_AA, 4)
    return _blend(image, colour, alpha[..., np.newaxis] * np.float32(0.85 / 255))


def _disc(image, x, y, field, centre, axes, bright, rng):
    tint = bright * (1 + 0.03 * _cloud(len(x), 16, rng)[..., np.newaxis])
    tint = tint * (1 - np.float32(rng.uniform(0.0, 0.12)) * np.clip(field, 0, 1)[..., np.newaxis])
    image = _blend(image, tint, _inside(field, rng.uniform(0.08, 0.25)) * rng.uniform(0.85, 1.0))
    share = rng.uniform(0.35, 0.6)
    cup = centre + rng.uniform(-0.2, 0.2, 2) * axes
    inner = _blob(x, y, cup, (axes[0] * share, axes[1] * share), rng, ripple=0.03)
    return _blend(image, np.minimum(tint * np.float32([1.04, 1.12, 1.3]), 255), _inside(inner, 0.5))


def _vessels(image, centre, side, rng):
    size = len(image)
    depth = np.zeros((size, size), np.uint8)
    for upwards in (-1, 1):
        # Two large vessels bend around the macula, which lies opposite `side`; the smaller ones do not.
        for heading, bend, thick in ((-side * 0.9, -1, 1.0), (side * 0.8, 1, 0.75), (-side * 0.1, -1, 0.6)):
            angle = np.arctan2(upwards, heading) + rng.normal(0, 0.2)
            turn = bend * -side * upwards * rng.uniform(0.2, 1.0)
            _branch(depth, centre, angle, turn, thick * rng.uniform(0.011, 0.016), 0.6, rng)
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(3, 6)):
        _branch(depth, centre, angle, rng.normal(0, 0.8), rng.uniform(0.004, 0.007), 0.35, rng)
    depth = cv2.GaussianBlur(depth, (0, 0), max(size / 512, 0.3))
    alpha = depth[..., np.newaxis] / np.float32(255) * rng.uniform(0.7, 1.0)
    return image * (1 - alpha * np.float32([0.25, 0.6, 0.62]))


def _branch(depth, start, angle, turn, width, length, rng):
    """Draw one vessel and its branches; `turn` is in radians per unit of length."""
    size, step = len(depth), 0.012
    place = np.asarray(start, float)
    for travelled in np.arange(0, length, step):
        ahead = place + step * np.array([np.cos(angle), np.sin(angle)])
        pixels = width * size * (1 - 0.75 * travelled / length)
        ends = [tuple(int(c * size * 16) for c in point) for point in (place, ahead)]
        # A vessel thinner than a pixel is drawn one pixel wide and fainter.
        strength = int(255 * min(pixels, 1))
        cv2.line(depth, *ends, strength, max(round(pixels), 1), cv2.LINE_AA, 4)
        place, angle = ahead, angle + turn * step * 2 + rng.normal(0, 0.09)
        if width > 0.004 and travelled > 0.06 and rng.random() < 0.1:
            fork = angle + rng.choice([-1, 1]) * rng.uniform(0.4, 0.9)
            _branch(depth, place, fork, rng.normal(0, 1), width * 0.6, (length - travelled) * 0.7, rng)


def _photograph(image, x, y, rng):
    size = len(image)
    tilt = rng.uniform(0, 2 * np.pi)
    slope = (x - 0.5) * np.cos(tilt) + (y - 0.5) * np.sin(tilt)
    radius = np.hypot(x - 0.5, y - 0.5)
    light = (
        rng.uniform(0.75, 1.05)
        * (1 + rng.uniform(0.1, 0.7) * slope)
        * (1 - rng.uniform(0.3, 1.1) * radius**2)
    )
    image = image * light[..., np.newaxis]
    if rng.random() < 0.3:
        # Stray light beside the lens leaves a crescent at the rim.
        leak = np.clip((slope - rng.uniform(0.3, 0.38)) * 6, 0, 1)[..., np.newaxis]
        image = _blend(image, np.float32([235, 175, 70]), leak * 0.8)
    rim = rng.uniform(0.46, 0.5)
    inside = np.clip((rim - np.hypot(x - 0.5 - rng.normal(0, 0.005), y - 0.5)) * size / 2 + 0.5, 0, 1)
    image = _blend(np.float32([6, 4, 3]), image, inside[..., np.newaxis])
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.4, 1.3) * size / 256)
    image += rng.uniform(1.5, 5) * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
