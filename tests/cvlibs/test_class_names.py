import pytest

from paddleseg import datasets
from paddleseg.cvlibs.class_names import check_class_names, class_names, labelled, section_names, texts
from paddleseg.errors import UserError


@pytest.mark.parametrize("name", ["ADE20K", "CamVid", "Cityscapes", "OpticDiscSeg", "PascalVOC"])
def test_each_class_of_a_published_set_has_a_name_of_its_own(name):
    dataset = getattr(datasets, name)
    names = class_names(dataset)
    assert len(set(names)) == len(names) == dataset.NUM_CLASSES


def test_names_come_from_the_object_or_its_class_or_are_missing():
    class Named:
        CLASS_NAMES = ("a", "b")

    own = Named()
    assert class_names(own) == ("a", "b")
    own.class_names = ["c"]
    assert class_names(own) == ("c",)
    assert class_names(object()) == class_names(None) == ()


@pytest.mark.parametrize("other", ["names.txt", 3, {"a": 1}, [1, 2], [], lambda: ["a"]])
def test_an_attribute_of_another_kind_is_no_list_of_names(other):
    class Own:
        class_names = other

    assert class_names(Own()) == ()
    Own.CLASS_NAMES = ("a", "b")
    assert class_names(Own()) == ("a", "b")


def test_only_the_section_of_the_built_in_data_set_names_classes():
    assert section_names({"type": "Dataset", "class_names": ["soil", "leaf"]}) == ("soil", "leaf")
    assert section_names({"type": "Own", "class_names": ["soil", "leaf"]}) == ()
    assert section_names({"type": "Dataset"}) == section_names({"type": "Dataset", "class_names": None}) == ()
    assert section_names(None) == ()


@pytest.mark.parametrize("given", [5, "abc", [1, 2], {"a": "b"}, [None]])
def test_a_value_that_is_no_list_of_texts_names_nothing(given):
    assert section_names({"type": "Dataset", "class_names": given}) == texts(given) == ()


def test_a_class_without_a_name_is_its_number():
    assert labelled(("road", "pole"), 3) == ["0 road", "1 pole", "2"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["road"], "Own: class_names holds 1 name, but num_classes is 2"),
        (["road", ""], "Own: class_names holds '', but a name is one line of text"),
        (["road", "a\nb"], "holds 'a.nb', but"),
        (["road", "pole", "sky"], "holds 3 name"),
        (["road", "road"], "holds 'road' more than once"),
    ],
)
def test_names_that_do_not_fit_the_classes_are_refused(names, expected):
    with pytest.raises(UserError, match=expected):
        check_class_names(names, 2, "Own")
    check_class_names(["road", "pole"], 2, "Own")
