"""PaddleSeg's keys that have another form here, or none: dropped where they change nothing, else refused."""

import re

import pytest

from paddleseg.cvlibs import Config, SegBuilder

HEAD = "imports: [components]\n"
DATA = HEAD + "train_dataset: {type: UserData, transforms: [%s], num_classes: 2, %s}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate: {value: 0.01, decay: {type: poly}}\n", "learning_rate: .*write lr_scheduler:"),
        ("to_static_training: True\n", "to_static_training: it is an option"),
        ("global: {num_workers: 2}\n", "global: .*num_workers are options"),
        ("train: {do_eval: True}\n", "train: .*options of the command"),
        ("test: {is_slide: True}\n", "test: .*the section's name is test_config"),
        ("test_config: {print_detail: False}\n", "test_config.print_detail: .*always logged"),
        ("test_config: {precision: fp16}\n", "test_config.precision: .*float32"),
        *(
            (f"lr_scheduler: {{type: StepDecay, learning_rate: 1, step_size: 2, {keys}}}\n", expected)
            for keys, expected in (
                ("cycle: True", "lr_scheduler.cycle: .*never restarts"),
                ("last_epoch: 5", "lr_scheduler.last_epoch: .*resume_model"),
                ("verbose: True", "lr_scheduler.verbose: .*the log has"),
            )
        ),
        ("optimizer: {type: Adam, lazy_mode: True}\n", "optimizer.lazy_mode: .*sparse gradients"),
        (
            HEAD + "model: {type: UserNet, num_classes: 2, data_format: NHWC}\n",
            "model.data_format: .*N x C x H x W",
        ),
        (
            HEAD + "model: {type: HeadedNet, trunk: {type: UserNet, num_classes: 2, edge: 3}, head: "
            "{type: UserNet, num_classes: 2}}\n",
            "model.trunk.edge: ",
        ),
        (DATA % ("", "edge: 3"), "train_dataset.edge: .*edge_label finds the edges"),
        (DATA % ("{type: Normalize, data_format: X}", ""), "train_dataset.transforms.0.data_format: "),
        (
            HEAD + "loss: {types: [{type: UserLoss, data_format: NHWC}], coef: [1]}\n",
            "loss.types.0.data_format: ",
        ),
        (
            "loss: {types: [{type: RMILoss, loss_weight_lambda: 0.3}], coef: [1]}\n",
            "loss.types.0.loss_weight_lambda: .*by the coef of a MixedLoss",
        ),
    ],
)
def test_a_key_without_effect_is_refused_with_the_reason(problems, text, expected):
    (problem,) = problems(text)
    place, _, rest = problem.partition(": ")
    assert place == f"config.yml:{text.count(chr(10))}"
    key, _, reason = expected.partition(": ")
    assert rest.startswith(f"{key}: PaddleSeg's key '{key.split('.')[-1]}' has no effect here: ")
    assert re.search(reason, rest)


def test_a_key_that_asks_for_what_is_done_anyway_is_dropped(write):
    text = (
        DATA % ("{type: Normalize, data_format: NCHW}", "edge: True")
        + "to_static_training: False\n"
        + "loss: {types: [{type: UserLoss, data_format: NCHW}], coef: [1]}\n"
        + "test_config: {amp_level: O1, print_detail: True, is_slide: False}\n"
    )
    cfg = Config(write(text))
    builder = SegBuilder(cfg)
    assert builder.train_dataset.num_classes == 2
    assert builder.loss["coef"] == [1]
    assert cfg["test_config"] == {"is_slide": False}
    assert "to_static_training" not in cfg.dic


def test_a_schedules_keys_that_ask_for_nothing_are_dropped(write):
    given = "type: PolynomialDecay, learning_rate: 1, decay_steps: 4"
    cfg = Config(write(f"lr_scheduler: {{{given}, cycle: False, last_epoch: -1, verbose: False}}\n"))
    assert set(cfg["lr_scheduler"]) == {"type", "learning_rate", "decay_steps"}


@pytest.mark.parametrize("name", ["OneCycleLR", "NoamDecay", "LambdaDecay"])
def test_another_schedule_of_paddles_is_refused_with_those_there_are(problems, name):
    (problem,) = problems(f"lr_scheduler: {{type: {name}, learning_rate: 1}}\n")
    assert f"'{name}'; of Paddle's schedules there are CosineAnnealingDecay, ExponentialDecay, " in problem
    (problem,) = problems("lr_scheduler: {type: PolynomialDecai}\n")
    assert "did you mean 'PolynomialDecay'" in problem


def test_a_component_that_takes_such_a_key_gets_it(write):
    text = HEAD + "train_dataset: {type: LooseData, transforms: [], edge: True, data_format: NHWC}\n"
    given = SegBuilder(Config(write(text))).train_dataset.given
    assert given["edge"] is True
    assert given["data_format"] == "NHWC"


def test_sections_that_are_not_read_keep_their_keys(write):
    text = (
        "to_static_training: False\n" + DATA % ("", "edge: True") + "model: {type: UserNet, num_classes: 2}\n"
    )
    assert Config(write(text), sections=("model",))["train_dataset"]["edge"] is True


@pytest.mark.parametrize(("old", "new"), [("sgd", "SGD"), ("adam", "Adam"), ("AdamW", "AdamW")])
def test_older_spellings_of_optimizers_are_understood(write, old, new):
    assert Config(write(f"optimizer: {{type: {old}}}\n"))["optimizer"]["type"] == new


# A config as PaddleSeg's log prints it, with the flags of the command among its keys.
FLAGS = {
    "device": "and give the option device",
    "save_interval": "and give the option save_interval",
    "log_iters": "and give the option log_iters",
    "num_workers": "and give the option num_workers",
    "save_dir": "and give the option save_dir",
    "use_vdl": "and give the option use_vdl",
    "do_eval": "and give the option do_eval",
    "resume_model": "and give the option resume_model",
    "seed": "and give the option seed",
    "keep_checkpoint_max": "and give the option keep_checkpoint_max",
    "precision": "and give the option precision",
    "model_path": "and give the option model_path",
    "image_path": "and give the option image_path",
    "opts": "and give the option opts",
    "profiler_options": "and give the option profile",
    "fp16": "and give the option precision fp16",
    "cfg": "and give the option config",
    "repeats": "since no command here has it",
}


@pytest.mark.parametrize("value", ["null", "1"])
def test_flags_among_the_keys_are_called_flags(problems, value):
    text = "".join(f"{key}: {value}\n" for key in FLAGS)
    why = "is a flag of a command, not a key of a config; leave it out"
    assert problems(text) == [
        f"config.yml:{line}: {key}: {key!r} {why} {remedy}"
        for line, (key, remedy) in enumerate(FLAGS.items(), 1)
    ]


def test_flags_elsewhere(problems):
    (problem,) = problems("aug_eval: true\n")
    assert problem == (
        "config.yml:1: aug_eval: 'aug_eval' is a flag of a command, or a key of the section test_config; "
        "write it there"
    )
    (problem,) = problems("test_config: {device: cpu}\n")
    assert problem.startswith("config.yml:1: test_config.device: 'device' is a flag of a command")
    (problem,) = problems("divice: cpu\n")
    assert problem.startswith("config.yml:1: divice: unknown key 'divice'")


def test_keys_that_paddleseg_ignores_are_a_warning(write, lines):
    text = "mean: &mean [0.5, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]\n" + DATA % (
        "{type: Normalize, mean: *mean}",
        "",
    )
    cfg = Config(write(text))
    assert "mean" not in cfg.dic
    assert cfg["train_dataset"]["transforms"][0]["mean"] == [0.5] * 3
    assert lines == [
        f"config.yml:{line}: {key}: no component and no command reads this key; PaddleSeg ignores it, too"
        for line, key in enumerate(("mean", "std"), 1)
    ]


def test_with_other_mistakes_such_keys_are_listed_too(problems):
    first, second = problems("mean: [0.5]\niters: 0\n")
    assert first == "config.yml:2: iters: must be a whole number above 0, not 0"
    assert second == "config.yml:1: mean: no component and no command reads this key"


@pytest.mark.parametrize("name", ["GCNet", "LPSNet", "ISANet", "EMANet"])
def test_no_other_architecture_is_suggested(problems, name):
    (problem,) = problems(f"model: {{type: {name}, num_classes: 2}}\n")
    assert "did you mean" not in problem
    assert "`paddleseg_path` takes PaddleSeg's from its files, and `imports` registers your own" in problem
    assert problem.endswith("a teacher of any framework can be an ONNXTeacher")


def test_what_to_do_about_other_components(problems):
    (problem,) = problems("model: {type: FCN, num_classes: 2, backbone: {type: HRNet_W99}}\n")
    assert "unknown backbone 'HRNet_W99'; there are '" in problem
    assert problem.endswith(
        "; `paddleseg_path` takes PaddleSeg's from its files, and `imports` registers your own"
    )
    (problem,) = problems("model: {type: PPLtieSeg, num_classes: 2}\n")
    assert problem.endswith("unknown model 'PPLtieSeg'; did you mean 'PPLiteSeg'?")


def test_an_unknown_component_hides_no_mistake_of_those_below_it(problems):
    model = "model: {type: Nowhere, num_classes: 2, backbone: {type: ResNet18_vd, output_strid: 8}}\n"
    data = "train_dataset: {type: NoData, transforms: [{type: Resize, target_sise: [1, 1]}]}\n"
    found = problems(model + data + "loss: {types: [{type: DiceLoss, smoth: 1}], coef: [1]}\n")
    for text in (
        "'Nowhere'",
        "'output_strid' of ResNet18_vd",
        "'NoData'",
        "'target_sise' of Resize",
        "'smoth'",
    ):
        assert len([problem for problem in found if text in problem]) == 1
    assert len(found) == 5
