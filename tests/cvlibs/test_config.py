import importlib
import sys

import pytest
import yaml
from refusal import refusal
from whole_config import FULL

from paddleseg import cvlibs
from paddleseg.cvlibs import Config
from paddleseg.cvlibs.config import ConfigError
from paddleseg.errors import UserError


@pytest.fixture
def fresh_imports(monkeypatch):
    """Undo what importing users' modules leaves behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_reading_a_config(write):
    cfg = Config(write(FULL))
    assert (cfg.iters, cfg.batch_size, cfg.path) == (10, 4, "config.yml")
    assert cfg["optimizer"] == {"type": "SGD"}
    assert cfg.get("optimizer") == {"type": "SGD"}
    assert cfg.get("num_classes") is None
    assert cfg.get("num_classes", 7) == 7
    assert yaml.safe_load(str(cfg)) == cfg.dic


def test_the_package_gives_its_names_late_and_no_others():
    assert cvlibs.ConfigError is ConfigError
    assert cvlibs.SegBuilder.__name__ == "SegBuilder"
    with pytest.raises(AttributeError, match="Confg"):
        _ = cvlibs.Confg


def test_a_config_error_is_the_users(write):
    with pytest.raises(UserError) as error:
        Config(write("iters: x\nbatch_size: y\n"))
    assert len(error.value.problems) == 2


def test_options_override_the_file_and_opts(write):
    cfg = Config(
        write(FULL),
        learning_rate=1e-05,
        iters=7,
        batch_size=2,
        opts=["iters=8", "batch_size=3", "lr_scheduler.learning_rate=1", "lr_scheduler.power=2"],
    )
    assert (cfg.iters, cfg.batch_size) == (7, 2)
    assert cfg["lr_scheduler"] == {
        "type": "PolynomialDecay",
        "learning_rate": 1e-05,
        "power": 2,
        "decay_steps": 7,
    }


def test_opts_override_the_file(write):
    cfg = Config(write(FULL), opts=["loss.coef.0=2", "val_dataset=None", "model.width=3", "model.width=5"])
    assert cfg["loss"]["coef"] == [2]
    assert cfg.get("val_dataset") is None
    assert cfg["model"]["width"] == 5


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            {"learning_rate": float("nan")},
            "option learning_rate: lr_scheduler.learning_rate: must be a number, not 'nan'",
        ),
        ({"iters": 0}, "option iters: iters: must be a whole number above 0, not 0"),
        ({"batch_size": -1}, "option batch_size: batch_size: must be a whole number above 0, not -1"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(problems, flags, expected):
    assert problems(FULL, **flags) == [expected]


def test_an_option_that_the_schedule_does_not_take_is_named(problems):
    text = "lr_scheduler: {type: PiecewiseDecay, boundaries: [2], values: [1, 0.1]}\n"
    (problem,) = problems(text, learning_rate=0.1)
    assert problem.startswith("option learning_rate: lr_scheduler.learning_rate: unknown key ")


def test_problems_of_opts_imports_and_sections_come_together(problems):
    text = FULL.replace("[components]", "[components, no_such_module]").replace(
        "batch_size: 4", "batch_size: x"
    )
    reported = problems(text, opts=["loss.coef.5=1", "iters"])
    assert [problem.split(":")[0] for problem in reported] == [
        "option opts",
        "option opts",
        "config.yml",
        "config.yml",
    ]


def test_two_configs_of_one_file_share_nothing(write):
    path = write(FULL)
    first = Config(path)
    first["model"]["num_classes"] = 99
    assert Config(path)["model"]["num_classes"] == 2


COMPONENT = """\
from paddleseg.cvlibs import manager


@manager.MODELS.add_component
class {name}:
    def __init__(self, depth: int = 1):
        self.depth = depth
"""


@pytest.mark.usefixtures("fresh_imports")
@pytest.mark.parametrize("place", ["beside_config", "working_directory", "pythonpath"])
def test_a_users_module_is_found(write, tmp_path, monkeypatch, place):
    module, name = f"mine_{place}", f"Mine_{place}"
    folder = {"beside_config": "configs", "working_directory": ".", "pythonpath": "lib"}[place]
    write(COMPONENT.format(name=name), f"{folder}/{module}.py")
    if place == "pythonpath":
        monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    path = write(f"imports: [{module}]\nmodel: {{type: {name}, depth: 3}}\n", "configs/config.yml")
    assert Config(path)["model"] == {"type": name, "depth": 3}


@pytest.mark.usefixtures("fresh_imports")
def test_a_module_inside_a_users_package(write):
    write("", "my_package/__init__.py")
    write(COMPONENT.format(name="Packaged"), "my_package/my_module.py")
    text = "imports: [my_package.my_module]\nmodel: {type: Packaged, dept: 3}\n"
    with pytest.raises(ConfigError, match="unknown key 'dept' of Packaged; did you mean 'depth'"):
        Config(write(text))


@pytest.mark.usefixtures("fresh_imports")
def test_a_module_that_is_not_there(write, capsys):
    message = refusal(capsys, lambda: Config(write("iters: 5\nimports: [os, my_modul, components]\n")))
    assert message.splitlines() == [
        "1 problem in the config config.yml:",
        "  config.yml:2: imports: 'my_modul' cannot be imported (No module named 'my_modul'); it is looked "
        "for in the working directory, beside the config and on PYTHONPATH",
    ]


@pytest.mark.usefixtures("fresh_imports")
def test_a_module_whose_own_import_is_missing_names_that(write, problems):
    write("import no_such_dependency\n", "needy.py")
    (problem,) = problems("imports: [needy]\n")
    assert "'needy' cannot be imported (No module named 'no_such_dependency')" in problem


@pytest.mark.parametrize(
    "imports", ["components", "5", "[5]", "{a: b}", "[.relative]", "['']", "[a/b.py]", "[a-b]"]
)
def test_imports_are_a_list_of_module_names(problems, imports):
    (problem,) = problems(f"imports: {imports}\n")
    assert problem.startswith("config.yml:1: imports: must be a list of module names, such as ")


@pytest.mark.parametrize(
    ("name", "backbone", "pretrained"),
    [
        ("deeplabv3p_resnet50_os8_optic_disc_512x512_1k_teacher.yml", "ResNet50_vd", False),
        ("deeplabv3p_resnet18_os8_optic_disc_512x512_1k_student.yml", "ResNet18_vd", True),
    ],
)
def test_the_tutorials_configs(repository, name, backbone, pretrained):
    path = repository / "configs" / "quick_start" / name
    assert "_base_" not in yaml.safe_load(path.read_text(encoding="utf-8"))
    cfg = Config(str(path))
    assert (cfg.batch_size, cfg.iters) == (4, 1000)
    assert cfg["optimizer"] == {"type": "SGD", "momentum": 0.9, "weight_decay": 4.0e-5}
    schedule = {k: cfg["lr_scheduler"][k] for k in ("type", "learning_rate", "end_lr", "power")}
    assert schedule == {"type": "PolynomialDecay", "learning_rate": 0.01, "end_lr": 0, "power": 0.9}
    kinds = [transform["type"] for transform in cfg["train_dataset"]["transforms"]]
    assert kinds == ["Resize", "RandomHorizontalFlip", "Normalize"]
    assert cfg["train_dataset"]["transforms"][0]["target_size"] == [512, 512]
    assert cfg["train_dataset"]["download"] is cfg["val_dataset"]["download"] is True
    assert [loss["type"] for loss in cfg["loss"]["types"]] == ["CrossEntropyLoss"]
    assert cfg["model"]["backbone"]["type"] == backbone
    assert cfg["model"]["backbone"]["pretrained"] is cfg["model"]["pretrained"] is None
    assert cfg["model"]["num_classes"] == 2
    distill = cfg.get("distill_loss")
    assert (distill and (distill["types"][0]["type"], distill["coef"])) == (
        ("KLLoss", [3]) if pretrained else None
    )


def test_problems_name_the_file_also_where_an_option_changed_it(write):
    with pytest.raises(UserError, match=r"1 problem in the config config\.yml:"):
        Config(write(FULL.replace("UserNet", "UserNit")), iters=2)
