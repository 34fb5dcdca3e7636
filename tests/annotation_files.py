"""Images, and annotations of them as labelme and COCO write them."""

import base64
import io
import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 30


def picture(seed=0, size=(HEIGHT, WIDTH), depth=np.uint8):
    """Return noise, which differs between seeds."""
    shape = (*size, 3) if depth == np.uint8 else size
    return np.random.default_rng(seed).integers(0, np.iinfo(depth).max, shape, depth)


def encoded(pixels, kind="PNG", orientation=None):
    """Return the bytes of an image file."""
    content, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(content, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
    return content.getvalue()


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, "group_id": None, **more}


def box(label, x0, y0, x1, y1):
    return shape(label, [[x0, y0], [x1, y1]], "rectangle")


def write_labelme(path, shapes, image="same", embed=False, size=(HEIGHT, WIDTH), seed=0, **more):
    """Write a JSON file, and beside it the image that it names, "same" for the name of the JSON file.

    Args:
        image: the value of imagePath; the file is written if it is "same".
        embed: whether the image is within the JSON file, and not beside it.
        more: other keys of the JSON file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = encoded(picture(seed, size))
    name = f"{path.stem}.png" if image == "same" else image
    if image == "same" and not embed:
        path.with_suffix(".png").write_bytes(content)
    text = base64.b64encode(content).decode() if embed else None
    keys = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": text}
    path.write_text(json.dumps({**keys, "imageHeight": size[0], "imageWidth": size[1], **more}), "utf-8")
    return path


def coco(images, annotations, names=("cat", "dog")):
    """Return the content of a JSON file of COCO, whose category ids are 10, 20, ..."""
    categories = [{"id": 10 * k, "name": name, "supercategory": ""} for k, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_image(number, name, size=(HEIGHT, WIDTH)):
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def coco_annotation(image, category, segmentation, **more):
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, **more}
