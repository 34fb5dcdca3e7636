"""Builds the objects that a checked config describes."""

import os
import traceback
from functools import cached_property

import paddle

from paddleseg import onednn, parallel
from paddleseg.cvlibs import check, facts, manager, pruned_channels
from paddleseg.cvlibs.fill_in import PRUNED_CHANNELS
from paddleseg.errors import UserError, one_line
from paddleseg.options.inference import EvalConfig
from paddleseg.utils import signature
from paddleseg.utils.logger import logger
from paddleseg.weights.load import load_weights


class SegBuilder:
    """Builds the objects that a config describes, each one once, when it is first used.

    Building the model touches no data, building a dataset no model. A section that is missing, or that a
    component refuses, raises `UserError`.

    Args:
        cfg: a `Config`.
    """

    def __init__(self, cfg):
        self.cfg = cfg

    @cached_property
    def model(self):
        """The model, a `paddle.nn.Layer`, with its `pretrained` weights if the config names some.

        With the config's `skip_mismatched_weights` those of another shape are left out, each with a warning.
        With its `pruned_channels` the model, and the weights, are those after a pruning.
        """
        spec = dict(self._section("model"))
        skip = self.cfg.get("skip_mismatched_weights", False)
        pruned = spec.pop(PRUNED_CHANNELS, None)
        if spec.get("pretrained") and not skip and isinstance(spec.get("backbone"), dict):
            # The whole model's weights replace all of the backbone's, whose file then need not be there.
            spec["backbone"] = {key: value for key, value in spec["backbone"].items() if key != "pretrained"}
        with manager.searching(self.cfg.sources):
            takes_weights = signature.accepts(manager.MODELS[spec["type"]], "pretrained")
        if takes_weights and not skip and not pruned:
            return _for_device(self._build(spec, manager.MODELS, "model"))
        # A user's model need not take `pretrained`, and no model skips weights of another shape by itself.
        pretrained = spec.pop("pretrained", None)
        model = self._build(spec, manager.MODELS, "model")
        if pruned:
            self._narrow(model, pruned)
        if pretrained is not None:
            load_weights(model, pretrained, skip_mismatched=skip)
        return _for_device(model)

    def trained_model(self, model_path, purpose):
        """Return the model with trained weights, in eval mode.

        Args:
            model_path: the weights; None for those that the config names as `model.pretrained`.
            purpose: what the weights are for, such as "export", for the message.

        Raises:
            UserError: there are no weights, or they belong to another model.
        """
        if model_path is not None:
            load_weights(self.model, model_path)
            onednn.adopt(self.model)  # again, since a layer may have taken the form of its weights
        elif self.cfg.pretrained is None:
            raise UserError(
                f"{self.cfg.path}: no weights to {purpose}: give model_path, or set model.pretrained in it"
            )
        self.model.eval()
        return self.model

    @cached_property
    def train_dataset(self):
        """The dataset to train on."""
        return self._component("train_dataset")

    @cached_property
    def val_dataset(self):
        """The dataset to evaluate on, None where the config has none."""
        return self._component("val_dataset") if self.cfg.get("val_dataset") else None

    @cached_property
    def unlabeled_dataset(self):
        """The dataset of images without masks, None where the config has none."""
        return self._component("unlabeled_dataset") if self.cfg.get("unlabeled_dataset") else None

    @cached_property
    def lr_scheduler(self):
        """The learning rate over the iterations, a `paddle.optimizer.lr.LRScheduler`."""
        warmup = self._section("lr_scheduler").get("warmup_iters", 0)
        if warmup and warmup >= self.cfg.iters:
            logger.warning(
                f"{self.cfg.place('lr_scheduler', 'warmup_iters')}: {warmup} is not below iters "
                f"({self.cfg.iters}), so the training ends before the learning rate reaches its full height"
            )
        return self._component("lr_scheduler")

    @cached_property
    def optimizer(self):
        """The optimizer of the model's parameters."""
        return self.optimizer_of(self.model)

    def optimizer_of(self, layer):
        """Return a new optimizer of the parameters of `layer`: the model, or what is trained with it."""
        factory = self._component("optimizer")
        schedule = self.lr_scheduler
        try:
            return factory(layer, schedule)
        except UserError as error:
            raise UserError(f"{self.cfg.path}: optimizer: {error}") from None

    @cached_property
    def loss(self):
        """The task's losses: {'types': [loss, ...], 'coef': [number, ...]}, one for each output."""
        return self._losses("loss")

    @cached_property
    def distill_loss(self):
        """The losses between the logits of student and teacher, as `loss`; None if there are none.

        An item of `coef` may be "auto": `AutoWeights` measures it for the `share`. `coef: auto` becomes one
        item for each type. With a single type, the key `each_output` is true: the type serves all
        outputs.
        """
        return self._losses("distill_loss") if self.cfg.get("distill_loss") else None

    @cached_property
    def eval_config(self):
        """How images are evaluated, an `EvalConfig`: the config's `test_config`."""
        return EvalConfig(**self.cfg.get("test_config", {}))

    def _narrow(self, model, channels):
        try:
            pruned_channels.narrow(model, channels)
        except UserError as error:
            raise UserError(f"{self.cfg.place('model', PRUNED_CHANNELS)}: {error}") from None

    def _section(self, name):
        spec = self.cfg.get(name)
        if spec is None:
            raise UserError(f"{self.cfg.path}: the section {name!r} is missing")
        return spec

    def _component(self, section):
        return self._build(self._section(section), facts.COMPONENT_SECTIONS[section], section)

    def _build(self, spec, registry, path):
        try:
            with manager.searching(self.cfg.sources):
                return build_component(spec, registry, path)
        except UserError as error:
            # The message begins with the key path, "a.b.0: ".
            key_path, _, problem = str(error).partition(": ")
            keys = [int(key) if key.isdigit() else key for key in key_path.split(".")]
            raise UserError(f"{self.cfg.place(*keys)}: {problem}") from None

    def _losses(self, section):
        spec = self._section(section)
        types = [
            self._build(item, manager.LOSSES, f"{section}.types.{i}") for i, item in enumerate(spec["types"])
        ]
        coef = spec["coef"]
        if coef == facts.AUTO:
            each_output = {"each_output": len(types) == 1}
            return {"types": types, "coef": [coef] * len(types), "share": spec.get("share", 1), **each_output}
        if len(types) == 1:  # one loss serves all outputs
            types *= len(coef)
        return {"types": types, "coef": list(coef), "share": spec.get("share", 1)}


def _for_device(model):
    return onednn.adopt(parallel.with_batch_norm_of_the_device(model))


def build_component(spec, registry, path):
    """Build a `{type: ..., key: value}` and the components among its values.

    Args:
        spec: the dict; it is not changed.
        registry: the `ComponentManager` that `type` is looked up in.
        path: its key path in the config, "a.b.0", for messages.

    Raises:
        UserError: the component refuses its arguments; the message begins with `path`.
    """
    values = {key: value for key, value in spec.items() if key != "type"}
    arguments = {key: _build_value(key, value, f"{path}.{key}") for key, value in values.items()}
    try:
        return registry[spec["type"]](**arguments)
    except UserError as error:
        has_path = str(error).startswith((f"{path}.", f"{path}:"))
        raise UserError(error if has_path else f"{path}: {error}") from None
    except Exception as error:
        # Paddle refuses impossible sizes, for example. An error that another file raises is a bug.
        if not _raised_by_library(error):
            raise
        raise UserError(f"{path}: {spec['type']} refuses {values}: {one_line(error)}") from error


def _raised_by_library(error):
    """Tell whether a file of Paddle, PaddleSlim or PaddleSeg raised an error."""
    file = os.path.abspath(traceback.extract_tb(error.__traceback__)[-1].filename)
    paddle_folder = os.path.dirname(paddle.__file__)
    paddleslim_folder = os.path.join(os.path.dirname(paddle_folder), "paddleslim")
    folders = (paddle_folder, paddleslim_folder, *(source.folder for source in manager.SOURCES))
    return file.startswith(tuple(folder + os.sep for folder in folders))


def build_transforms(specs, path="transforms"):
    """Build a list of transforms, each a `{type: ..., key: value}`, as `build_component` does."""
    return _build_value("transforms", specs, path)


def _build_value(key, value, path):
    if isinstance(value, list):
        return [_build_value(key, item, f"{path}.{i}") for i, item in enumerate(value)]
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        registry = check.NESTED.get(key) or facts.registry_of(value)
        if registry is not None:
            return build_component(value, registry, path)
    return value
