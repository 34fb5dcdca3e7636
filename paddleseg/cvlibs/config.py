"""A YAML file, read, changed by options, checked, and completed."""

import importlib
import os
import sys

import yaml

from paddleseg import parallel
from paddleseg.cvlibs import facts, manager, paddleseg_keys
from paddleseg.cvlibs.check import Checker
from paddleseg.cvlibs.class_names import section_names
from paddleseg.cvlibs.fill_in import fill_in
from paddleseg.cvlibs.overrides import apply_overrides
from paddleseg.cvlibs.preparation import TRAINED_ON, differences, in_bytes, is_repeated, preparation
from paddleseg.cvlibs.yaml_file import IN_PYTHON, config_from
from paddleseg.errors import UserError, counted
from paddleseg.options.inference import with_flags
from paddleseg.utils.logger import logger

# These modules register the built-in components. Users' modules are imported likewise.
BUILT_IN = (
    "paddleseg.models",
    "paddleseg.datasets",
    "paddleseg.transforms",
    "paddleseg.optimizers",
    "paddleseg.distill.connectors",
    "paddleseg.distill.teachers.onnx_teacher",
)
DEPLOYED = ("export", "val_dataset")  # sections that state how an image is prepared; the first one wins


class ConfigError(UserError):
    """A config with mistakes; `problems` lists all of them, each with file, key path and remedy."""

    def __init__(self, path, problems):
        self.problems = list(problems)
        head = f"{counted(len(self.problems), 'problem')} in the config {path}:"
        super().__init__("\n  ".join([head, *self.problems]))


class Config(facts.BatchContents):
    """A config, read, changed and checked. Nothing is built and no data is touched.

    Args:
        path: YAML file, or a dict of the same content; `_base_` names files that it builds on.
        learning_rate: overrides `lr_scheduler.learning_rate`.
        iters: overrides `iters`.
        batch_size: overrides `batch_size`, samples per process.
        opts: list of "a.b=value" overrides; the three above win over them.
        sections: which sections are read and checked; the others stay as they are. Default: all.
        required: keys that the caller cannot do without.
        test_config: dict of values that win over those of the section `test_config`; None for one that is not
            given.
        as_teacher: whether it is a teacher's config, whose model may be teacher-only (see `TeacherOnly`).

    Attributes:
        path: the file; "<dict>" for a dict.
        dic: the config as nested dicts and lists. `num_classes`, `ignore_index`, `mode` and the like are
            filled in where a component takes them and the file states none.
        sources: where its components are looked for that are not registered: [] or PaddleSeg's files.

    Raises:
        ConfigError: the file has mistakes; all of them are listed at once.
        UserError: the file cannot be read at all.
    """

    def __init__(
        self,
        path,
        learning_rate=None,
        iters=None,
        batch_size=None,
        opts=None,
        sections=facts.SECTIONS,
        required=(),
        test_config=None,
        as_teacher=False,
    ):
        self.path = IN_PYTHON if isinstance(path, dict) else path
        self.dic, self._origins = config_from(path)
        problems = apply_overrides(self.dic, self._origins, opts)
        options = {"lr_scheduler.learning_rate": learning_rate, "iters": iters, "batch_size": batch_size}
        for key, value in options.items():
            if value is not None:
                option = key.rpartition(".")[2]
                problems += apply_overrides(self.dic, self._origins, [f"{key}={value}"], f"option {option}")
        self._change_test_config(test_config or {})
        paddleseg_keys.translate(self.dic)
        problems += self._import_components()
        self.sources, problems_of_path = self._other_sources()
        problems += problems_of_path
        with manager.searching(self.sources):
            self._check_and_complete(problems, sections, required, as_teacher)

    @property
    def iters(self):
        """Number of training iterations."""
        return self.dic["iters"]

    @property
    def batch_size(self):
        """Samples per iteration and process."""
        return self.dic["batch_size"]

    @property
    def num_classes(self):
        """The number of classes, None where the config states none."""
        return self.stated("num_classes").value

    @property
    def ignore_index(self):
        """The label of pixels that do not count, 255 where the config states none."""
        return self.stated("ignore_index").value

    @property
    def img_channels(self):
        """The channels of the images that the model takes, 3 where the config states none."""
        return self.stated("img_channels").value

    @property
    def img_range(self):
        """The (low, high) of images that become 0 and 255; None for the range of their files' type.

        It is that of the first section among `val_dataset`, `train_dataset` and `unlabeled_dataset`.
        """
        sections = (self.get(name) for name in ("val_dataset", "train_dataset", "unlabeled_dataset"))
        section = next((section for section in sections if isinstance(section, dict)), {})
        value = section.get("img_range")
        return tuple(value) if isinstance(value, list) else value

    @property
    def unlabeled_per_batch(self):
        """How many images of a process's batch come from the `unlabeled_dataset`, 0 without one."""
        return facts.num_unlabeled(self.dic)

    @property
    def normalization(self):
        """The `Fact` of the (mean, std) that `Normalize` applies to the images of a distillation.

        Raises:
            UserError: a data set does not state them, or two state different ones.
        """
        stated = []
        for section in self.training_sections:
            found = self.normalizations([section])
            if not found:
                place = self.place(section)
                raise UserError(
                    f"{place}: no transforms here state how images are normalised; one Normalize would"
                )
            stated += found
            if stated[-1].value != stated[0].value:
                raise UserError(f"{stated[-1].place}: images are normalised differently at {stated[0].place}")
        return stated[0]

    def normalizations(self, sections):
        """Return a list of `Fact`s, the (mean, std) of each of `sections` that states how it normalises."""
        found = (facts.normalization(self.dic, section) for section in sections)
        return [self._with_line(fact) for fact in found if fact is not None]

    @property
    def compares_logits(self):
        """Whether there is a `distill_loss` between the logits of student and teachers."""
        return self.get("distill_loss") is not None

    @property
    def compares_features_alone(self):
        """Whether a distillation trains by features alone: it has neither labels nor a `distill_loss`."""
        return not (self.has_labels or self.compares_logits)

    @property
    def logits_at(self):
        """Where `distill_loss` compares logits: "full", at the size of the images, or "head"."""
        return self.get("distill_loss", {}).get("at", "full")

    @property
    def teacher_weighting(self):
        """How the logits of several teachers are joined, "mean" or "confidence"."""
        return self.get("distill", {}).get("teacher_weighting", "mean")

    @property
    def feature_specs(self):
        """The list `distill.features`, [] where there is none."""
        return facts.features(self.dic)

    @property
    def class_names(self):
        """The names of the classes, a tuple; () where no labelled data set names them."""
        return next(filter(None, (section_names(self.get(name)) for name in facts.DATA_SECTIONS)), ())

    @property
    def model_type(self):
        """The name of the model's class."""
        return self.dic["model"]["type"]

    @property
    def pretrained(self):
        """The weights that `model.pretrained` names, None where it names none."""
        return self.dic["model"].get("pretrained") or None

    def stated(self, name):
        """Return the `Fact` of "num_classes", "ignore_index" or "img_channels", with its place.

        Where the config states none, the value is the default (None, 255 and 3), and the place is the file.
        """
        return self._with_line(self._facts[name])

    def drop_pretrained(self):
        """Remove `pretrained` from the model's section, its backbone's included, in place; return self."""
        _drop_pretrained(self.dic["model"])
        return self

    def __getitem__(self, section):
        return self.dic[section]

    def get(self, section, default=None):
        """Return a section or top-level value, `default` where the config has none."""
        value = self.dic.get(section)
        return default if value is None else value

    def __str__(self):
        return as_yaml(self.dic)

    def place(self, *path):
        """Return "file:line: a.b.0" for a key path, for messages."""
        return ": ".join(text for text in (self._where(path), ".".join(map(str, path))) if text)

    def place_of_channels(self, channels, section):
        """Return the place that states so many channels of images, if possible in `section`; else its own."""
        places = [fact.place for fact in facts.channel_counts(self.dic) if fact.value == channels]
        places.sort(key=lambda place: place[0] != section)
        return self.place(*(places[0] if places else (section,)))

    def name_source(self, where):
        """Let messages name `where` instead of the file that was read, which is temporary, and its lines."""
        self.path = where
        self._origins = {}

    def deployed_transforms(self, sections=DEPLOYED):
        """Return the transforms of an image without a mask, from the first of `sections` that lists some.

        By default those of a deployment: of `export`, else of evaluation. Without any: what a prediction can
        repeat of those of `train_dataset`, else `Normalize`.
        """
        return self._preparation(sections).transforms

    def deployed_section(self, sections=DEPLOYED):
        """Return the section whose transforms `deployed_transforms` returns, None if there is none."""
        return self._preparation(sections).section

    def _preparation(self, sections):
        """Return the `preparation` of an image, and check what it takes from a training."""
        found = preparation(self.dic, sections)
        if found.section not in TRAINED_ON:
            return found
        checker = Checker(self.dic, self._where)
        for i, spec in enumerate(self.dic[found.section]["transforms"]):
            if is_repeated(spec):
                checker.component(spec, manager.TRANSFORMS, (found.section, "transforms", i))
        if checker.problems:
            raise ConfigError(self.path, checker.problems)
        for spec, key in checker.idle:
            del spec[key]
        return preparation(self.dic, sections)

    def warn_of_preparation(self, sections=DEPLOYED):
        """Warn if the transforms of a deployment follow from a training, or differ from those of one.

        Args:
            sections: as in `deployed_transforms`.
        """
        found = self._preparation(sections)
        names = " -> ".join(str(spec["type"]) for spec in found.transforms) or "no transform"
        remedy = "a section val_dataset, or `export: transforms:`, would state it"
        if found.section is None:
            self._warn(f"{self.path} does not state how images are prepared: {names} is assumed; {remedy}")
        elif found.section in TRAINED_ON:
            without = f", without {', '.join(found.left_out)}" if found.left_out else ""
            place, channels = self.place(found.section, "transforms"), counted(self.img_channels, "channel")
            self._warn(
                f"images are prepared as in training ({place}): {channels}, {names}{without}; {remedy}"
            )
        self.warn_of_differences(found.section)

    def warn_of_differences(self, *sections):
        """Warn of sections that normalise images or name classes otherwise than those of the training.

        Also of any, the training's included, that normalises in units of bytes.
        """
        for line in self.differences(*sections):
            self._warn(line)

    def differences(self, *sections):
        """Return what `warn_of_differences` warns of, a list of lines with both places."""
        in_units_of_bytes = in_bytes(self.dic, dict.fromkeys(("train_dataset", *sections)))
        return [f"{self.place(*path)}: {text}" for path, text in in_units_of_bytes] + [
            f"{self.place(*found.path)}: {found.text}, but {self.place(*found.other)}: {found.other_text}; "
            f"{found.consequence}"
            for found in differences(self.dic, sections)
        ]

    @staticmethod
    def _warn(text):
        if parallel.rank() == 0:
            logger.warning(text)

    def _with_line(self, fact):
        """Return a `Fact` whose place is a text, as messages write it, instead of a key path."""
        return fact._replace(place=self.place(*fact.place))

    def _where(self, path):
        """Return "file:line" of the nearest key at or above `path`; the file itself at the top."""
        while path and path not in self._origins:
            path = path[:-1]
        return self._origins[path] if path else self.path

    def _change_test_config(self, options):
        given = [key for key, value in options.items() if value is not None]
        section = self.dic.get("test_config")
        if given and isinstance(section, (dict, type(None))):
            self.dic["test_config"] = with_flags(section, options)
            self._origins.setdefault(("test_config",), "options")
            self._origins.update({("test_config", key): f"option {key}" for key in given})

    def _check_and_complete(self, problems, sections, required, as_teacher):
        """Raise `ConfigError` if there are mistakes, `problems` included; else write the facts into `dic`."""
        checker = Checker(self.dic, self._where, as_teacher)
        checker.check(sections, required)
        ignored = [
            f"{self.place(key)}: no component and no command reads this key" for key in checker.ignored
        ]
        if problems or checker.problems:
            raise ConfigError(self.path, [*problems, *checker.problems, *ignored])
        for key, line in zip(checker.ignored, ignored):
            self._warn(f"{line}; PaddleSeg ignores it, too")
            del self.dic[key]
        for spec, key in checker.idle:
            del spec[key]
        names = ("num_classes", "ignore_index", "img_channels")
        self._facts = {name: facts.stated(self.dic, name, sections) for name in names}
        fill_in(self.dic, sections)

    def _other_sources(self):
        """Return ([PaddleSeg's files], []), ([], []) where no folder is named, or ([], [what is wrong])."""
        path, place = self.dic.get("paddleseg_path"), f"{self._where(('paddleseg_path',))}: paddleseg_path"
        if path is None:
            path, place = os.environ.get("PADDLESEG_PATH"), "environment variable PADDLESEG_PATH"
        if not path:
            return [], []
        if not isinstance(path, str):
            return [], [f"{place}: must be the path of a folder, not {path!r}"]
        from paddleseg.cvlibs.paddleseg_files import paddleseg_files  # few configs need it

        try:
            return [paddleseg_files(path)], []
        except UserError as error:
            return [], [f"{place}: {error}"]

    def _import_components(self):
        """Import the modules that register components; return what is wrong, one line each."""
        for module in BUILT_IN:
            importlib.import_module(module)
        modules, place = self.dic.get("imports") or [], self._where(("imports",))
        if not isinstance(modules, list) or not all(map(_is_module_name, modules)):
            remedy = "must be a list of module names, such as [my_package.my_module]"
            return [f"{place}: imports: {remedy}, not {modules!r}"]
        # A base's modules lie beside that base. A command line or a dict states no file.
        files = [file for file in (self.path, place.rpartition(":")[0]) if modules and file]
        for folder in [*(os.path.dirname(os.path.abspath(file)) for file in files), os.getcwd()]:
            if folder not in sys.path:
                sys.path.insert(0, folder)
        problems = []
        for module in modules:
            try:
                importlib.import_module(module)
            except (ImportError, SyntaxError, UserError) as error:
                problems.append(
                    f"{place}: imports: {module!r} cannot be imported ({error}); it is looked for in the "
                    f"working directory, beside the config and on PYTHONPATH"
                )
        return problems


def as_yaml(value):
    """Return a config, or a part of it, as a YAML text."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None)


def _drop_pretrained(spec):
    spec.pop("pretrained", None)
    for value in spec.values():
        if isinstance(value, dict):
            _drop_pretrained(value)


def _is_module_name(name):
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
