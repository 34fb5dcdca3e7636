"""A config as a dict instead of a file."""

import copy
import sys

import pytest
import tiny

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError


@pytest.fixture
def dic(tmp_path):
    return tiny.config(tiny.write_optic_disc(tmp_path))


def test_a_dict_says_the_same_as_its_file_and_stays_as_it_is(tmp_path, dic):
    before = copy.deepcopy(dic)
    cfg = Config(dic, iters=3, opts=["batch_size=2"])
    assert cfg.dic == Config(tiny.write_yaml(tmp_path / "c.yml", dic), iters=3, batch_size=2).dic
    assert dic == before
    assert type(SegBuilder(cfg).model).__name__ == "TinyNet"


def test_tuples_are_lists_and_bases_are_files(tmp_path, dic):
    base = tiny.write_yaml(tmp_path / "base.yml", dic)
    cfg = Config({"_base_": base, "iters": 9, "test_config": {"aug_eval": True, "scales": (0.5, 1)}})
    assert (cfg.iters, cfg.batch_size) == (9, 4)
    assert cfg["test_config"]["scales"] == [0.5, 1]


def test_mistakes_are_listed_by_their_keys(dic):
    dic["model"]["typ"] = dic["loss"]["coef"] = "x"
    with pytest.raises(UserError) as refusal:
        Config(dic)
    assert str(refusal.value).splitlines()[0] == "2 problems in the config <dict>:"
    assert "<dict>: model.typ: unknown key 'typ'" in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tiny.TinyNet, "model is of the type type; a config holds text"),
        ({"type": object()}, "model.type is of the type object"),
        ({("a", "b"): 1}, r"model has the key \('a', 'b'\); a key must be text"),
    ],
)
def test_objects_are_refused(dic, value, message):
    with pytest.raises(UserError, match=f"<dict>: {message}"):
        Config({**dic, "model": value})


def test_a_base_that_is_missing_is_named():
    with pytest.raises(UserError, match="<dict>: _base_: there is no file nowhere.yml"):
        Config({"_base_": "nowhere.yml"})


def test_a_value_of_the_dict_is_not_said_to_be_of_its_base(tmp_path, dic):
    base = tiny.write_yaml(tmp_path / "base.yml", dic)
    with pytest.raises(UserError, match="<dict>: iters: must be a whole number above 0, not -1"):
        Config({"_base_": base, "iters": -1})


def test_imports_of_a_dict_lie_in_the_working_directory(tmp_path, dic, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    for folder, value in ((tmp_path, "parent"), (here, "here")):
        (folder / "own_module_of_dict.py").write_text(f"PLACE = {value!r}")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    Config({**dic, "imports": [*dic.get("imports", []), "own_module_of_dict"]})
    assert sys.modules["own_module_of_dict"].PLACE == "here"
