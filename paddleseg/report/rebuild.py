"""Models and data sets, rebuilt from the config that a run's run.yml holds."""

import os
import re
import sys
import tempfile

import yaml

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.report.runs import without_pretrained
from paddleseg.weights.load import load_weights


def builder_of(config, sections, where, config_path=None, as_teacher=False):
    """Return the `SegBuilder` of some sections of a merged config, whose model has random weights.

    Args:
        config: the dict.
        sections: names of the sections; all are required.
        where: what messages call the config.
        config_path: the path of the run's config file, whose folder may hold modules of `imports`. Default
            None.
        as_teacher: whether the model may be teacher-only (see `TeacherOnly`). Default False.

    Raises:
        UserError: a component or a module does not exist, or a section is missing.
    """
    if config_path is not None and os.path.dirname(config_path) not in sys.path:
        sys.path.append(os.path.dirname(config_path))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.yml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(without_pretrained(config), file, sort_keys=False)
        try:
            cfg = Config(path, sections=sections, required=sections, as_teacher=as_teacher)
        except UserError as error:
            # The user has no such file, so the message names `where` instead of the file and its lines.
            raise UserError(re.sub(re.escape(path) + r"(:\d+)?", lambda _: where, str(error))) from None
    cfg.name_source(where)
    return SegBuilder(cfg)


def model_of(config, weights, where, config_path=None):
    """Return the model of a merged config in eval mode, with the weights of a file.

    Args:
        weights: what `load_weights` takes; None for a teacher-only model, which loads its own.
        config, where, config_path: as in `builder_of`.
    """
    model = builder_of(config, ("model",), where, config_path, as_teacher=weights is None).model
    if weights is not None:
        load_weights(model, weights)
    model.eval()
    return model
