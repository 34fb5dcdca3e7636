import cv2
import pytest
from PIL import Image
from transform_samples import ARRAYS


@pytest.fixture
def files(tmp_path):
    """The paths of an image and its mask, as `Compose` takes them."""
    cv2.imwrite(str(tmp_path / "a.png"), ARRAYS["image"])
    Image.fromarray(ARRAYS["mask"]).save(tmp_path / "a_mask.png")
    return {"img": str(tmp_path / "a.png"), "label": str(tmp_path / "a_mask.png"), "gt_fields": ["label"]}
