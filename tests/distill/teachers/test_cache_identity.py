"""What the rows of a teacher's cache depend on."""

import json
import os

import distilling
import pytest
import tiny
from running import config

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.datasets import Dataset
from paddleseg.distill.teachers.cache_identity import data_identity


@manager.DATASETS.add_component
class Choosing(Dataset):
    """May choose its classes by a key that only names classes elsewhere."""


@pytest.mark.parametrize(("kind", "same"), [("Dataset", True), ("Choosing", False)])
def test_names_of_classes_decide_nothing_where_they_are_names_alone(tmp_path, root, kind, same):
    files = {"train_path": f"{root}/train_list.txt", "num_classes": 2}
    identities = []
    for names in (["a", "b"], ["soil", "leaf"]):
        dic = config(root)
        dic["train_dataset"] = {**dic["train_dataset"], "type": kind, **files, "class_names": names}
        path = tmp_path / "config.yml"
        path.write_text(json.dumps(dic), encoding="utf-8")
        identities.append(data_identity(SegBuilder(Config(str(path)))))
    assert (identities[0] == identities[1]) is same


FEATURE = distilling.feature("body.0", connector="auto")
NORMALIZED = [{"type": "Normalize"}]
OTHERS = {
    "seed": {"seed": 3},
    "views": {"cache_views": 3},
    "dtype": {"cache_dtype": "float16"},
    "tap": {"features": [FEATURE]},
    "no logits": {"features": [FEATURE], "opts": ["distill_loss=null"]},
    "transforms": {"opts": [f"train_dataset.transforms={json.dumps(NORMALIZED)}"]},
    "teacher": {"teacher_opts": [["model.pretrained=null"]]},
    "mixed": {"dic": {"distill": {"unlabeled_share": 0.5}}},
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_changes_the_outputs_has_another_folder(distill, data, tmp_path, case):
    short = {"iters": 1}
    distill(cache="cache", dic=short)
    given = dict(OTHERS[case])
    dic = {**short, **given.pop("dic", {})}
    if case == "mixed":
        dic["unlabeled_dataset"] = {"type": "UnlabeledImages", "dataset_root": data, "transforms": NORMALIZED}
    distill("other", cache="cache", dic=dic, **given)
    assert len(os.listdir(tmp_path / "cache")) == 2


def test_what_does_not_change_the_outputs_has_the_same_folder(distill, tmp_path, data):
    distill(cache="cache", dic={"iters": 1})
    moved = str(tmp_path / "moved")
    os.symlink(data, moved)
    opts = [f"train_dataset.dataset_root={moved}", "batch_size=5", "distill_loss.at=head"]
    opts += ["optimizer.momentum=0"]
    distill("other", cache="cache", dic={"iters": 1}, opts=opts, num_workers=1)
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_taps_that_an_adaptor_names_are_cached_for_its_file_alone(distill, tmp_path):
    given = {"cache": "cache", "dic": {"iters": 1}, "opts": ["model.width=5"]}
    for name, layer in (("one", "body.0"), ("two", "body.1"), ("three", "body.0")):
        path = tiny.write_distill_file(tmp_path / f"{name}.py", [tiny.feature(0)], layer=layer)
        distill(name, distill_config=path, **given)
    assert len(os.listdir(tmp_path / "cache")) == 2
    for name, layer in (("four", "body.1"), ("five", "body.2")):
        path = tiny.write_distill_file(tmp_path / f"{name}.py", [], layer=layer)
        distill(name, distill_config=path, **given)
    assert len(os.listdir(tmp_path / "cache")) == 3
