import cv2
import numpy as np
import pytest

from paddleseg.datasets import Dataset, UnlabeledImages
from paddleseg.errors import UserError
from paddleseg.transforms import Normalize


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for i, name in enumerate(("b.jpg", "a.PNG", "below/c.bmp")):
        cv2.imwrite(str(tmp_path / name), np.full((4, 5, 3), i, "uint8"))
    (tmp_path / "notes.txt").write_text("below/c.bmp\n\n a.PNG \n", encoding="utf-8")
    return tmp_path


def names(dataset, folder):
    return [file[len(str(folder)) + 1 :] for file, _ in dataset.file_list]


def test_a_folder_is_searched_for_images(folder):
    dataset = UnlabeledImages(str(folder), [])
    assert names(dataset, folder) == ["a.PNG", "b.jpg", "below/c.bmp"]
    sample = dataset[2]
    assert sample["img"].shape == (3, 4, 5)
    assert "label" not in sample


def test_a_list_says_which_and_in_which_order(folder):
    dataset = UnlabeledImages(str(folder), [], image_list=str(folder / "notes.txt"))
    assert names(dataset, folder) == ["below/c.bmp", "a.PNG"]
    assert len(dataset) == 2


def test_transforms_apply_without_a_mask(folder):
    plain = UnlabeledImages(str(folder), [])[0]["img"]
    normal = UnlabeledImages(str(folder), [Normalize()])[0]["img"]
    np.testing.assert_allclose(normal, (plain / 255 - 0.5) / 0.5, rtol=1e-5)


def test_a_folder_or_list_without_images_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="'nowhere' is not a folder"):
        UnlabeledImages("nowhere", [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no image in"):
        UnlabeledImages(str(tmp_path / "empty"), [])
    with pytest.raises(UserError, match="cannot read the list"):
        UnlabeledImages(str(folder), [], image_list="none.txt")


def test_a_list_of_a_data_set_may_have_lines_without_a_mask(folder):
    path = folder / "list.txt"
    path.write_text("a.PNG b.png\nb.jpg\n", encoding="utf-8")
    dataset = Dataset(str(folder), [], 2, mode="test", test_path=str(path))
    assert "label" not in dataset[1]
