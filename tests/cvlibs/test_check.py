"""A config is checked before anything is built: each test compares the problems of a text."""

import pytest
from refusal import refusal

from paddleseg.cvlibs import Config

HEAD = "imports: [components]\n"
MODEL = HEAD + "model: {type: UserNet, num_classes: 2}\n"
DATA = "train_dataset: {type: UserData, transforms: [], num_classes: 2}\n"

DOZEN = """\
imports: [components]
iter: 10
batch_size: 0
model:
  type: DeepLabV3P
  num_classes: 3
  aspp_ratio: [1, 6]
  align_corners: 1
  backbone:
    type: ResNet50
    output_stride: 8
train_dataset:
  type: OpticDiscSeg
  transforms:
    - type: Resize
      target_sise: [64, 64]
    - type: RandomFlip
optimizer:
  momentum: 0.9
lr_scheduler:
  type: PolynomialDecay
  learning_rate: fast
loss:
  types:
    - type: CrossEntropyLoss
      ignore_index: none
    - type: KLLoss
  coef: [1, 2, 3]
distill_loss:
  types:
    - type: CrossEntropyLoss
  coeff: [1]
"""


def test_a_dozen_mistakes_are_reported_at_once(write, capsys):
    write(DOZEN)
    message = refusal(capsys, lambda: Config("config.yml", opts=["model.backbone_indices=03"]))
    head, *lines = message.splitlines()
    expected = [
        "config.yml:2: iter: unknown key 'iter'; did you mean 'iters'?",
        "config.yml:3: batch_size: must be a whole number above 0, not 0",
        "config.yml:7: model.aspp_ratio: unknown key 'aspp_ratio' of DeepLabV3P; did you mean 'aspp_ratios'",
        "config.yml:8: model.align_corners: must be true or false, not 1",
        "option opts: model.backbone_indices: must be a list of whole numbers, not 3",
        "config.yml:10: model.backbone.type: unknown backbone 'ResNet50'; did you mean 'ResNet50_vd'",
        "config.yml:16: train_dataset.transforms.0.target_sise: unknown key 'target_sise' of Resize; did you "
        "mean 'target_size'?",
        "config.yml:17: train_dataset.transforms.1.type: unknown transform 'RandomFlip'; did you mean ",
        "config.yml:18: optimizer: the key 'type' is missing: it names the optimizer",
        "config.yml:22: lr_scheduler.learning_rate: must be a number, not 'fast'",
        "config.yml:28: loss.coef: 3 coef for 2 types; there must be one for each",
        "config.yml:26: loss.types.0.ignore_index: must be a whole number, not 'none'",
        "config.yml:27: loss.types.1.type: KLLoss compares the student with the teacher, so it has no place "
        "in loss",
        "config.yml:32: distill_loss.coeff: unknown key 'coeff'; did you mean 'coef'?",
        "config.yml:31: distill_loss.types.0.type: CrossEntropyLoss compares the student with the label, so "
        "it has no place in distill_loss",
        "config.yml:29: distill_loss: the key 'coef' is missing",
        "config.yml:12: train_dataset: 2 classes, but model.num_classes (config.yml:",
    ]
    assert head == f"{len(lines)} problems in the config config.yml:"
    missing = [line for line in expected if not any(t.strip().startswith(line) for t in lines)]
    assert (missing, len(lines)) == ([], len(expected))


def test_one_problem_is_counted_as_one(write, capsys):
    message = refusal(capsys, lambda: Config(write("iterations: 5\n")))
    assert message.splitlines() == [
        "1 problem in the config config.yml:",
        "  config.yml:1: iterations: unknown key 'iterations'; did you mean 'iters'?",
    ]


def test_a_problem_in_a_base_names_the_bases_file(write, problems):
    write("model:\n  type: UserNet\n  widht: 3\n", "base.yml")
    assert problems("_base_: base.yml\nimports: [components]\nmodel:\n  num_classes: 2\n") == [
        "base.yml:3: model.widht: unknown key 'widht' of UserNet; did you mean 'width'?"
    ]


def test_a_sound_config_has_no_problem(problems):
    assert problems(MODEL + DATA + "iters: 3\nbatch_size: 2\nignore_index: 255\n") == []


@pytest.mark.parametrize("key", ["iters", "batch_size", "num_classes", "ignore_index"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "ten", "true", "[1]"])
def test_counts_are_whole_numbers_above_0_and_the_ignored_label_is_any(problems, key, value):
    right = key == "ignore_index" and value in ("0", "-1")
    start = f"config.yml:1: {key}: must be a whole number{'' if key == 'ignore_index' else ' above 0'}, not "
    assert [problem[: len(start)] for problem in problems(f"{key}: {value}\n")] == ([] if right else [start])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: 5", "model: must hold a `type` and its keys, not 5"),
        ("model: [1]", "model: must hold a `type` and its keys, not [1]"),
        ("model: UserNet", "model: must hold a `type` and its keys, not 'UserNet'"),
        ("model: {type: 5}", "model.type: must be the name of a model, not 5"),
        ("model: {type: [UserNet]}", "model.type: must be the name of a model, not ['UserNet']"),
        ("model: {num_classes: 2}", "model: the key 'type' is missing: it names the model"),
        ("model: {type: Null}", "model: the key 'type' is missing: it names the model"),
        ("model: {type: ResNet18_vd}", "model.type: unknown model 'ResNet18_vd'; there are"),
        (
            "model: {type: deeplabv3}",
            "model.type: unknown model 'deeplabv3'; did you mean 'DeepLabV3' or 'De",
        ),
        ("model: {type: DeepLabV3P, num_classes: 2}", "model: the key 'backbone' of DeepLabV3P is missing"),
        (
            "lr_scheduler: {type: PolynomialDecay}",
            "lr_scheduler: the key 'learning_rate' of PolynomialDecay is missing",
        ),
        (
            "val_dataset: {type: OpticDiscSeg, transforms: Resize}",
            "val_dataset.transforms: must be a list of",
        ),
        (
            "val_dataset: {type: OpticDiscSeg, transforms: {}}",
            "val_dataset.transforms: must be a list of tra",
        ),
        (
            "val_dataset: {type: OpticDiscSeg, transforms: Null}",
            "val_dataset.transforms: must be a list of t",
        ),
        (
            "val_dataset: {type: OpticDiscSeg, transforms: [], dataset_root: {type: UserNet}}",
            "val_dataset.dataset_root: must be text or Null, not {'type': 'UserNet'}",
        ),
    ],
)
def test_a_component_that_is_none_or_incomplete(problems, text, expected):
    (problem,) = problems(text + "\n")
    assert problem.startswith(f"config.yml:1: {expected}")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("num_classes: two", "num_classes: must be a whole number, not 'two'"),
        ("num_classes: 0", "num_classes: must be a whole number above 0, not 0"),
        ("num_classes: -3", "num_classes: must be a whole number above 0, not -3"),
        ("num_classes: 2.0", "num_classes: must be a whole number, not 2.0"),
        ("num_classes: Null", "num_classes: must be a whole number, not None"),
        ("backbone_indices: 3", "backbone_indices: must be a list of whole numbers, not 3"),
        ("backbone_indices: [0, x]", "backbone_indices: must be a list of whole numbers, not [0, 'x']"),
        ("align_corners: 'False'", "align_corners: must be true or false, not 'False'"),
        ("pretrained: 5", "pretrained: must be text or Null, not 5"),
        ("backbone: ResNet18_vd", "backbone: must hold a `type` and its keys, not 'ResNet18_vd'"),
        ("backbone: Null", "backbone: must hold a `type` and its keys, not None"),
        ("backbone: [{type: ResNet18_vd}]", "backbone: must hold a `type` and its keys, not [{'type'"),
    ],
)
def test_wrong_types(problems, keys, expected):
    given = {"num_classes": "num_classes: 2", "backbone": "backbone: {type: ResNet18_vd}"}
    given[keys.partition(":")[0]] = keys
    (problem,) = problems(f"model: {{type: DeepLabV3P, {', '.join(given.values())}}}\n")
    assert problem.startswith(f"config.yml:1: model.{expected}")


@pytest.mark.parametrize("key", ["ignore_index", "iters", "model", "loss", "val_dataset", "imports"])
def test_null_is_as_if_the_key_were_missing(problems, key):
    assert problems(f"{key}: Null\n") == []


def test_required_keys_are_reported_when_missing_or_empty(problems):
    assert problems("batch_size: Null\n", required=("model", "batch_size", "iters")) == [
        "config.yml: the key 'model' is missing",
        "config.yml: the key 'batch_size' is missing",
        "config.yml: the key 'iters' is missing",
    ]
    assert problems(MODEL, required=("model",)) == []


def test_only_the_given_sections_are_checked(problems):
    text = MODEL + "loss: {types: 5}\noptimizer: {type: Nothing}\n"
    assert problems(text, sections=("model",)) == []
    assert len(problems(text, sections=("model", "optimizer"))) == 1
    assert len(problems(text)) == 3


def test_a_misspelt_section_is_reported_whichever_sections_are_read(problems):
    (problem,) = problems("modle: {}\n", sections=("model",))
    assert "unknown key 'modle'; did you mean 'model'?" in problem


def test_a_class_count_that_is_stated_nowhere_is_missing(problems):
    assert problems(HEAD + "model: {type: UserNet}\n") == [
        "config.yml:2: model: the key 'num_classes' of UserNet is missing"
    ]
    assert problems(HEAD + "train_dataset: {type: UserData, transforms: []}\n") == [
        "config.yml:2: train_dataset: the key 'num_classes' of UserData is missing"
    ]
    assert problems(HEAD + "num_classes: 2\nmodel: {type: UserNet}\n") == []


def test_a_schedule_that_needs_iters_must_find_them(problems):
    text = HEAD + "lr_scheduler: {type: user_schedule, learning_rate: 0.1}\n"
    assert problems(text) == ["config.yml:2: lr_scheduler: the key 'decay_steps' of user_schedule is missing"]
    assert problems(text + "iters: 5\n") == []


def test_each_transform_is_checked(problems):
    text = "train_dataset: {type: OpticDiscSeg, transforms: [Resize, {type: Normalize, means: 1}, {}]}\n"
    first, second, third = problems(text)
    assert "train_dataset.transforms.0: must hold a `type` and its keys, not 'Resize'" in first
    assert "train_dataset.transforms.1.means: unknown key 'means' of Normalize; did you mean 'mean'" in second
    assert "train_dataset.transforms.2: the key 'type' is missing: it names the transform" in third


def test_without_annotations_defaults_give_the_types(problems):
    text = "model: {type: UnannotatedNet, num_classes: 2, %s}\n"
    assert problems(HEAD + text % "ratio: 1, sizes: [3], name: y, flag: true, anything: [{a: 1}]") == []
    reported = problems(HEAD + text % "ratio: x, sizes: 3, name: 4, flag: 5, other: 6")
    assert [problem.split("model.")[1] for problem in reported] == [
        "ratio: must be a number, not 'x'",
        "sizes: must be a list, not 3",
        "name: must be text, not 4",
        "flag: must be true or false, not 5",
        "other: unknown key 'other' of UnannotatedNet; there are 'anything', 'flag', 'name', 'num_classes', "
        "'ratio', 'sizes'",
    ]


def test_a_component_that_takes_any_key_takes_keys_that_are_text(problems):
    assert problems(HEAD + "model: {type: LooseNet, a: 1, pretrained: x, b: {c: d}}\n") == []
    (problem,) = problems(HEAD + "model: {type: LooseNet, 1: 2}\n")
    assert "model.1: unknown key 1 of LooseNet" in problem


def test_pretrained_is_accepted_for_a_model_that_does_not_take_it(problems):
    text = HEAD + "model: {type: UserNet, num_classes: 2, pretrained: %s}\n"
    assert problems(text % "some/model.pdparams") == []
    assert problems(text % "Null") == []
    assert problems(text % "[a]") == ["config.yml:2: model.pretrained: must be text or Null, not ['a']"]


def test_null_is_accepted_where_it_is_the_default(problems):
    text = HEAD + "model: {type: HeadedNet, trunk: {type: ResNet18_vd}, head: {type: UserLoss}, limit: %s}\n"
    assert problems(text % "Null") == []
    assert len(problems(text % "x")) == 1


def test_components_under_any_name_are_checked(problems):
    text = HEAD + (
        "model:\n  type: HeadedNet\n  trunk: {type: ResNet18_vd, output_strid: 8}\n"
        "  head: {type: UserLoss, scal: 2}\n"
        "  parts: [{type: UserNet, num_clases: 2}, {type: free, x: 1}, 5]\n"
    )
    assert [problem.split(";")[0] for problem in problems(text)] == [
        "config.yml:4: model.trunk.output_strid: unknown key 'output_strid' of ResNet18_vd",
        "config.yml:5: model.head.scal: unknown key 'scal' of UserLoss",
        "config.yml:6: model.parts.0.num_clases: unknown key 'num_clases' of UserNet",
        "config.yml:6: model.parts.0: the key 'num_classes' of UserNet is missing",
    ]


def test_an_unknown_component_where_a_layer_belongs(problems):
    (problem,) = problems(
        HEAD + "model: {type: HeadedNet, trunk: {type: ResNet19_vd}, head: {type: UserLoss}}\n"
    )
    assert "model.trunk.type: unknown backbone 'ResNet19_vd'; did you mean 'ResNet18_vd'" in problem


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("grad_clip_cfg: {name: ClipGradByNorm}", "grad_clip_cfg: the key 'clip_norm' of ClipGradByNorm"),
        ("grad_clip_cfg: 5", "grad_clip_cfg: must be keys and values or Null, not 5"),
        ("custom_cfg: [{name: a, lr_mul: 1}]", "custom_cfg.0: unknown key 'lr_mul'; did you mean 'lr_mult'?"),
        ("custom_cfg: [3]", "custom_cfg: must be a list of keys and values or Null, not [3]"),
        ("custom_cfg: {name: a}", "custom_cfg: must be a list of keys and values or Null, not {'name': 'a'}"),
    ],
)
def test_clipping_and_groups_are_checked_with_the_config(problems, keys, expected):
    (problem,) = problems(f"optimizer: {{type: AdamW, {keys}}}\n")
    assert problem.startswith("config.yml:1: optimizer")
    assert expected in problem
