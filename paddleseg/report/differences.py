"""What differs between the configs of runs."""

import collections
import re

import yaml

from paddleseg.cvlibs.check_distill import DISTILLATION_SECTIONS
from paddleseg.report.runs import teacher_file

ABSENT = "–"
_TEACHERS_MODEL = re.compile(r"teacher( \d+)?\.model\b")


def differences(runs):
    """Return [(key, [text of each run]), ...] of what is not the same in all of them, in the configs' order.

    Args:
        runs: list of `Run`.
    """
    said = [texts_by_key(_of(run)) for run in runs]
    keys = list(dict.fromkeys(key for one in said for key in one))
    rows = [(key, [one.get(key, ABSENT) for one in said]) for key in keys]
    return [(key, texts) for key, texts in rows if _differ(key, texts)]


def texts_by_key(value, prefix=""):
    """Return nested dicts and lists as {dotted key: text}.

    An item of a list that has a `type` goes by it, so that one that is put in shifts no other, and a second
    of the type by "type#2"; under the list's own key stand the types in their order.
    """
    if isinstance(value, dict):
        parts = [texts_by_key(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()]
        return _joined(parts) if parts else {prefix: "{}"}
    if isinstance(value, (list, tuple)) and value and all(isinstance(i, dict) and "type" in i for i in value):
        names = _numbered([str(item["type"]) for item in value])
        parts = [
            texts_by_key({key: v for key, v in item.items() if key != "type"}, f"{prefix}.{name}")
            for name, item in zip(names, value)
            if len(item) > 1
        ]
        return {prefix: ", ".join(names), **_joined(parts)}
    return {prefix: _text(value)}


def _differ(key, texts):
    # That there is a teacher is told by its weights; its model is of interest where there are two.
    said = [text for text in texts if text != ABSENT] if _TEACHERS_MODEL.match(key) else texts
    return len(set(said)) > 1


def _of(run):
    about = run.about
    teachers = about.get("teachers") or []
    of_teachers = {
        "teacher" if len(teachers) == 1 else f"teacher {k}": {
            "weights": teacher_file(teacher),
            "model": (teacher.get("config") or {}).get("model"),
        }
        for k, teacher in enumerate(teachers)
    }
    distill_file = {}
    if about.get("distill_config") is not None:
        distill_file["--distill_config"] = about["distill_config"]
        distill_file["--distill_config (SHA-256)"] = str(about.get("distill_config_sha256"))[:12]
    also = {key: about[key] for key in ("device", "paddle") if key in about}
    idle = () if run.distilled else DISTILLATION_SECTIONS
    config = {key: value for key, value in about["config"].items() if key not in idle}
    return {**config, **of_teachers, **distill_file, "--seed": about.get("seed"), **also}


def _numbered(names):
    seen = collections.Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered


def _joined(parts):
    return {key: text for part in parts for key, text in part.items()}


def _text(value):
    """Return a value as a config would say it, on one line."""
    if value is None:
        return "null"
    if isinstance(value, (dict, list, tuple)):
        flow = {"default_flow_style": True, "sort_keys": False, "allow_unicode": True}
        return yaml.safe_dump(value, width=float("inf"), **flow).strip()
    return str(value).lower() if isinstance(value, bool) else str(value)
