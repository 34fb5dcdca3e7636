"""Photographs to masks, by the models of one or several configs."""

import os

import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.errors import UserError, counted, one_line
from paddleseg.evaluation.inference import WHOLE, classes, infer
from paddleseg.evaluation.prediction_files import PredictionFiles
from paddleseg.transforms import Compose
from paddleseg.transforms.common import refuse_train_only
from paddleseg.utils.image_files import named_images
from paddleseg.utils.logger import logger
from paddleseg.utils.pictures import class_colors
from paddleseg.utils.progress_bar import bar

MAX_CLASSES = 256  # of a mask, whose pixels are bytes


class TooManyClassesError(UserError):
    """A model that tells more classes apart than a mask, whatever the image."""


def predict_images(configs, options):
    """Write the masks of images, overlays, and sheets that show several models side by side.

    Args:
        configs: the `Config` of each model, as `prediction_config` reads it.
        options: `PredictOptions`.

    Raises:
        UserError: an option is wrong; or, after all others are done, some images could not be read, run or
            written.
    """
    images = named_images(options.image_path)
    names, weights = _names_and_weights([cfg.path for cfg in configs], options.model_path)
    colors = class_colors(configs[0].num_classes, options.custom_color)
    files = PredictionFiles(options.save_dir, names, colors)
    files.refuse_inputs(images)
    parallel.set_device(options.device)
    predictors = [Predictor(cfg, path) for cfg, path in zip(configs, weights)]
    named = dict(zip(names, predictors))
    failed = []
    for image in bar(images, label="predicting"):
        try:
            _predict(image, named, files, options.save_probabilities)
        except TooManyClassesError:
            raise
        except UserError as error:
            failed.append(image.path)
            logger.warning(f"passed over {image.path}: {error}")
    logger.info(f"{counted(len(images) - len(failed), 'image')} predicted: {files.told}")
    if failed:
        raise UserError(
            f"{len(failed)} of {counted(len(images), 'image')} could not be predicted: {', '.join(failed)}"
        )


def _predict(image, predictors, files, with_probabilities):
    """Write what the `Predictor`s, {name: predictor}, make of an `ImageFile`."""
    photograph, truth = read_photograph(image.path, image.mask)
    samples = [predictor.prepare(image.path) for predictor in predictors.values()]
    masks = []
    for (name, predictor), sample in zip(predictors.items(), samples):
        logits = predictor.logits(sample, photograph.shape[:2])
        masks.append(mask_of(logits))
        files.write_mask(image, name, photograph, masks[-1])
        if with_probabilities:
            files.write_probabilities(image, name, probabilities_of(logits))
    first = next(iter(predictors.values()))
    files.write_sheet(image, photograph, truth, masks, first.ignore_index)


class Predictor:
    """A trained model, and how its config prepares a photograph and infers it.

    Args:
        cfg: its `Config`.
        model_path: the weights; None leaves those that the config names.
    """

    def __init__(self, cfg, model_path=None):
        builder = SegBuilder(cfg)
        dataset = cfg.get("val_dataset", {})
        # As they are evaluated, so that the masks are the ones that were scored.
        transforms = build_transforms(cfg.deployed_transforms(("val_dataset", "export")))
        refuse_train_only(transforms, f"{cfg.path}: transforms of a prediction")
        self.prepared = Compose(transforms, img_channels=dataset.get("img_channels", 3))
        self.ignore_index = dataset.get("ignore_index", 255)
        self.config = builder.eval_config
        self.model = builder.trained_model(model_path, "predict with")

    def prepare(self, path):
        """Return the sample of an image file, as `Compose` makes it.

        Raises:
            UserError: it cannot be read or transformed.
        """
        return self.prepared({"img": path})

    def logits(self, sample, size):
        """Return the logits of a sample at `size` (height, width), float32 1 x C x H x W.

        Raises:
            UserError: the model does not run on it.
        """
        return _logits(self.model, sample["img"], size, self.config, sample["trans_info"])


def predict(model, image, size, config=WHOLE, trans_info=()):
    """Return the class of each pixel, uint8 of shape `size`.

    Args:
        model: in eval mode; maps N x C x H x W to a list of logits, the main one first.
        image: float32 C x H x W, an array as the transforms give it.
        size: (height, width) of the mask.
        config, trans_info: as `inference.infer` takes them.

    Raises:
        UserError: the model does not run on it, or there are more classes than a byte tells apart.
    """
    return mask_of(_logits(model, image, size, config, trans_info))


def _logits(model, image, size, config, trans_info):
    images = paddle.to_tensor(image[np.newaxis])
    try:
        return infer(model, images, size, config, trans_info)
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        told = f"the model does not run on an input of {list(images.shape)}: {one_line(error)[:300]}"
        raise UserError(told) from error


def mask_of(logits):
    """Return the class of each pixel, uint8 H x W, of the logits of one image, 1 x C x H x W.

    Raises:
        UserError: there are more classes than a byte tells apart.
    """
    if logits.shape[1] > MAX_CLASSES:
        raise TooManyClassesError(
            f"the model tells {logits.shape[1]} classes apart, but a mask holds {MAX_CLASSES}"
        )
    return classes(logits)[0].astype("uint8").numpy()


def probabilities_of(logits):
    """Return the probability of each class, float32 C x H x W, of the logits of one image, 1 x C x H x W."""
    return paddle.nn.functional.softmax(logits, axis=1)[0].numpy()


def read_photograph(path, mask=None):
    """Return an image file as uint8 H x W x 3, BGR, and the classes of its mask, H x W, None without one.

    It stands upright: turned as its EXIF data says, which is how training reads it, too.

    Raises:
        UserError: one of them cannot be read, their sizes differ, or the mask holds more than bytes.
    """
    data = Compose([], to_rgb=False)({"img": path, "label": mask, "gt_fields": ["label"]})
    truth = data["label"]
    if truth is not None and truth.max() >= MAX_CLASSES:
        raise UserError(f"the mask {mask!r} holds {truth.max()}, but classes are below {MAX_CLASSES}")
    return np.ascontiguousarray(data["img"].transpose(1, 2, 0)).astype(np.uint8), truth


def prediction_config(path, opts=None, test_config=None):
    """Return the `Config` of a model to predict with.

    Args:
        path, opts, test_config: as `Config` takes them.
    """
    return Config(
        path,
        opts=opts,
        sections=("model", "val_dataset", "test_config", "export"),
        required=("model",),
        test_config=test_config,
    )


def _names_and_weights(configs, weights):
    """Return what each config is called, and its weights or None.

    Raises:
        UserError: there are not as many weights as configs.
    """
    if weights is not None and len(weights) != len(configs):
        raise UserError(
            f"model_path has {counted(len(weights), 'path')} and there are {len(configs)} configs: each "
            f"needs weights of its own, in the same order"
        )
    weights = weights or [None] * len(configs)
    return model_names(configs, weights), weights


def model_names(configs, weights):
    """Return a name for each model: its config's, and, where several share it, what their weights differ in.

    Args:
        configs: paths.
        weights: paths, or None for those that the config names.
    """
    names = [os.path.splitext(os.path.basename(path))[0] for path in configs]
    if len(set(names)) == len(names):
        return names
    parts = [os.path.splitext(os.path.abspath(path or ""))[0].split(os.sep) for path in weights]
    parts = [list(reversed(own)) for own in _without_common_start(parts)]
    parts = [list(reversed(own)) for own in _without_common_start(parts)]
    names = ["_".join([name, *own]) if names.count(name) > 1 else name for name, own in zip(names, parts)]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, 1)]


def _without_common_start(parts):
    common = len(os.path.commonprefix(parts))
    return [own[common:] for own in parts]
