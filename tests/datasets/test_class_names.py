import pytest

from paddleseg import datasets
from paddleseg.datasets.class_names import class_names, labelled


@pytest.mark.parametrize("name", ["CamVid", "Cityscapes", "OpticDiscSeg", "PascalVOC"])
def test_each_class_of_a_published_set_has_a_name_of_its_own(name):
    dataset = getattr(datasets, name)
    names = class_names(dataset)
    assert len(set(names)) == len(names) == dataset.NUM_CLASSES


def test_names_may_be_the_objects_or_its_classes_or_missing():
    class Named:
        CLASS_NAMES = ("a", "b")

    own = Named()
    assert class_names(own) == ("a", "b")
    own.class_names = ["c"]
    assert class_names(own) == ("c",)
    assert class_names(object()) == class_names(None) == ()


def test_a_class_without_a_name_is_its_number():
    assert labelled(("road", "pole"), 3) == ["0 road", "1 pole", "2"]
