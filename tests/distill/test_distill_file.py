"""What a `distill_config.py` declares, and how its mistakes are reported."""

import pytest
import tiny

from paddleseg.distill import AdaptorBase
from paddleseg.distill.distill_file import checked_items, load_distill_file
from paddleseg.errors import UserError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_file_of_the_repository_declares_nothing(repository):
    student, teacher, features = load_distill_file(str(repository / "slim/distill/distill_config.py"))
    assert issubclass(student, AdaptorBase)
    assert issubclass(teacher, AdaptorBase)
    assert features == []
    for adaptor in (student(None), teacher(None)):
        adaptor.add_tensor = True
        assert adaptor.mapping_layers() == {}


@pytest.mark.parametrize("source", ["paddleseg.distill", "paddleslim.dygraph.dist"])
def test_adaptor_base_may_come_from_either_package(tmp_path, source):
    path = tiny.write_distill_file(tmp_path / "d.py", [tiny.feature()], source=source)
    student, _, features = load_distill_file(path)
    assert issubclass(student, AdaptorBase)
    (feature,) = features
    assert (feature.student, feature.teacher, feature.weight) == ("hidden_0", "hidden_0", 1.0)
    assert feature.loss == {"type": "SegChannelwiseLoss"}


def test_one_dict_counts_as_a_list_of_one_and_an_empty_one_as_none():
    assert checked_items(tiny.feature(), "f") == [tiny.feature()]
    assert checked_items({}, "f") == []


def test_a_share_belongs_to_a_weight_that_is_measured(tmp_path):
    items = [tiny.feature(weight="auto", share=0.5), tiny.feature(weight=2, share=0.5)]
    _, _, features = load_distill_file(tiny.write_distill_file(tmp_path / "d.py", items))
    assert [(feature.weight, feature.share) for feature in features] == [("auto", 0.5), (2, 1)]
    assert ["share" in feature.loss for feature in features] == [False, True]


def test_all_mistakes_of_the_features_are_reported_at_once():
    features = [
        {"feature_type": "hidden", "s_feature_idx": "0", "t_feature_id": 0, "weight": -1},
        5,
        tiny.feature(weight=True),
        tiny.feature(weight=float("inf")),
        tiny.feature(weight="auto", share=0),
    ]
    with pytest.raises(UserError) as raised:
        checked_items(features, "d.py")
    message = str(raised.value)
    assert "item 0: 's_feature_idx' must be a whole number, not '0'" in message
    assert "item 0: the key 't_feature_idx' is missing; did you mean 't_feature_id'?" in message
    assert "item 0: the key 'loss_function' is missing" in message
    assert "item 0: 'weight' must be a finite number of 0 or above, not -1" in message
    assert "item 1: must be a dict, not 5" in message
    assert "item 2: 'weight' must be a number or 'auto', not True" in message
    assert "item 3: 'weight' must be a finite number of 0 or above, not inf" in message
    assert "item 4: 'share' must be a number above 0, not 0" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the function prepare_distill_adaptor\(\) is missing"),
        ("def prepare_distill_adaptor(): return 1", "must return two classes"),
        ("def prepare_distill_adaptor(): return 1, 2", "no class derived from AdaptorBase"),
        (
            "class A:\n def mapping_layers(self): pass\ndef prepare_distill_adaptor(): return A, A",
            r"the function prepare_distill_config\(\) is missing",
        ),
        (
            "class A:\n def mapping_layers(self): pass\ndef prepare_distill_adaptor(): return A, A\n"
            "def prepare_distill_config(): return 'x'",
            "must return a list of dicts, not 'x'",
        ),
        ("x = 1\ndef (", r"d.py cannot be imported: SyntaxError: .* \(line 2 of .*d.py\)"),
        (
            "from paddleseg.distill import AdaptorBase\nclass Bare(AdaptorBase): pass\n"
            "def prepare_distill_adaptor(): return Bare, Bare",
            r"d.py: the class Bare must define mapping_layers\(\)",
        ),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    ],
)
def test_a_file_that_is_not_of_the_form_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_distill_file(write(tmp_path / "d.py", text))


def test_a_file_of_another_encoding_is_refused_unless_it_says_so(tmp_path):
    path, text = tmp_path / "d.py", "x = 'é'\n"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="d.py cannot be imported: SyntaxError: "):
        load_distill_file(str(path))
    path.write_bytes(b"# coding: latin-1\n" + text.encode("latin-1"))
    with pytest.raises(UserError, match=r"prepare_distill_adaptor\(\) is missing"):
        load_distill_file(str(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        load_distill_file(str(tmp_path / "none.py"))
