"""What a config may hold for distillation, and what is refused, with its line and key."""

import pytest

from paddleseg.cvlibs import Config

HEAD = "imports: [components, distilling]\nbatch_size: 4\nnum_classes: 2\n"
UNLABELED = "unlabeled_dataset: {type: UserData, transforms: []}\n"


def test_every_key_in_its_right_form(problems):
    text = """
distill:
  teacher_weighting: confidence
  features:
  - student: head.aspp
    teacher: {output_of: head.aspp, index: -1}
    loss: {type: SegChannelwiseLoss, temperature: 4.0}
    weight: 50
    connector: auto
    schedule: {start_iter: 0, warmup_iters: 100, end_iter: null}
    teacher_index: 1
  - student: {attr: mixed}
    loss: {type: RKDLoss, eps: 1.0e-9}
    connector: {type: ConvBNConnector, kernel_size: 3}
  - student: {input_of: head.conv}
    loss: {type: MemoryLoss, scale: 2}
    connector: none
  unlabeled_share: 0.25
"""
    assert problems(HEAD + UNLABELED + text) == []


@pytest.mark.parametrize(("more", "at"), [("", "full"), (", at: full", "full"), (", at: head", "head")])
def test_where_logits_are_compared(write, more, at):
    text = HEAD + f"distill_loss: {{types: [{{type: KLLoss}}], coef: [1]{more}}}\n"
    cfg = Config(write(text))
    assert (cfg.compares_logits, cfg.logits_at) == (True, at)
    for without in (Config(write(HEAD + "distill_loss: Null\n")), Config(write(HEAD))):
        assert (without.compares_logits, without.logits_at) == (False, "full")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("wieght: 1", "wieght: unknown key 'wieght'; did you mean 'weight'?"),
        ("weight: -1", "weight: must be a number of 0 or above, or auto, not -1"),
        ("weight: x", "weight: must be a number of 0 or above, or auto, not 'x'"),
        ("weight: .inf", "weight: must be a number of 0 or above, or auto, not inf"),
        ("weight: automatic", "weight: must be a number of 0 or above, or auto, not 'automatic'"),
        ("weight: auto, share: 0", "share: must be a number above 0, not 0"),
        ("weight: auto, share: .inf", "share: must be a number above 0, not inf"),
        ("weight: 2, share: 0.5", "share: has no effect without `weight: auto`"),
        ("share: 0.5", "share: has no effect without `weight: auto`"),
        ("teacher_index: -1", "teacher_index: must be a whole number of 0 or above, not -1"),
        ("connector: yes", "connector: must be none, auto, or a `type` and its keys, not True"),
        ("connector: {kernel_size: 3}", "connector: the key 'type' is missing: it names the connector"),
        ("connector: {type: ConvBN}", "connector.type: unknown connector 'ConvBN'; there are"),
        ("connector: {type: MLPConnector, hidden: 3}", "connector.hidden: unknown key 'hidden' of"),
        ("schedule: 5", "schedule: must hold start_iter, warmup_iters, end_iter, end_factor, not 5"),
        ("schedule: {start: 5}", "schedule.start: unknown key 'start'; did you mean 'start_iter'?"),
        ("schedule: {start_iter: 1.5}", "schedule.start_iter: must be a whole number of 0 or above"),
        ("schedule: {end_iter: -0.5}", "schedule.end_iter: must be a whole number of 0 or above, or a share"),
        ("schedule: {start_iter: 0.5, end_iter: 0.5}", "schedule.end_iter: must be above start_iter, 0.5"),
        ("schedule: {warmup_iters: null}", "schedule.warmup_iters: must be a whole number of 0 or above"),
        ("schedule: {start_iter: 5, end_iter: 5}", "schedule.end_iter: must be above start_iter, 5, not 5"),
        ("schedule: {end_iter: 5, end_factor: -1}", "schedule.end_factor: must be a number of 0 or"),
        ("schedule: {end_iter: 5, end_factor: .nan}", "schedule.end_factor: must be a number of 0 or"),
        ("schedule: {end_iter: 5, end_factor: null}", "schedule.end_factor: must be a number of 0 or"),
        ("schedule: {end_factor: 0.1}", "schedule.end_factor: has no effect without end_iter"),
        ("loss: {type: SegChanelwiseLoss}", "loss.type: unknown loss 'SegChanelwiseLoss'; did you mean"),
        ("loss: {type: L3Loss}", "loss.type: unknown loss 'L3Loss'; did you mean 'L"),
        ("loss: L2Loss", "loss: must hold a `type` and its keys, not 'L2Loss'"),
        ("loss: {type: KLLoss, temperatur: 2}", "loss.temperatur: unknown key 'temperatur' of KLLoss; did"),
        ("loss: {type: KLLoss, temperature: hot}", "loss.temperature: must be a number, not 'hot'"),
        ("loss: {type: RKDLoss, epsilon: 1}", "loss.epsilon: unknown key 'epsilon' of RKDLoss; did you mean"),
        ("loss: {type: CrossEntropyLoss}", "loss.type: CrossEntropyLoss compares logits with the label,"),
        ("loss: {type: DMLLoss}", "loss.type: DMLLoss of PaddleSlim takes logarithms of raw features"),
        ("student: 5", "student: must be a sublayer's dotted name, {attr: name}, {input_of: layer} or"),
        ("student: ''", "student: must be a sublayer's dotted name"),
        ("student: {attr: a, input_of: b}", "student: must be a sublayer's dotted name"),
        ("student: {attr: 3}", "student.attr: must be a name, not 3"),
        ("student: {attr: a, index: x}", "student.index: must be a whole number, not 'x'"),
        ("student: {attr: a, idx: 0}", "student.idx: unknown key 'idx'; did you mean 'index'?"),
    ],
)
def test_a_wrong_key_of_a_feature(problems, keys, expected):
    given = {"student": "student: a.b", "loss": "loss: {type: L2Loss}", keys.partition(":")[0]: keys}
    (problem,) = problems(HEAD + f"distill:\n  features:\n  - {{{', '.join(given.values())}}}\n")
    assert problem.startswith(f"config.yml:6: distill.features.0.{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("distill: 3", "config.yml:4: distill: must hold keys such as `features`, not 3"),
        ("distill: {feature: []}", "config.yml:4: distill.feature: unknown key 'feature'; did you mean"),
        ("distill_loss: {types: [{type: KLLoss}], coef: [1], at: heads}", "config.yml:4: distill_loss.at:"),
        ("distill_loss: {types: [{type: KLLoss}], coef: [1], at: [head]}", "must be full or head, not"),
        ("loss: {types: [{type: CrossEntropyLoss}], coef: [1], at: head}", "loss.at: unknown key 'at';"),
        ("distill: {features: {}}", "config.yml:4: distill.features: must be a list of features, not {}"),
        ("distill: {features: [x]}", "config.yml:4: distill.features.0: must hold `student`, `teacher` and"),
        ("distill: {teacher_weighting: max}", "config.yml:4: distill.teacher_weighting: must be mean or"),
        ("distill: {unlabeled_share: 0.5}", "distill.unlabeled_share: has no effect without"),
        ("distill: {unlabeled_share: 0}", "distill.unlabeled_share: must be a number above 0 and up to 1"),
    ],
)
def test_a_wrong_section(problems, text, expected):
    (problem,) = problems(HEAD + text + "\n")
    assert expected in problem


def test_a_feature_needs_student_and_loss(problems):
    first, second = problems(HEAD + "distill: {features: [{weight: 1}]}\n")
    assert first == "config.yml:4: distill.features.0: the key 'student' is missing"
    assert second == "config.yml:4: distill.features.0: the key 'loss' is missing"


def test_a_loss_that_needs_the_number_of_classes_is_missing_it(problems):
    text = "imports: [distilling]\ndistill: {features: [{student: a, loss: {type: MemoryLoss}}]}\n"
    assert problems(text) == [
        "config.yml:2: distill.features.0.loss: the key 'num_classes' of MemoryLoss is missing"
    ]


def test_ignore_index_is_one_for_features_too(problems):
    text = HEAD + "ignore_index: 7\n"
    text += "distill: {features: [{student: a, loss: {type: KLLoss, ignore_index: 8}}]}\n"
    (problem,) = problems(text)
    assert problem.startswith("config.yml:5: distill.features.0.loss.ignore_index: 8 as ignore_index, but")


@pytest.mark.parametrize(("share", "count"), [(None, 2), (0.25, 1), (0.4, 2), (0.625, 3), (1, 4)])
def test_the_share_of_unlabelled_images(write, share, count):
    text = HEAD + UNLABELED + ("" if share is None else f"distill: {{unlabeled_share: {share}}}\n")
    cfg = Config(write(text))
    assert cfg.unlabeled_per_batch == count
    assert cfg["unlabeled_dataset"]["mode"] == "test"
    assert cfg["unlabeled_dataset"]["num_classes"] == 2


@pytest.mark.parametrize(("share", "count"), [(0.1, 0), (0.9, 4)])
def test_a_share_that_leaves_one_kind_without_an_image(problems, share, count):
    (problem,) = problems(HEAD + UNLABELED + f"distill: {{unlabeled_share: {share}}}\n")
    assert f"{share} of batch_size 4 is {count}; each kind needs at least one image" in problem


def test_losses_that_need_labels_where_there_are_none(problems):
    text = HEAD + UNLABELED + "distill_loss: {types: [{type: MemoryLoss}, {type: KLLoss}], coef: [1, 1]}\n"
    text += "distill:\n  unlabeled_share: 1\n  teacher_weighting: confidence\n"
    text += "  features: [{student: a, loss: {type: MemoryLoss}}, {student: a, loss: {type: L2Loss}}]\n"
    needs = "needs labels, and with unlabeled_share 1 there are none"
    assert problems(text) == [
        f"config.yml:8: distill.teacher_weighting: confidence {needs}",
        f"config.yml:5: distill_loss.types.0.type: MemoryLoss {needs}",
        f"config.yml:9: distill.features.0.loss.type: MemoryLoss {needs}",
    ]


def test_weights_that_are_measured_need_labels(problems):
    text = HEAD + UNLABELED + "distill_loss: {types: [{type: KLLoss}], coef: [auto]}\n"
    text += "distill:\n  unlabeled_share: 1\n"
    text += "  features: [{student: a, loss: {type: L2Loss}, weight: auto}]\n"
    needs = "auto measures the gradient of the task's loss, which needs labels, and with unlabeled_share 1"
    assert problems(text) == [
        f"config.yml:5: distill_loss.coef: {needs} there are none",
        f"config.yml:8: distill.features.0.weight: {needs} there are none",
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("coef: auto", None),
        ("coef: auto, share: 0.5", None),
        ("coef: [auto, 0.4], share: 2", None),
        ("coef: [1, 0.4], share: 2", "share: has no effect without `coef: auto`"),
        ("coef: auto, share: -1", "share: must be a number above 0, not -1"),
        ("coef: automatic", "coef: must be a list of at least one number, or auto, not 'automatic'"),
        ("coef: [auto, x]", "coef.1: must be a number of 0 or above, or auto, not 'x'"),
    ],
)
def test_coefficients_that_are_measured(problems, keys, expected):
    found = problems(HEAD + f"distill_loss: {{types: [{{type: KLLoss}}], {keys}}}\n")
    assert found == ([] if expected is None else [f"config.yml:4: distill_loss.{expected}"])


def test_the_tasks_own_coefficients_are_numbers(problems):
    (problem,) = problems(HEAD + "loss: {types: [{type: CrossEntropyLoss}], coef: [auto]}\n")
    assert problem == "config.yml:4: loss.coef.0: must be a number of 0 or above, not 'auto'"
    (problem,) = problems(HEAD + "loss: {types: [{type: CrossEntropyLoss}], coef: [1], share: 1}\n")
    assert "loss.share: unknown key 'share'" in problem


@pytest.mark.parametrize("key", ["student_channels", "teacher_channels"])
def test_channels_of_features_are_refused_in_the_config(problems, key):
    text = f"distill:\n  features:\n  - student: a\n    loss: {{type: MemoryLoss, {key}: 3}}\n"
    reason = f"{key}: is taken from the tapped tensors; leave the key out"
    assert problems(HEAD + text + f"    connector: {{type: ConvConnector, {key}: 3}}\n") == [
        f"config.yml:7: distill.features.0.loss.{reason}",
        f"config.yml:8: distill.features.0.connector.{reason}",
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("loss: {types: [{type: RMILoss, num_classes: 7}], coef: [1]}", "loss.types.0"),
        ("distill_loss: {types: [{type: MemoryLoss, num_classes: 7}], coef: [1]}", "distill_loss.types.0"),
        (
            "distill: {features: [{student: a, loss: {type: IFVDLoss, num_classes: 7}}]}",
            "distill.features.0.loss",
        ),
    ],
)
def test_a_losss_number_of_classes_agrees_with_the_others(problems, text, path):
    assert problems(HEAD + text + "\n") == [
        f"config.yml:4: {path}.num_classes: 7 classes, but num_classes (config.yml:3) has 2; they must "
        "agree (num_classes)"
    ]
    assert problems(HEAD + text.replace("num_classes: 7", "num_classes: 2") + "\n") == []
