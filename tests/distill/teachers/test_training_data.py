"""What a teacher was trained with, compared with what the student sees."""

import os

import distilling
import numpy as np
import paddle
import pytest
import tiny
import yaml
from distilling import logged_losses

from paddleseg.commands.distill import teacher_configs
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.distill.build import build_step, first_batch
from paddleseg.distill.teachers import Teacher, check_classes, check_range, renormalization
from paddleseg.errors import UserError
from paddleseg.options import DistillOptions

IMAGENET = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"type": "Normalize"}
GREY = {"type": "Normalize", "mean": [0.4], "std": [0.2]}


@manager.TRANSFORMS.add_component
class OwnScaling:
    """A user's transform, of which nothing is known."""

    def __call__(self, data):
        data["img"] = data["img"] / 255
        return data


@pytest.fixture
def configs(tmp_path, root):
    """A function from the changes of data sections to the configs of a student and its teacher."""

    def make(student=None, teacher=None, of_teacher=None):
        cfg = Config(tiny.write_yaml(tmp_path / "student.yml", changed(tiny.config(root), student)))
        dic = changed(tiny.config(root, distill=False), teacher)
        dic.update(of_teacher or {})
        path = tiny.write_yaml(tmp_path / "teacher.yml", dic)
        (teacher_cfg,) = teacher_configs([path], None)
        return cfg, teacher_cfg

    return make


def changed(dic, sections):
    """Return a config with changes in sections; a list stands for the transforms."""
    for section, change in (sections or {}).items():
        change = {"transforms": change} if isinstance(change, list) else change
        dic[section] = {**dic[section], **change}
    return dic


def line(config, text):
    """Return the number of the first line of a config that holds a text."""
    with open(config.path, encoding="utf-8") as file:
        return next(i for i, each in enumerate(file, 1) if text in each)


def test_the_images_of_a_teacher_are_those_of_its_training(configs, lines):
    student, teacher = configs({"train_dataset": [HALF]}, {"train_dataset": [IMAGENET]})
    converted = renormalization(student, teacher, "teacher 1")
    image = np.random.default_rng(1).random((2, 3, 5, 4))
    theirs = (image - np.reshape(IMAGENET["mean"], (1, 3, 1, 1))) / np.reshape(IMAGENET["std"], (1, 3, 1, 1))
    ours = paddle.to_tensor(((image - 0.5) / 0.5).astype("float32"))
    np.testing.assert_allclose(converted(ours).numpy(), theirs, atol=1e-6)
    (message,) = lines
    assert message == (
        "teacher 1 was trained with images normalised by mean [0.485, 0.456, 0.406] and std [0.229, 0.224, "
        f"0.225] ({teacher.path}:{line(teacher, 'mean')}: train_dataset.transforms.0), and the student's are "
        f"by mean [0.5] and std [0.5] ({student.path}:{line(student, 'Normalize')}: "
        f"train_dataset.transforms.0); each image is converted for teacher 1"
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (HALF, HALF),
        (HALF, {"type": "Normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}),
        (IMAGENET, {**IMAGENET, "mean": [0.48501, 0.456, 0.406]}),
        (HALF, {"type": "OwnScaling"}),
        (HALF, {"type": "Normalise of some other project"}),
        (HALF, "no transform"),
        (HALF, {"type": "Normalize", "mean": "no numbers"}),
        ({"type": "OwnScaling"}, IMAGENET),
    ],
)
def test_what_agrees_or_is_unknown_is_not_converted(configs, lines, ours, theirs):
    student, teacher = configs(
        {"train_dataset": [ours]}, {"train_dataset": [theirs], "val_dataset": [theirs]}
    )
    assert renormalization(student, teacher, "the teacher") is None
    assert lines == []


def test_a_config_of_a_model_alone_states_nothing(configs, lines, tmp_path):
    student, _ = configs()
    path = distilling.write_teacher(tmp_path, {"type": "TinyNet", "num_classes": 2}, "alone")
    (teacher,) = teacher_configs([path], None)
    assert renormalization(student, teacher, "the teacher") is None
    check_classes(student, teacher, "the teacher")
    assert lines == []


@pytest.mark.parametrize("section", ["val_dataset", "export"])
def test_any_section_of_a_teacher_may_state_it(configs, lines, section):
    student, teacher = configs()
    teacher.dic["train_dataset"] = None
    teacher.dic["val_dataset"] = None
    teacher.dic[section] = {"transforms": [IMAGENET]}
    assert renormalization(student, teacher, "the teacher") is not None
    assert section in lines[0]


@pytest.mark.parametrize(("ours", "theirs"), [([], [HALF]), ([HALF], [{"type": "RandomHorizontalFlip"}])])
def test_images_without_normalisation_go_from_0_to_255(configs, ours, theirs):
    student, teacher = configs({"train_dataset": ours}, {"train_dataset": theirs})
    given, expected = (255.0, 1.0) if ours == [] else (1.0, 255.0)
    converted = renormalization(student, teacher, "the teacher")
    images = converted(paddle.full([1, 3, 2, 2], given))
    np.testing.assert_allclose(images.numpy(), np.full((1, 3, 2, 2), expected), rtol=1e-6)


def test_what_cannot_be_converted_is_warned_of(configs, lines):
    student, teacher = configs(None, {"train_dataset": [{**IMAGENET, "mean": [0.1, 0.2]}]})
    assert renormalization(student, teacher, "the teacher") is None
    assert lines[-1].endswith("this cannot be converted, so the teacher sees images of another range")


def test_a_run_gives_the_teacher_its_own_images(configs, tmp_path, root):
    """The outputs are those of the same teacher for images that are normalised as in its training."""
    section = {"type": "TinyNet", "num_classes": 2, "width": 5}
    path = distilling.write_teacher(tmp_path, section)
    with open(path, encoding="utf-8") as file:
        dic = yaml.safe_load(file)
    dic["train_dataset"] = {"type": "OpticDiscSeg", "transforms": [IMAGENET]}
    path = tiny.write_yaml(path, dic)
    options = DistillOptions(device="cpu", teacher_engine="paddle", save_dir=str(tmp_path / "out"))
    outputs, identities = [], []
    for transform in (HALF, IMAGENET):
        student = changed(tiny.config(root), {"train_dataset": [transform]})
        builder = SegBuilder(Config(tiny.write_yaml(tmp_path / "s.yml", student)))
        step = build_step(builder, teacher_configs([path], None), options)
        (teacher,) = step.teachers
        (logits,), _ = teacher(first_batch(builder, 0)["img"])
        outputs.append(logits.numpy())
        identities.append(teacher.identity())
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
    assert identities[0].pop("normalised by") == [IMAGENET["mean"], IMAGENET["std"]]
    assert identities[0] == identities[1]


def test_a_cache_and_its_misses_hold_what_the_converted_teacher_answers(configs):
    student, teacher = configs({"train_dataset": [HALF]}, {"train_dataset": [IMAGENET]})
    converted = renormalization(student, teacher, "the teacher")
    given = []
    one = Teacher(tiny.TinyNet(), cfg=teacher, renormalization=converted)
    one.cache = lambda images, keys, compute: compute(images)
    one.engine = lambda images: given.append(images) or ([], {})
    images = paddle.ones([1, 3, 2, 2])
    one.at_head(images)
    one.at_head(images, keys=[(0, 0, b"")])
    for each in given:
        np.testing.assert_array_equal(each.numpy(), converted(images).numpy())
    assert len(given) == 2


@pytest.fixture
def named(configs):
    """A function from the class names of student and teacher to their configs."""

    def make(ours, theirs):
        def section(names):
            more = {"type": "Dataset", "num_classes": len(ours), "train_path": "list.txt"}
            return {
                "train_dataset": {**more, "class_names": names},
                "val_dataset": {"num_classes": len(ours)},
            }

        return configs(section(ours), section(theirs))

    return make


def test_the_same_classes_in_another_order_are_refused(named):
    student, teacher = named(["pole", "car"], ["Car", "pole"])
    message = (
        f"class 0 is 'Car' for the teacher ({teacher.path}:{line(teacher, 'class_names')}: "
        f"train_dataset.class_names) and 'pole' for the student ({student.path}:"
        f"{line(student, 'class_names')}: train_dataset.class_names): the same classes in another order"
    )
    with pytest.raises(UserError) as raised:
        check_classes(student, teacher, "the teacher")
    assert str(raised.value).startswith(message)


def test_other_names_are_warned_of_and_equal_ones_are_not(named, lines):
    check_classes(*named(["floor", "car"], ["floor", "Car"]), "the teacher")
    assert lines == []
    check_classes(*named(["floor", "car"], ["floor", "vehicle"]), "the teacher")
    assert lines[0].startswith("class 1 is 'vehicle' for the teacher (")


@pytest.mark.parametrize(("ignored", "warned"), [(0, True), (1, True), (2, False), (255, False), (-1, False)])
def test_a_class_that_the_teacher_ignored_is_warned_of(configs, lines, ignored, warned):
    student, teacher = configs(None, None, {"ignore_index": ignored})
    check_classes(student, teacher, "the teacher")
    assert len(lines) == warned
    assert not warned or f"ignore_index {ignored} ({teacher.path}:" in lines[0]


def test_another_range_of_images_is_warned_of(tmp_path, configs, lines, root):
    listed = {"type": "Dataset", "dataset_root": root, "train_path": f"{root}/train_list.txt"}
    deep = {
        "train_dataset": {**listed, "img_range": [0, 4095]},
        "val_dataset": {**listed, "img_range": [0, 4095]},
    }
    student, teacher = configs(None, deep)
    check_range(student, teacher, "the teacher")
    (said,) = lines
    assert said.startswith("the teacher was trained with images of img_range [0, 4095] (")
    lines.clear()
    check_range(*configs(deep, deep), "the teacher")
    check_range(*configs(), "the teacher")
    model = {"model": {"type": "TinyNet", "num_classes": 2}, "imports": ["tiny"]}
    alone = Config(tiny.write_yaml(tmp_path / "alone.yml", model), sections=("model",), as_teacher=True)
    check_range(configs(deep, deep)[0], alone, "the teacher")
    assert lines == []


def test_a_class_that_both_ignore_is_not_warned_of(tmp_path, configs, lines, root):
    _, teacher = configs(None, None, {"ignore_index": 0})
    student = Config(tiny.write_yaml(tmp_path / "s.yml", {**tiny.config(root), "ignore_index": 0}))
    check_classes(student, teacher, "the teacher")
    assert lines == []


def test_a_distillation_trains_under_a_teacher_of_another_normalisation(tmp_path, root, lines):
    section = {"type": "TinyNet", "num_classes": 2, "width": 5}
    path = distilling.write_teacher(tmp_path, section)
    with open(path, encoding="utf-8") as file:
        dic = yaml.safe_load(file)
    dic["val_dataset"] = {"type": "OpticDiscSeg", "transforms": [IMAGENET]}
    folder = distilling.distill(tmp_path, tiny.config(root), tiny.write_yaml(path, dic))
    assert sum("was trained with images normalised by" in each for each in lines) == 1
    assert all(np.isfinite(value) for losses in logged_losses(folder) for value in losses.values())
    assert os.path.isdir(folder)
