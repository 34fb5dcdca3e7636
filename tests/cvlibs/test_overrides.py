import pytest

from paddleseg.cvlibs import Config
from paddleseg.cvlibs.overrides import apply_overrides


def changed(*opts):
    """Return (config, problems) after `opts` were applied."""
    dic = {
        "iters": 10,
        "loss": {"types": [{"type": "A"}, {"type": "B"}], "coef": [1, 0.5]},
        "model": {"backbone": {"type": "R", "pretrained": "x"}},
        "empty": None,
    }
    problems = apply_overrides(dic, {}, list(opts))
    return dic, problems


def test_a_nested_key_a_list_index_and_a_new_key():
    dic, problems = changed(
        "model.backbone.type=S", "loss.coef.1=2", "loss.types.0.type=C", "model.new=[1, 2]"
    )
    assert problems == []
    assert dic["model"] == {"backbone": {"type": "S", "pretrained": "x"}, "new": [1, 2]}
    assert dic["loss"] == {"types": [{"type": "C"}, {"type": "B"}], "coef": [1, 2]}


def test_only_the_first_equals_sign_divides():
    dic, problems = changed("model.pretrained=http://x/y?a=b&c=d")
    assert problems == []
    assert dic["model"]["pretrained"] == "http://x/y?a=b&c=d"


def test_of_a_repeated_key_the_last_wins():
    dic, _ = changed("iters=1", "model.x=1", "iters=3", "iters=2")
    assert dic["iters"] == 2


def test_later_options_see_what_earlier_ones_made():
    dic, problems = changed("new={a: [0, 0]}", "new.a.1=5")
    assert problems == []
    assert dic["new"] == {"a": [0, 5]}


@pytest.mark.parametrize("null", ["None", "Null", "null", "~", ""])
def test_nothing_is_written_in_several_ways(null):
    dic, _ = changed(f"model.backbone.pretrained={null}")
    assert dic["model"]["backbone"]["pretrained"] is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.75,1.0,1.25", [0.75, 1.0, 1.25]),
        ("(0.75,1.0,1.25)", [0.75, 1.0, 1.25]),
        ("512,512", [512, 512]),
        ("(1,)", [1]),
        ("-1,2e-3", [-1, 0.002]),
        ("(a,b)", "(a,b)"),
        ("1,x", "1,x"),
        ("(True,False)", "(True,False)"),
        ("512", 512),
        ("a.png,b.png", "a.png,b.png"),
    ],
)
def test_numbers_with_commas_are_a_list(text, value):
    dic, problems = changed(f"new={text}")
    assert problems == []
    assert repr(dic["new"]) == repr(value)


def test_an_absent_or_empty_section_is_created():
    dic, problems = changed("empty.type=A", "absent.b.c=1")
    assert problems == []
    assert (dic["empty"], dic["absent"]) == ({"type": "A"}, {"b": {"c": 1}})


@pytest.mark.parametrize(
    ("opt", "expected"),
    [
        ("iters", "write it as key.path=value"),
        ("=5", "write it as key.path=value"),
        ("loss.coef.2=1", "loss.coef is a list of 2, so an index from 0 to 1 must follow"),
        ("loss.coef.-1=1", "loss.coef is a list of 2, so an index from 0 to 1 must follow"),
        ("loss.coef.first=1", "loss.coef is a list of 2, so an index from 0 to 1 must follow"),
        ("loss.coef.²=1", "loss.coef is a list of 2, so an index from 0 to 1 must follow"),
        ("loss.types.5.type=A", "loss.types is a list of 2, so an index from 0 to 1 must follow"),
        ("iters.x=1", "iters is the value 10 and has nothing below it"),
        ("loss.coef.0.x=1", "loss.coef.0 is the value 1 and has nothing below it"),
        ("iters=[1", "the value '[1' is no valid YAML, or gives a key two values"),
        ("iters={a: 1, a: 2}", "the value '{a: 1, a: 2}' is no valid YAML, or gives a key two values"),
        ("iters=2020-13-45", "the value '2020-13-45' is no valid YAML, or gives a key two values"),
        ("iters=&a [*a]", "the value '&a [*a]' is no valid YAML, or gives a key two values"),
    ],
)
def test_what_cannot_be_set_is_reported_and_changes_nothing(opt, expected):
    dic, problems = changed(opt)
    assert problems == [f"option opts: {opt}: {expected}"]
    assert dic == changed()[0]


def test_all_problems_are_reported_and_the_rest_is_applied():
    dic, problems = changed("iters", "loss.coef.9=1", "iters=7")
    assert len(problems) == 2
    assert dic["iters"] == 7


def test_no_options():
    assert apply_overrides({"a": 1}, {}, None) == []


BASE = """\
imports: [components]
iters: 10
model:
  type: UserNet
  num_classes: 2
"""


def test_a_bad_value_is_placed_at_the_option(problems):
    assert problems(BASE, opts=["model.num_classes=two", "itres=5"]) == [
        "option opts: model.num_classes: must be a whole number, not 'two'",
        "option opts: itres: unknown key 'itres'; did you mean 'iters'?",
    ]


def test_other_keys_keep_their_places(problems):
    reported = problems(BASE.replace("num_classes: 2", "num_classes: x"), opts=["model.width=y"])
    assert reported == [
        "config.yml:5: model.num_classes: must be a whole number, not 'x'",
        "option opts: model.width: must be a whole number or Null, not 'y'",
    ]


def test_a_replaced_section_is_placed_at_the_option_throughout(problems):
    reported = problems(BASE, opts=["model={type: UserNet, num_classes: x}"])
    assert reported == ["option opts: model.num_classes: must be a whole number, not 'x'"]


def test_options_change_no_other_use_of_an_alias(write):
    text = BASE + "train_dataset: &d {type: UserData, transforms: [], num_classes: 2}\nval_dataset: *d\n"
    cfg = Config(write(text), opts=["train_dataset.ignore_index=7", "val_dataset.ignore_index=7"])
    assert cfg["train_dataset"]["mode"] == "train"
    assert cfg["val_dataset"]["mode"] == "val"
