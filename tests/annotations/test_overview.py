import numpy as np
import pytest
import tiny
from dataset_trees import cityscapes
from PIL import Image

from paddleseg.annotations import draw_overview
from paddleseg.annotations.overview import GAP, SIDE
from paddleseg.cvlibs import Config, manager
from paddleseg.datasets import OpticDiscSeg
from paddleseg.errors import UserError
from paddleseg.options import DrawOptions
from paddleseg.utils.pictures import CAPTION_HEIGHT, GREEN


@pytest.fixture
def draw(tmp_path):
    """Draw the sheet of a section of a config; return it, H x W x 3."""

    def draw(spec, name="train_dataset", output="sheets/a.png", **options):
        path = tiny.write_yaml(tmp_path / "c.yml", {name: spec})
        options = DrawOptions(output=str(tmp_path / output), **options)
        draw_overview(Config(path, sections=(options.section,)), options)
        return np.array(Image.open(options.output))

    return draw


@pytest.fixture
def discs(tmp_path):
    root = tiny.write_optic_disc(tmp_path / "data")
    return {"type": "OpticDiscSeg", "dataset_root": str(root), "transforms": [{"type": "Normalize"}]}


def test_the_sheet_has_rows_of_images_and_a_legend(draw, discs):
    sheet = draw(discs, images=3, columns=2)
    cell = (SIDE + CAPTION_HEIGHT + GAP, SIDE + GAP)
    assert sheet.shape[:2] == (2 * cell[0] + CAPTION_HEIGHT, 2 * cell[1])
    empty = sheet[cell[0] : 2 * cell[0], cell[1] :]
    assert (empty == 255).all()
    # Class 1 is the second one of the legend, in the colour of a data set of two classes.
    legend = sheet[-CAPTION_HEIGHT:]
    assert (legend[4:18, SIDE // 2 + 5 : SIDE // 2 + 17] == GREEN[1]).all()


def test_masks_are_shown_on_their_images(draw, discs):
    sheet = draw(discs, images=1)
    inside = sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + SIDE, :SIDE].astype(int)
    green = (inside[..., 1] - inside[..., 0] > 60).mean()
    assert 0.005 < green < 0.5


def test_the_seed_chooses_the_images(draw, discs):
    first = draw(discs, images=1)
    assert (draw(discs, images=1) == first).all()
    assert any((draw(discs, images=1, seed=seed) != first).any() for seed in range(1, 6))


def test_a_data_set_that_renumbers_its_masks(draw, tmp_path):
    cityscapes(tmp_path / "city")
    section = {
        "type": "Cityscapes",
        "dataset_root": str(tmp_path / "city"),
        "transforms": [{"type": "Normalize"}],
    }
    assert draw(section, images=2, columns=2).shape[1] == 2 * (SIDE + GAP)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"section": "val_dataset"}, "there is no val_dataset to draw"),
        ({"output": "a.gif"}, "output '.*a.gif' must end with .jpg or .png"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, discs, options, told):
    with pytest.raises(UserError, match=told):
        draw(discs, **options)


@manager.DATASETS.add_component
class OwnPairs:
    """A data set of a user's own, with no more than what training needs."""

    def __init__(self, dataset_root, transforms, num_classes=None):
        self._samples = OpticDiscSeg([], dataset_root)
        self.file_list = self._samples.file_list
        if num_classes is not None:
            self.num_classes = num_classes

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        return self._samples[index]


def test_a_data_set_of_ones_own_is_drawn_if_it_states_its_classes(draw, discs):
    own = {**discs, "type": "OwnPairs"}
    sheets = (draw(spec, images=2) for spec in ({**own, "num_classes": 2}, discs))
    # Their legends name the classes differently.
    np.testing.assert_array_equal(*(sheet[:-CAPTION_HEIGHT] for sheet in sheets))
    with pytest.raises(UserError, match="train_dataset: OwnPairs states no num_classes"):
        draw(own)
