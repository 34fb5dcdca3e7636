"""Models that cannot take the images of a training, such as grey ones for colour: one line, no traceback."""

import distilling
import paddle
import pytest
import tiny

from paddleseg.commands.distill import teacher_configs
from paddleseg.core import runs
from paddleseg.cvlibs import Config, manager
from paddleseg.distill.channels import explain_failures
from paddleseg.errors import UserError
from paddleseg.models.base import SegmentationModel

COLOUR, GREY, FIVE = paddle.ones([2, 3, 8, 8]), paddle.ones([2, 1, 8, 8]), paddle.ones([2, 5, 8, 8])


@manager.MODELS.add_component
class ChannelNet(tiny.TinyNet):
    """A `TinyNet` of images of any number of channels."""

    def __init__(self, num_classes: int = 2, in_channels: int = 3):
        super().__init__(num_classes)
        self.body[0] = paddle.nn.Conv2D(in_channels, 4, 3, padding=1)


@pytest.mark.parametrize(("images", "needed"), [(COLOUR, 1), (GREY, 3), (FIVE, 4), (COLOUR, 5)])
def test_other_channels_are_one_line(images, needed):
    model = ChannelNet(in_channels=needed)
    words = [f"{count} channel{'s' * (count > 1)}" for count in (needed, images.shape[1])]
    message = f"^teacher 1 takes images of {words[0]}, and those of this training have {words[1]}; "
    with pytest.raises(UserError, match=message), explain_failures(images, model, "teacher 1"):
        model(images)


def test_right_images_and_errors_for_users_pass():
    with explain_failures(COLOUR, ChannelNet(), "the teacher"):
        ChannelNet()(COLOUR)
    with pytest.raises(UserError, match="^as it is$"), explain_failures(COLOUR, ChannelNet(), "the teacher"):
        raise UserError("as it is")


def test_any_error_of_a_users_model_is_one_line_and_one_of_ours_a_bug():
    class Square(tiny.TinyNet):
        def forward(self, x):
            raise ValueError("only squares of 7, please")

    message = "^the teacher: Square cannot compute images 2 x 3 x 8 x 8: .*only squares of 7, please"
    with pytest.raises(UserError, match=message), explain_failures(COLOUR, Square(), "the teacher"):
        Square()(COLOUR)
    own = SegmentationModel(None)
    with pytest.raises(ValueError, match="a bug"), explain_failures(COLOUR, own, "the teacher"):
        raise ValueError("a bug")


@pytest.fixture
def config(tmp_path, root):
    """A function from a name, a number of channels and whether it is a student's to a config's path."""

    def write(name, channels, distill, num_teachers=1):
        section = {"type": "ChannelNet", "in_channels": channels}
        dic = tiny.config(root, section, distill)
        dic["imports"] = ["tiny", "test_channels"]
        for key in ("train_dataset", "val_dataset"):
            dic[key] = {
                "type": "Dataset",
                "dataset_root": root,
                "train_path": f"{root}/train_list.txt",
                "val_path": f"{root}/val_list.txt",
                "mode": key.partition("_")[0],
                "num_classes": 2,
                "transforms": [{"type": "Normalize"}],
                "img_channels": channels,
            }
        return tiny.write_yaml(tmp_path / f"{name}.yml", dic)

    return write


@pytest.mark.parametrize(("teacher", "student"), [(1, 3), (3, 1)])
def test_a_distillation_names_both_places(tmp_path, config, teacher, student):
    paths = config("teacher", teacher, False), config("student", student, True)
    pattern = r"{}.yml:\d+: {}.img_channels\)"
    places = [pattern.format(*pair) for pair in (("teacher", "train_dataset"), ("student", "train_dataset"))]
    with pytest.raises(UserError, match=".*".join(places)) as raised:
        tiny.distill(paths[1], paths[0], save_dir=str(tmp_path / "out"), allow_random_teacher=True)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="^the teacher takes images of"):
        runs.taps_table(Config(paths[1]), teacher_configs([paths[0]], None))


def test_a_student_that_does_not_fit_its_own_images_is_named(tmp_path, config, root):
    path = config("student", 1, True)
    teacher = distilling.write_teacher(tmp_path, {"type": "TinyNet"})
    with pytest.raises(UserError, match="^the student takes images of 3 channels"):
        tiny.distill(path, teacher, save_dir=str(tmp_path / "out"), opts=["model.in_channels=3"])
