"""What the sections of a config may hold, as rules: `rule(checker, value, path)` notes each mistake."""

from paddleseg.cvlibs import facts, manager, paddleseg_keys
from paddleseg.cvlibs.feature_losses import FEATURE_LOSSES, misuse
from paddleseg.cvlibs.fill_in import PRUNED_CHANNELS, SUPPLIED_TO_CONNECTORS
from paddleseg.options.inference import EvalConfig
from paddleseg.utils import signature
from paddleseg.utils.signature import fits


def plain(words, is_right):
    """Return the rule that `is_right(value)` is true; `words` say what would be right."""

    def rule(checker, value, path):
        if not is_right(value):
            checker.add(path, f"must be {words}, not {value!r}")

    return rule


def optional(rule):
    """Return a rule that also accepts Null."""
    return lambda checker, value, path: None if value is None else rule(checker, value, path)


def list_of(rule, noun, at_least=0):
    """Return the rule that a value is a list of `noun`, and that `rule` accepts each item."""

    def check(checker, value, path):
        if not isinstance(value, list) or len(value) < at_least:
            checker.add(path, f"must be a list of {noun}, not {value!r}")
        else:
            for i, item in enumerate(value):
                rule(checker, item, (*path, i))

    return check


def section(keys, holds, needed=(), refused=(), then=None):
    """Return the rule that a value is a dict of known keys.

    Args:
        keys: dict from key to the rule of its value.
        holds: what it must hold, in words.
        needed: keys that must have a value.
        refused: the table of `paddleseg_keys` with the refused keys of PaddleSeg.
        then: a rule for the whole dict once every key is right.
    """

    def check(checker, spec, path):
        before = len(checker.problems)
        if not isinstance(spec, dict):
            checker.add(path, f"must hold {holds}, not {spec!r}")
            return
        for key, value in spec.items():
            if key not in keys:
                checker.unknown(spec, key, (*path, key), keys, refused)
            elif value is not None or key not in needed:
                keys[key](checker, value, (*path, key))
        for key in needed:
            if spec.get(key) is None:
                checker.add(path, f"the key {key!r} is missing")
        if then is not None and len(checker.problems) == before:
            then(checker, spec, path)

    return check


def component(registry, supplied=None):
    """Return the rule that a value is a component.

    Args:
        registry: the registry of the component.
        supplied: names of the parameters that it is given from elsewhere; None for those of its section.
    """

    def rule(checker, spec, path):
        checker.component(spec, registry, path, checker.supplied(path[0]) if supplied is None else supplied)

    return rule


def is_share(value):
    """Return whether a number of iterations is a share of the training, such as 0.6."""
    return isinstance(value, float) and 0 < value < 1


def anything(checker, value, path):
    """Accept any value."""


COUNT = plain("a whole number above 0", lambda value: fits(value, int) and value > 0)
INDEX = plain("a whole number of 0 or above", lambda value: fits(value, int) and value >= 0)
ITERATION = plain(
    "a whole number of 0 or above, or a share of the training, above 0 and below 1",
    lambda value: is_share(value) or fits(value, int) and value >= 0,
)
WHOLE = plain("a whole number", lambda value: fits(value, int))
WEIGHT = plain("a number of 0 or above", signature.is_weight)
WEIGHT_OR_AUTO = plain(
    "a number of 0 or above, or auto", lambda value: value == facts.AUTO or signature.is_weight(value)
)
SHARE_OF_TASK = plain("a number above 0", lambda value: signature.is_weight(value) and value > 0)
SHARE = plain("a number above 0 and up to 1", lambda value: fits(value, float) and 0 < value <= 1)
BOOL = plain("true or false", lambda value: isinstance(value, bool))
TRANSFORMS = list_of(component(manager.TRANSFORMS, ()), "transforms")
PATH = plain("text or Null", lambda value: value is None or isinstance(value, str))
NAME = plain("a name", lambda value: isinstance(value, str) and value != "")
CHANNELS = plain(
    "a list of one or two whole numbers above 0",
    lambda value: (
        isinstance(value, list)
        and len(value) in (1, 2)
        and all(fits(item, int) and item > 0 for item in value)
    ),
)


def _pruned_channels(checker, value, path):
    if not isinstance(value, dict):
        checker.add(path, f"must hold the layers of a pruned model and their channels, not {value!r}")
        return
    for layer, channels in value.items():
        CHANNELS(checker, channels, (*path, layer))
    backbone = checker.dic["model"].get("backbone")
    if (
        isinstance(backbone, dict)
        and backbone.get("pretrained")
        and not checker.dic["model"].get("pretrained")
    ):
        problem = "names weights from before the pruning; name those of the pruned model as model.pretrained"
        checker.add(("model", "backbone", "pretrained"), problem)


# Keys of the model that its constructor need not take.
OF_EVERY_MODEL = {"pretrained": PATH, PRUNED_CHANNELS: optional(_pruned_channels)}


def _loss(checker, spec, path):
    """Check a loss of `loss` or `distill_loss`: it must compare the student with what its section is for."""
    checker.component(spec, manager.LOSSES, path, checker.supplied(path[0]))
    for place, loss in facts.with_nested(spec, path):
        against = getattr(facts.component_of(loss, manager.LOSSES), "against", None)
        if against not in (None, facts.LOSS_SECTIONS[path[0]]):
            problem = f"compares the student with the {against}, so it has no place in {path[0]}"
            checker.add((*place, "type"), f"{loss['type']} {problem}")


LOSSES = {"types": list_of(_loss, "at least one loss", 1), "coef": list_of(WEIGHT, "at least one number", 1)}


def _coef_or_auto(checker, value, path):
    if value != facts.AUTO:
        list_of(WEIGHT_OR_AUTO, "at least one number, or auto", 1)(checker, value, path)


def _share_has_effect(checker, spec, path):
    """Note a `share` beside weights that are all numbers."""
    weights = spec.get("coef", spec.get("weight"))
    if (
        "share" in spec
        and weights != facts.AUTO
        and not (isinstance(weights, list) and facts.AUTO in weights)
    ):
        key = "coef" if "coef" in spec else "weight"
        checker.add((*path, "share"), f"has no effect without `{key}: auto`")


def _losses(**more):
    keys = section({**LOSSES, **more}, "`types` and `coef`", needed=("types", "coef"), then=_share_has_effect)

    def rule(checker, spec, path):
        keys(checker, spec, path)
        types, coef = (spec.get(key) if isinstance(spec, dict) else None for key in LOSSES)
        lists = isinstance(types, list) and isinstance(coef, list)
        if lists and types and coef and len(types) not in (1, len(coef)):
            problem = f"{len(coef)} coef for {len(types)} types; there must be one for each"
            checker.add((*path, "coef"), problem)

    return rule


def _option(checker, value, path):
    checker.value(value, signature.parameters(EvalConfig)[path[-1]], path)


PLACES = ("output_of", "input_of", "attr")


def _grid(checker, value, path):
    sides = value if isinstance(value, list) else []
    if value != "auto" and not (len(sides) == 2 and all(fits(side, int) and side > 0 for side in sides)):
        checker.add(path, f"must be [height, width], two whole numbers above 0, or auto, not {value!r}")


TOKENS = {"grid": optional(_grid), "skip": INDEX}
TAP = {**dict.fromkeys(PLACES, NAME), "index": optional(WHOLE), **TOKENS}


def _tap(checker, spec, path):
    if isinstance(spec, str) and spec:
        return
    if isinstance(spec, dict) and len(set(PLACES).intersection(spec)) == 1:
        section(TAP, "a tap")(checker, spec, path)
    else:
        words = "a sublayer's dotted name, {attr: name}, {input_of: layer} or {output_of: layer}"
        checker.add(path, f"must be {words}, not {spec!r}")


def _without_channels(checker, spec, path):
    """Refuse channels in the config, since they are those of the tapped tensors."""
    for key in SUPPLIED_TO_CONNECTORS:
        if isinstance(spec, dict) and key in spec:
            checker.add((*path, key), "is taken from the tapped tensors; leave the key out")


def _feature_loss(checker, spec, path):
    checker.component(spec, FEATURE_LOSSES, path, checker.supplied("distill_loss"))
    _without_channels(checker, spec, path)
    reason = misuse(spec) if facts.component_of(spec, FEATURE_LOSSES) is not None else None
    if reason:
        checker.add((*path, "type"), reason)


def _connector(checker, spec, path):
    if isinstance(spec, dict):
        checker.component(spec, manager.CONNECTORS, path, SUPPLIED_TO_CONNECTORS)
        _without_channels(checker, spec, path)
    elif spec not in (None, "none", "auto"):
        checker.add(path, f"must be none, auto, or a `type` and its keys, not {spec!r}")


def _end_of_schedule(checker, spec, path):
    start, end = spec.get("start_iter", 0), spec.get("end_iter")
    comparable = start == 0 or is_share(start) == is_share(end)
    if end is not None and comparable and end <= start:
        checker.add((*path, "end_iter"), f"must be above start_iter, {start}, not {end}")
    if end is None and "end_factor" in spec:
        checker.add((*path, "end_factor"), "has no effect without end_iter")


SCHEDULE = {
    "start_iter": ITERATION,
    "warmup_iters": ITERATION,
    "end_iter": optional(ITERATION),
    "end_factor": WEIGHT,
}
FEATURE = {
    "student": _tap,
    "loss": _feature_loss,
    "teacher": optional(_tap),
    "weight": WEIGHT_OR_AUTO,
    "share": SHARE_OF_TASK,
    "connector": _connector,
    "schedule": optional(section(SCHEDULE, ", ".join(SCHEDULE), then=_end_of_schedule)),
    "teacher_index": INDEX,
    **TOKENS,
}
_FEATURE = section(
    FEATURE, "`student`, `teacher` and `loss`", needed=("student", "loss"), then=_share_has_effect
)
DISTILL = {
    "features": optional(list_of(_FEATURE, "features")),
    "teacher_weighting": plain("mean or confidence", ("mean", "confidence").__contains__),
    "unlabeled_share": SHARE,
}
TOP_LEVEL = {
    "iters": optional(COUNT),
    "batch_size": optional(COUNT),
    "num_classes": optional(COUNT),
    "ignore_index": optional(WHOLE),
    "skip_mismatched_weights": BOOL,
    "imports": anything,  # checked when it is imported
    "paddleseg_path": anything,  # checked when it is looked for
}
SECTIONS = {
    **{name: component(registry) for name, registry in facts.COMPONENT_SECTIONS.items()},
    "loss": _losses(),
    "distill_loss": _losses(
        coef=_coef_or_auto, share=SHARE_OF_TASK, at=plain("full or head", ("full", "head").__contains__)
    ),
    "distill": section(DISTILL, "keys such as `features`"),
    "test_config": section(
        dict.fromkeys(signature.parameters(EvalConfig), _option),
        "keys such as aug_eval and is_slide",
        refused=paddleseg_keys.OF_TEST_CONFIG,
        then=lambda checker, spec, path: checker.try_call(EvalConfig, spec, path),
    ),
    "export": section({"transforms": TRANSFORMS}, "`transforms`"),
}


def top_level(checker, sections, required):
    """Check the keys of a config's top level, and of its sections those named `sections`."""
    rules = {name: optional(rule) if name in sections else anything for name, rule in SECTIONS.items()}
    keys = section({**rules, **TOP_LEVEL}, "keys", required, paddleseg_keys.TOP_LEVEL)
    keys(checker, checker.dic, ())


def unlabeled_share(checker):
    """Check that labelled and unlabelled images both have a place in a batch, and losses their labels."""
    dic, path = checker.dic, ("distill", "unlabeled_share")
    share = facts.distill_section(dic).get("unlabeled_share", facts.DEFAULT_SHARE)
    batch_size = dic.get("batch_size")
    if not fits(share, float) or not 0 < share <= 1:
        return
    if not dic.get("unlabeled_dataset"):
        if "unlabeled_share" in facts.distill_section(dic):
            checker.add(path, "has no effect without unlabeled_dataset")
    elif fits(batch_size, int) and batch_size > 0:
        problem = facts.problem_of_share(share, batch_size)
        if problem is not None:
            checker.add(path, problem)
        if share == 1:
            _labels(checker)


def _labels(checker):
    """Note what needs labels, in a config whose batches have none."""
    reason = "needs labels, and with unlabeled_share 1 there are none"
    if facts.distill_section(checker.dic).get("teacher_weighting") == "confidence":
        checker.add(("distill", "teacher_weighting"), f"confidence {reason}")
    for path in facts.automatic_weights(checker.dic):
        checker.add(path, f"auto measures the gradient of the task's loss, which {reason}")
    for path, spec in facts.losses(checker.dic, ("distill_loss", "distill")):
        if getattr(facts.component_of(spec, manager.LOSSES), "needs_label", False):
            checker.add((*path, "type"), f"{spec['type']} {reason}")
