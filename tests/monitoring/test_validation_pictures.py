import cv2
import numpy as np
import paddle
import pytest
import tiny

from paddleseg.monitoring.validation_pictures import CAPTION_SCALE, LONGEST, ValidationPictures, photograph
from paddleseg.utils.pictures import CAPTION_HEIGHT

GAP = 4
HEIGHT, WIDTH = 20, 24
TRUTH = np.zeros((HEIGHT, WIDTH), np.uint8)
TRUTH[:, 12:] = 1
TRUTH[:3] = 255


class Samples:
    """Two grey samples whose right halves are of class 1; the first three rows are ignored."""

    ignore_index = 255
    num_classes = 2

    def __len__(self):
        return 2

    def sample(self, index, rng=None):
        image = np.full((3, HEIGHT, WIDTH), 0.5 * index, np.float32)
        image[:, 0, 0] = 1
        return {"img": image, "label": TRUTH}


class Halves(paddle.nn.Layer):
    """Predicts class 1 from a column on; lists the mode of each call."""

    def __init__(self, column):
        super().__init__()
        self.column = column
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        second = np.where(np.arange(WIDTH) >= self.column, 1, -1).astype("float32")
        second = paddle.to_tensor(second).expand([len(images), 1, HEIGHT, WIDTH])
        return [paddle.concat([paddle.zeros_like(second), second], axis=1)]


def columns(row, count):
    """Return the pictures of a row below their captions."""
    starts = [k * (WIDTH + GAP) for k in range(count)]
    assert row.shape == (CAPTION_SCALE * CAPTION_HEIGHT + HEIGHT, starts[-1] + WIDTH, 3)
    return [row[-HEIGHT:, start : start + WIDTH].astype(int) for start in starts]


def tinted(picture):
    return (picture != picture[..., :1]).any(axis=-1)


def test_a_row_shows_truth_teacher_student_and_its_errors_in_red():
    student = Halves(8)
    rows = ValidationPictures(Samples(), student, {"teacher": Halves(12)}, 5)()
    assert list(rows) == ["0_image", "1_image"]
    image, truth, teacher, predicted, wrong = columns(rows["1_image"], 5)
    assert not tinted(image).any()
    assert (tinted(truth) == (TRUTH == 1)).all()
    assert (tinted(teacher) == (np.arange(WIDTH) >= 12)).all()
    assert (tinted(predicted) == (np.arange(WIDTH) >= 8)).all()
    expected = np.zeros(TRUTH.shape, bool)
    expected[3:, 8:12] = True
    assert (tinted(wrong) == expected).all()
    red = wrong[expected]
    assert (red[:, 2] > 200).all()
    assert (red[:, :2] < 60).all()


def test_teachers_predict_once_and_the_mode_of_the_model_stays():
    student, teacher = Halves(8), Halves(12)
    student.train()
    pictures = ValidationPictures(Samples(), student, {"teacher": teacher}, 2)
    first, second = pictures(), pictures()
    assert len(teacher.modes) == 2
    assert student.modes == [False] * 4
    assert student.training
    for name, row in first.items():
        np.testing.assert_array_equal(second[name], row)


def test_without_a_teacher_there_are_four_columns():
    rows = ValidationPictures(Samples(), Halves(12), {}, 1)()
    assert list(rows) == ["0_image"]
    assert not tinted(columns(rows["0_image"], 4)[3]).any()


def test_large_images_are_shrunk_and_named_by_their_files(tmp_path):
    path = str(tmp_path / "a b%ü.png")
    cv2.imencode(".png", np.full((2 * LONGEST, LONGEST, 3), 90, np.uint8))[1].tofile(path)

    class Large(Samples):
        file_list = [[path, None]]

        def __len__(self):
            return 1

        def sample(self, index, rng=None):
            label = np.zeros((2 * LONGEST, LONGEST), np.uint8)
            return {"img": np.zeros((3, HEIGHT, WIDTH), np.float32), "label": label}

    ((name, row),) = ValidationPictures(Large(), Halves(12), {}, 1)().items()
    assert name == "0_a_b__"
    assert row.shape == (CAPTION_SCALE * CAPTION_HEIGHT + LONGEST, 4 * LONGEST // 2 + 3 * GAP, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_without_a_file_the_input_of_the_model_is_shown(channels):
    image = np.zeros((channels, HEIGHT, WIDTH), np.float32)
    image[0, :, 5:] = -2.0
    shown = photograph(Samples(), 0, {"img": image, "label": TRUTH})
    assert shown.shape == (HEIGHT, WIDTH, 3)
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[0, 9].tolist() == ([0, 0, 0] if channels == 1 else [255, 255, 0])


def test_a_file_is_shown_as_it_is(tmp_path):
    root = tiny.write_optic_disc(tmp_path)
    path = f"{root}/JPEGImages/val_0.jpg"
    dataset = Samples()
    dataset.file_list = [[path, None]]
    label = np.zeros((tiny.SIZE, tiny.SIZE), np.uint8)
    shown = photograph(dataset, 0, {"img": np.zeros((3, 2, 2)), "label": label})
    np.testing.assert_array_equal(shown, cv2.imread(path))
