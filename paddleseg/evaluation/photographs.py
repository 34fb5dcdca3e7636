"""The prediction of photographs by the models of one or several configs."""

import contextlib
import os

import numpy as np
import paddle

from paddleseg import parallel
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.cvlibs.builder import build_transforms
from paddleseg.datasets.first_look import LOOKED_AT
from paddleseg.datasets.pair_check import doubts_of_images
from paddleseg.errors import UserError, counted, one_line
from paddleseg.evaluation.inference import MODEL_ERRORS, WHOLE, classes, infer
from paddleseg.evaluation.prediction_files import PredictionFiles
from paddleseg.transforms import Compose
from paddleseg.transforms.common import refuse_train_only
from paddleseg.transforms.reading import read_mask, read_picture
from paddleseg.utils.image_files import named_images
from paddleseg.utils.logger import logger
from paddleseg.utils.pictures import class_colors
from paddleseg.utils.progress_bar import bar

MAX_CLASSES = 256  # of a mask, whose pixels are bytes


class TooManyClassesError(UserError):
    """A model has more classes than a mask can hold, whatever the image."""


def predict_images(configs, options):
    """Write masks and overlays of images, and sheets that show several models side by side.

    Args:
        configs: the `Config` of each model, as `prediction_config` reads it.
        options: `PredictOptions`.

    Raises:
        UserError: an option is wrong. Also if some images could not be read, predicted or written; then all
            other images are done.
    """
    images = named_images(options.image_path)
    weights = [None] * len(configs) if options.model_path is None else options.model_path
    if len(weights) != len(configs):
        raise UserError(
            f"model_path has {counted(len(weights), 'path')} and there are {len(configs)} configs: give "
            f"the weights of each config, in the same order"
        )
    names = model_names([cfg.path for cfg in configs], weights)
    colors = class_colors(configs[0].num_classes, options.custom_color)
    files = PredictionFiles(options.save_dir, names, colors)
    files.refuse_inputs(images)
    parallel.set_device(options.device, options.conv_engine)
    predictors = {name: Predictor.of_config(*pair) for name, *pair in zip(names, configs, weights)}
    predict_files(images, predictors, files, options.save_probabilities)


def predict_files(images, predictors, files, with_probabilities=False):
    """Write masks and overlays of images.

    Args:
        images: list of `ImageFile`.
        predictors: {name: `Predictor`}.
        files: the `PredictionFiles`.
        with_probabilities: whether to write the probabilities of the classes, too. Default False.

    Raises:
        UserError: some images could not be read, predicted or written; then all other images are done.
    """
    first = next(iter(predictors.values()))
    for line in doubts_of_images([image.path for image in images[:LOOKED_AT]], first.transforms):
        logger.warning(line)
    failed = []
    with contextlib.closing(bar(images, label="predicting")) as shown:
        for image in shown:
            try:
                _predict(image, predictors, files, with_probabilities)
            except TooManyClassesError:
                raise
            except UserError as error:
                failed.append(image.path)
                logger.warning(f"skipped {image.path}: {error}")
    logger.info(f"{counted(len(images) - len(failed), 'image')} predicted: {files.summary()}")
    if failed:
        raise UserError(
            f"{len(failed)} of {counted(len(images), 'image')} could not be predicted: {', '.join(failed)}"
        )


def _predict(image, predictors, files, with_probabilities):
    """Write the predictions of an `ImageFile` by `Predictor`s, {name: predictor}."""
    first = next(iter(predictors.values()))
    photograph, truth = read_photograph(image.path, image.mask, first.transforms)
    samples = [predictor.transforms({"img": image.path}) for predictor in predictors.values()]
    masks = []
    for (name, predictor), sample in zip(predictors.items(), samples):
        size, trans_info = photograph.shape[:2], sample["trans_info"]
        logits = logits_of(predictor.model, sample["img"], size, predictor.config, trans_info)
        masks.append(mask_of(logits))
        files.write_mask(image, name, photograph, masks[-1])
        if with_probabilities:
            probabilities = paddle.nn.functional.softmax(logits, axis=1)[0].numpy()
            files.write_probabilities(image, name, probabilities)
    files.write_sheet(image, photograph, truth, masks, first.ignore_index)


class Predictor:
    """A trained model with its transforms and its way of inference.

    Args:
        model: in eval mode.
        transforms: a `Compose`.
        config: an `EvalConfig`. Default: whole images.
        ignore_index: the value of a mask that is not a class. Default 255.
    """

    def __init__(self, model, transforms, config=WHOLE, ignore_index=255):
        self.model = model
        self.transforms = transforms
        self.config = config
        self.ignore_index = ignore_index

    @classmethod
    def of_config(cls, cfg, model_path=None):
        """Return the predictor of a `Config`; without `model_path`, with the weights that it names."""
        builder = SegBuilder(cfg)
        # Those of the evaluation, so that the masks are the ones that were scored.
        sections = ("val_dataset", "export")
        cfg.warn_of_preparation(sections)
        transforms = build_transforms(cfg.deployed_transforms(sections))
        refuse_train_only(transforms, f"{cfg.path}: transforms of a prediction")
        compose = Compose(transforms, img_channels=cfg.img_channels, img_range=cfg.img_range)
        model = builder.trained_model(model_path, "predict with")
        return cls(model, compose, builder.eval_config, cfg.ignore_index)


def predict(model, image, size, config=WHOLE, trans_info=()):
    """Return the class of each pixel, uint8 of shape `size`.

    Args:
        model: in eval mode; maps N x C x H x W to a list of logits, the main one first.
        image: float32 C x H x W, an array as the transforms return it.
        size: (height, width) of the mask.
        config, trans_info: see `inference.infer`.

    Raises:
        UserError: the model does not run on the image, or has more classes than a byte can hold.
    """
    return mask_of(logits_of(model, image, size, config, trans_info))


def predict_sample(model, sample, config=WHOLE):
    """Return what `predict` returns for a sample of `SeededSamples`, at the size of its mask."""
    return predict(model, sample["img"], sample["label"].shape, config, sample.get("trans_info", ()))


def logits_of(model, image, size, config=WHOLE, trans_info=()):
    """Return the main logits of one image, 1 x C x height x width; the arguments are those of `predict`.

    Raises:
        UserError: the model does not run on the image.
    """
    images = paddle.to_tensor(image[np.newaxis])
    try:
        return infer(model, images, size, config, trans_info)
    except MODEL_ERRORS as error:
        shape, reason = list(images.shape), one_line(error)[:300]
        raise UserError(f"the model does not run on an input of {shape}: {reason}") from error


def mask_of(logits):
    """Return the class of each pixel, uint8 H x W, of the logits of one image, 1 x C x H x W.

    Raises:
        TooManyClassesError: there are more classes than a byte can hold.
    """
    if logits.shape[1] > MAX_CLASSES:
        raise TooManyClassesError(f"the model has {logits.shape[1]} classes, a mask can hold {MAX_CLASSES}")
    return classes(logits)[0].astype("uint8").numpy()


def read_photograph(path, mask=None, compose=None):
    """Return an image file as uint8 H x W x 3, BGR, and the classes of its mask, H x W, or None.

    The image is upright: it is turned according to its EXIF data, as in training.

    Args:
        path, mask: the files.
        compose: the `Compose` whose `img_channels` and `img_range` count. Default: photographs in colour.

    Raises:
        UserError: one of them cannot be read, their sizes differ, or the mask has classes of 256 or more.
    """
    # A grey model's photograph is shown in its colours.
    channels = 3 if compose is None or compose.img_channels == 1 else compose.img_channels
    picture = read_picture(path, channels, None if compose is None else compose.img_range)
    truth = None if mask is None else read_mask(mask)
    if truth is not None and truth.shape != picture.shape[:2]:
        sizes = [f"{array.shape[1]} x {array.shape[0]}" for array in (picture, truth)]
        raise UserError(
            f"image and mask differ in size (img {path!r}, label {mask!r}): the image is {sizes[0]}, the "
            f"mask {sizes[1]} (width x height)"
        )
    if truth is not None and truth.max() >= MAX_CLASSES:
        raise UserError(f"the mask {mask!r} has class {truth.max()}, but classes are below {MAX_CLASSES}")
    return picture, truth


def prediction_config(path, opts=None, test_config=None):
    """Return the `Config` of a model to predict with.

    Args:
        path, opts, test_config: see `Config`.
    """
    sections = ("model", "val_dataset", "test_config", "export")
    return Config(path, opts=opts, sections=sections, required=("model",), test_config=test_config)


def model_names(configs, weights):
    """Return a name for each model: that of its config and, if several share it, where their weights differ.

    Args:
        configs: paths.
        weights: paths, or None for weights that the config names.
    """
    names = [os.path.splitext(os.path.basename(path))[0] for path in configs]
    if len(set(names)) == len(names):
        return names
    folders = [os.path.splitext(os.path.abspath(path or ""))[0].split(os.sep) for path in weights]
    # Remove the common start of all paths and then, as they are reversed, the common end.
    for _ in range(2):
        common = len(os.path.commonprefix(folders))
        folders = [own[common:][::-1] for own in folders]
    names = ["_".join([name, *own]) if names.count(name) > 1 else name for name, own in zip(names, folders)]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, 1)]
