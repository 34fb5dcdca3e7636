"""What decides the rows of a teacher's cache."""

import json

import pytest
from running import config

from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.datasets import Dataset
from paddleseg.distill.teachers.cache_identity import about_data


@manager.DATASETS.add_component
class Choosing(Dataset):
    """It may choose its classes by a key that has the name of another thing elsewhere."""


@pytest.mark.parametrize(("kind", "same"), [("Dataset", True), ("Choosing", False)])
def test_names_of_classes_decide_nothing_where_they_are_names_alone(tmp_path, root, kind, same):
    files = {"train_path": f"{root}/train_list.txt", "num_classes": 2}
    found = []
    for names in (["a", "b"], ["soil", "leaf"]):
        dic = config(root)
        dic["train_dataset"] = {**dic["train_dataset"], "type": kind, **files, "class_names": names}
        path = tmp_path / "config.yml"
        path.write_text(json.dumps(dic), encoding="utf-8")
        found.append(about_data(SegBuilder(Config(str(path)))))
    assert (found[0] == found[1]) is same
