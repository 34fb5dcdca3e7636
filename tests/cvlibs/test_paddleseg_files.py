"""Components from PaddleSeg's files: found, imported on demand, and never in the place of one of ours."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
import tiny
from paddleseg_tree import write_tree

import paddleseg
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.config import ConfigError
from paddleseg.errors import UserError
from paddleseg.models import PSPNet
from paddleseg.models.backbones import ResNet18_vd

MODEL = {"type": "LoneNet", "num_classes": 2, "backbone": {"type": "Lone_S", "width": 3}}


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "seg")


@pytest.fixture
def write(tmp_path, root):
    def write(model=MODEL, **changes):
        return tiny.write_yaml(tmp_path / "config.yml", tiny.config(root, model, distill=False, **changes))

    return write


def problems(path):
    with pytest.raises(ConfigError) as error:
        Config(path)
    return error.value.problems


def test_a_config_trains_a_model_backbone_and_loss_of_the_files(write, tree, tmp_path):
    loss = {"types": [{"type": "HalvedLoss"}], "coef": [1]}
    path = write(paddleseg_path=tree, loss=loss)
    builder = SegBuilder(Config(path))
    assert type(builder.model).__name__ == "LoneNet"
    assert builder.model.averaged == 7
    assert builder.model.backbone.feat_channels == [3]
    scores = tiny.train(path, save_dir=str(tmp_path / "out"))
    assert scores["best_miou"] > 0


def test_a_model_of_the_files_teaches_a_student_of_ours_by_a_feature(write, tree, root, tmp_path, lines):
    feature = {
        "student": "body",
        "teacher": "backbone.conv",
        "loss": {"type": "MSELoss"},
        "connector": "auto",
    }
    student = {**tiny.config(root), "distill": {"features": [feature]}}
    teacher = write(paddleseg_path=tree)  # the student's config does not name the folder
    scores = tiny.distill(
        tiny.write_yaml(tmp_path / "student.yml", student),
        teacher,
        save_dir=str(tmp_path / "out"),
        allow_random_teacher=True,
    )
    assert scores["best_miou"] > 0
    assert [line for line in lines if line.startswith("model LoneNet is PaddleSeg's: ")]


def test_a_transform_and_a_data_set_of_the_files(write, tree, root, tmp_path):
    transforms = [{"type": "Brighten", "amount": 300}, {"type": "Normalize"}]
    data = {"type": "ListedData", "dataset_root": root, "transforms": transforms}
    path = write("TinyNet", paddleseg_path=tree, train_dataset=data, val_dataset={**data, "mode": "val"})
    image = SegBuilder(Config(path)).train_dataset[0]["img"]
    assert image.min() >= (300 / 255 - 0.5) / 0.5 - 1e-4
    assert tiny.train(path, save_dir=str(tmp_path / "out"))["best_miou"] > 0


def test_the_environment_names_the_folder_too_and_the_key_wins(write, tree, tmp_path, monkeypatch, lines):
    other = write_tree(tmp_path / "other", models__lonenet="raise RuntimeError('the key wins')")
    monkeypatch.setenv("PADDLESEG_PATH", other)
    Config(write(paddleseg_path=tree))
    monkeypatch.setenv("PADDLESEG_PATH", tree)
    assert Config(write()).model_type == "LoneNet"


def test_the_log_names_component_and_file_once(write, tree, lines):
    for _ in range(2):
        SegBuilder(Config(write(paddleseg_path=tree))).model  # noqa: B018
    found = [line for line in lines if "PaddleSeg's" in line]
    folder = os.path.realpath(tree)
    assert found == [
        f"model LoneNet is PaddleSeg's: {folder}/paddleseg/models/lonenet.py",
        f"backbone Lone_S is PaddleSeg's: {folder}/paddleseg/models/backbones/lone.py",
    ]


def test_a_component_of_both_places_is_ours(write, tree, lines):
    model = {**MODEL, "type": "PSPNet", "backbone": {"type": "ResNet18_vd"}}
    builder = SegBuilder(Config(write(model, paddleseg_path=tree)))
    assert type(builder.model) is PSPNet
    assert type(builder.model.backbone) is ResNet18_vd
    # Files that define a component of ours are imported for another one.
    builder = SegBuilder(Config(write({**MODEL, "backbone": {"type": "ResNet18_vd"}}, paddleseg_path=tree)))
    assert type(builder.model).__name__ == "LoneNet"
    assert type(builder.model.backbone) is ResNet18_vd
    assert manager.MODELS["PSPNet"] is PSPNet
    assert not [line for line in lines if "PSPNet is PaddleSeg's" in line]


def test_a_prefix_takes_the_files_component_where_ours_has_the_name(write, tree, lines):
    backbone = {"type": "paddleseg.ResNet18_vd", "width": 5}
    model = {**MODEL, "type": "paddleseg.PSPNet", "backbone": backbone}
    model = SegBuilder(Config(write(model, paddleseg_path=tree))).model
    assert not isinstance(model, PSPNet)
    assert not isinstance(model.backbone, ResNet18_vd)
    assert model.backbone.feat_channels == [5]
    assert sum("PSPNet is PaddleSeg's: " in line for line in lines) == 1
    (problem,) = problems(write({**MODEL, "type": "paddleseg.Unheard"}, paddleseg_path=tree))
    assert "unknown model 'paddleseg.Unheard'; " in problem


def test_no_module_here_is_replaced(write, tree):
    before = {name: module for name, module in sys.modules.items() if name.startswith("paddleseg")}
    SegBuilder(Config(write(paddleseg_path=tree))).model  # noqa: B018
    after = {name: module for name, module in sys.modules.items() if name.startswith("paddleseg")}
    assert all(after[name] is module for name, module in before.items())
    assert not [name for name in after if "lone" in name]


def test_without_the_folder_nothing_is_known_of_it(write, tree):
    Config(write(paddleseg_path=tree))
    model, backbone = problems(write())
    assert "model.type: unknown model 'LoneNet'; there are '" in model
    assert "model.backbone.type: unknown backbone 'Lone_S'; there are '" in backbone
    assert "; `paddleseg_path` takes PaddleSeg's from its files, and" in model


def test_what_the_files_lack_is_answered_by_what_is_left_to_do(write, tree):
    (problem,) = problems(write({"type": "Unheard", "num_classes": 2}, paddleseg_path=tree))
    assert "paddleseg_path` takes" not in problem
    assert (
        f"; PaddleSeg's files in {os.path.realpath(tree)}/paddleseg do not have it, and `imports`" in problem
    )


def test_two_folders_in_one_process_do_not_mix(write, tree, tmp_path):
    changed = "from paddleseg.models.layers import Identity_that_is_nowhere"
    other = write_tree(tmp_path / "other", models__lonenet=changed)
    first = Config(write(paddleseg_path=tree))
    text = "unknown model 'LoneNet'; there are '"
    assert text in problems(write(paddleseg_path=other))[0]
    assert type(SegBuilder(first).model).__name__ == "LoneNet"


def test_a_file_that_cannot_be_imported_is_named(write, tree):
    (problem,) = problems(write({"type": "Broken", "num_classes": 2}, paddleseg_path=tree))
    assert "unknown model 'Broken'; " in problem
    assert "models/broken.py cannot be imported: ModuleNotFoundError: No module named 'a_module_" in problem


def test_a_misspelt_component_of_the_files_is_suggested(write, tree):
    (problem,) = problems(write({**MODEL, "type": "LoneNett"}, paddleseg_path=tree))
    assert problem.endswith("unknown model 'LoneNett'; did you mean 'LoneNet'?")


def test_keys_of_a_component_of_the_files_are_checked(write, tree):
    (problem,) = problems(write({**MODEL, "align_corner": True}, paddleseg_path=tree))
    assert problem.endswith("unknown key 'align_corner' of LoneNet; did you mean 'align_corners'?")


def folders(tmp_path):
    """Return {case: (a folder that is none, what is said)}."""
    tree = write_tree(tmp_path / "seg")
    empty, packed = tmp_path / "empty", tmp_path / "paddleseg-2.8.0-py3-none-any.whl"
    empty.mkdir()
    packed.write_bytes(b"PK")
    own = pathlib.Path(paddleseg.__file__).parent
    copy = tmp_path / "copy" / "paddleseg"
    for room in ("cvlibs", "models"):
        shutil.copytree(own / room, copy / room)
    return {
        "empty": (str(empty), "holds no package `paddleseg` with models and cvlibs"),
        "missing": (str(tmp_path / "nowhere"), "there is no folder "),
        "the package itself": (
            f"{tree}/paddleseg",
            f"; name the folder that holds it, {os.path.realpath(tree)}",
        ),
        "a packed wheel": (str(packed), "is a packed wheel; unpack it (python -m zipfile -e "),
        "this project": (str(own.parent), "is this project, or a copy of it, not PaddleSeg"),
        "a copy of this project": (str(copy.parent), "is this project, or a copy of it, not PaddleSeg"),
        "a number": (7, "must be the path of a folder, not 7"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "empty",
        "missing",
        "the package itself",
        "a packed wheel",
        "this project",
        "a copy of this project",
        "a number",
    ],
)
def test_a_folder_that_is_none_is_refused(write, tmp_path, monkeypatch, case):
    path, text = folders(tmp_path)[case]
    (problem,) = problems(write("TinyNet", paddleseg_path=path))
    assert "paddleseg_path: " in problem
    assert text in problem
    if isinstance(path, str):
        monkeypatch.setenv("PADDLESEG_PATH", path)
        (problem,) = problems(write("TinyNet"))
        assert problem.startswith("environment variable PADDLESEG_PATH: ")
        assert text in problem


def test_weights_load_through_the_safe_reader(write, tree, tmp_path):
    builder = SegBuilder(Config(write(paddleseg_path=tree)))
    weights = tiny.save_weights(tmp_path / "model.pdparams", builder.model)
    again = SegBuilder(Config(write({**MODEL, "pretrained": weights}, paddleseg_path=tree)))
    for key, value in again.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), builder.model.state_dict()[key].numpy())
    hostile = tmp_path / "hostile.pdparams"
    hostile.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UserError, match="hostile.pdparams"):
        SegBuilder(Config(write({**MODEL, "pretrained": str(hostile)}, paddleseg_path=tree))).model  # noqa: B018
    assert not (tmp_path / "ran").exists()


def test_paddles_own_reader_of_pickles_is_out_of_reach(write, tmp_path):
    reading = """
import paddle
import paddle.nn as nn
from paddleseg.cvlibs import manager

@manager.MODELS.add_component
class Reading(nn.Layer):
    def __init__(self, num_classes, path):
        super().__init__()
        self.weights = paddle.load(path)
"""
    tree = write_tree(tmp_path / "seg", models__reading=reading)
    weights, path = paddle.nn.Linear(2, 2), tmp_path / "linear.pdparams"
    tiny.save_weights(path, weights)
    model = {"type": "Reading", "num_classes": 2, "path": str(path)}
    built = SegBuilder(Config(write(model, paddleseg_path=tree))).model
    np.testing.assert_array_equal(built.weights["weight"], weights.weight.numpy())
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="linear.pdparams"):
        SegBuilder(Config(write(model, paddleseg_path=tree))).model  # noqa: B018


def test_an_error_of_a_component_is_one_line(write, tmp_path):
    picky = """
import paddle.nn as nn
from paddleseg.cvlibs import manager

@manager.MODELS.add_component
class Picky(nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        raise ValueError("num_classes must be odd")
"""
    tree = write_tree(tmp_path / "seg", models__picky=picky)
    with pytest.raises(UserError, match="model: Picky refuses {'num_classes': 2}: num_classes must be odd"):
        SegBuilder(Config(write({"type": "Picky", "num_classes": 2}, paddleseg_path=tree))).model  # noqa: B018


def test_nothing_is_written_beside_the_files(write, tree):
    SegBuilder(Config(write(paddleseg_path=tree))).model  # noqa: B018
    assert not list(pathlib.Path(tree).rglob("__pycache__"))


def test_without_the_folder_the_machinery_is_not_even_imported(write):
    script = (
        "import sys; from paddleseg.cvlibs import Config; Config(sys.argv[1]); "
        "print([name for name in sys.modules if 'paddleseg_files' in name or 'foreign_modules' in name])"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    environment.pop("PADDLESEG_PATH", None)
    command = [sys.executable, "-c", script, write("TinyNet")]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip().splitlines()[-1] == "[]"


def test_a_registry_of_another_kind_asks_no_files(write, tree):
    Config(write(paddleseg_path=tree))
    assert "LoneNet" not in manager.ComponentManager("widget")


def test_python_imports_models_and_backbones_of_the_files(tree, monkeypatch, lines):
    with pytest.raises(ImportError, match="cannot import name 'LoneNet' from 'paddleseg.models'"):
        from paddleseg.models import LoneNet
    monkeypatch.setenv("PADDLESEG_PATH", tree)
    from paddleseg.models import LoneNet
    from paddleseg.models.backbones import Lone_S

    assert LoneNet(num_classes=2, backbone=Lone_S(width=3)).averaged == 7
    assert [line.split(":")[0] for line in lines] == [
        "model LoneNet is PaddleSeg's",
        "backbone Lone_S is PaddleSeg's",
    ]
    with pytest.raises(ImportError, match="cannot import name 'NoNet'"):
        from paddleseg.models import NoNet  # noqa: F401
    assert paddleseg.models.PSPNet is PSPNet
