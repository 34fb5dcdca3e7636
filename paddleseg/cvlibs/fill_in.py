"""Write the facts that a config states once to each component that takes them and does not state them."""

from paddleseg.cvlibs import facts, manager
from paddleseg.utils import signature

MODES = {"train_dataset": "train", "val_dataset": "val", "unlabeled_dataset": "test"}
# Logits have as many channels as there are classes.
SUPPLIED_TO_LOSSES = ("num_classes", "student_channels", "teacher_channels")
SUPPLIED_TO_CONNECTORS = ("student_channels", "teacher_channels")
PRUNED_CHANNELS = "pruned_channels"
# The names that schedules give to the number of iterations for which they run.
STEPS = ("decay_steps", "T_max")
# {section: the parameters that are filled in for its component, so that a config need not state them}
SUPPLIED = {
    **dict.fromkeys(MODES, ("mode", "num_classes")),
    "model": ("num_classes", "pretrained", PRUNED_CHANNELS),
    "optimizer": (),
    "lr_scheduler": STEPS,
    "loss": ("num_classes",),
    "distill_loss": SUPPLIED_TO_LOSSES,
}


def fill_in(dic, sections):
    """Complete the given sections of a checked config in place."""
    num_classes = facts.stated(dic, "num_classes", sections).value
    for section, registry in facts.COMPONENT_SECTIONS.items():
        spec = dic.get(section) if section in sections else None
        component = facts.component_of(spec, registry)
        if component is not None:
            values = {"num_classes": num_classes, "mode": MODES.get(section)}
            _write(spec, {k: v for k, v in values.items() if signature.accepts(component, k)})
            if section == "lr_scheduler" and dic.get("iters"):
                steps = max(dic["iters"] - spec.get("warmup_iters", 0), 1)
                _write(spec, {key: steps for key in STEPS if key in signature.parameters(component)})
    labels = facts.ignored_labels(dic, sections)
    for _, spec in facts.ignoring_components(dic, sections) if labels else []:
        _write(spec, {"ignore_index": labels[0].value})
    for path, spec in facts.losses(dic, set(facts.LOSS_SECTIONS).intersection(sections)):
        component = facts.component_of(spec, manager.LOSSES)
        known = {} if component is None else signature.parameters(component)
        _write(spec, {key: num_classes for key in SUPPLIED[path[0]] if key in known})
    if "model" in sections:
        _fill_in_channels(dic, sections)


def _fill_in_channels(dic, sections):
    """Write the channels of the images to the backbone."""
    channels = facts.stated(dic, "img_channels", sections)
    backbone = (dic.get("model") or {}).get("backbone")
    component = facts.component_of(backbone, manager.BACKBONES)
    if channels.place and component is not None and "in_channels" in signature.parameters(component):
        _write(backbone, {"in_channels": channels.value})


def _write(spec, values):
    for key, value in values.items():
        if spec.get(key) is None and value is not None:
            spec[key] = value
