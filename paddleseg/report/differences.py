"""The differences between the configs of runs."""

import collections
import re

import yaml

from paddleseg.cvlibs.facts import DISTILLATION_SECTIONS
from paddleseg.report.runs import teacher_file

ABSENT = "–"
_TEACHERS_MODEL = re.compile(r"teacher( \d+)?\.model\b")


def differences(runs):
    """Return [(key, [text of each run]), ...] of what differs between runs, in the order of the configs.

    Args:
        runs: list of `Run`.
    """
    texts = [texts_by_key(_settings(run)) for run in runs]
    keys = dict.fromkeys(key for of_run in texts for key in of_run)
    rows = [(key, [of_run.get(key, ABSENT) for of_run in texts]) for key in keys]
    return [(key, row) for key, row in rows if _differ(key, row)]


def texts_by_key(value, prefix=""):
    """Return nested dicts and lists as {dotted key: text}.

    An item of a list that has a `type` has it as its key, a second one of this type "type#2". So an added
    item changes no other key. The list's own key holds the types in their order.
    """
    if isinstance(value, dict):
        texts = [texts_by_key(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()]
        return _joined(texts) if texts else {prefix: "{}"}
    if isinstance(value, (list, tuple)) and value and all(isinstance(i, dict) and "type" in i for i in value):
        names = _numbered([str(item["type"]) for item in value])
        texts = [
            texts_by_key({key: v for key, v in item.items() if key != "type"}, f"{prefix}.{name}")
            for name, item in zip(names, value)
            if len(item) > 1
        ]
        return {prefix: ", ".join(names), **_joined(texts)}
    return {prefix: _text(value)}


def _differ(key, texts):
    # The row of the weights shows which runs have a teacher. Its model matters only if two teachers differ.
    if _TEACHERS_MODEL.match(key):
        texts = [text for text in texts if text != ABSENT]
    return len(set(texts)) > 1


def _settings(run):
    """Return what decides the outcome of a run, as nested dicts."""
    record = run.record
    unread = () if run.distilled else DISTILLATION_SECTIONS
    settings = {key: value for key, value in run.config.items() if key not in unread}
    for number, teacher in enumerate(run.teachers):
        settings["teacher" if len(run.teachers) == 1 else f"teacher {number}"] = {
            "weights": teacher_file(teacher),
            "model": (teacher.get("config") or {}).get("model"),
        }
    if record.get("distill_config") is not None:
        settings["distill_config"] = record["distill_config"]
        settings["distill_config (SHA-256)"] = str(record.get("distill_config_sha256"))[:12]
    settings["seed"] = run.seed
    return {**settings, **{key: record[key] for key in ("device", "paddle") if key in record}}


def _numbered(names):
    seen = collections.Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered


def _joined(dicts):
    return {key: text for dic in dicts for key, text in dic.items()}


def _text(value):
    """Return a value as a config would have it, on one line."""
    if value is None:
        return "null"
    if isinstance(value, (dict, list, tuple)):
        flow = {"default_flow_style": True, "sort_keys": False, "allow_unicode": True}
        return yaml.safe_dump(value, width=float("inf"), **flow).strip()
    return str(value).lower() if isinstance(value, bool) else str(value)
