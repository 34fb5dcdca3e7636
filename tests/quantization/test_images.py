"""paddleseg/quantization/images.py: which images are measured, and how they are prepared."""

import numpy as np
import pytest
import tiny
from exporting import OwnScans

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.quantization import images

ANY = [-1, 3, -1, -1]


def test_a_seed_chooses_the_images():
    assert images.chosen(5, 128, seed=0) == [0, 1, 2, 3, 4]
    some = images.chosen(1000, 10, seed=0)
    assert some == sorted({*some})
    assert len(some) == 10
    assert images.chosen(1000, 10, seed=0) == some
    assert images.chosen(1000, 10, seed=1) != some


def test_training_images_are_prepared_as_in_the_deployment(tmp_path):
    root = tiny.write_optic_disc(tmp_path / "data", train=2)
    dic = tiny.config(root)
    dic["val_dataset"]["transforms"] = [{"type": "Resize", "target_size": [16, 24]}, {"type": "Normalize"}]
    # The same images as those of the training, in evaluation mode.
    dic["val_dataset"].update(type="Dataset", num_classes=2, val_path=f"{root}/train_list.txt")
    cfg = Config(tiny.write_yaml(tmp_path / "c.yml", dic))
    builder = SegBuilder(cfg)
    prepared = list(images.batches(cfg, builder.train_dataset, [0, 1], ANY))
    assert [batch.shape for batch in prepared] == [(1, 3, 24, 16)] * 2
    for index, batch in enumerate(prepared):
        np.testing.assert_array_equal(batch[0], builder.val_dataset.sample(index)["img"])
    fixed = next(images.batches(cfg, builder.train_dataset, [0], [2, 3, 8, 8]))
    np.testing.assert_array_equal(fixed, np.stack([prepared[0][0, :, :8, :8]] * 2))


def test_a_users_data_set_reads_its_files_itself(tmp_path):
    root = tiny.write_optic_disc(tmp_path / "data", train=2)
    cfg = Config(tiny.write_yaml(tmp_path / "c.yml", tiny.config(root)))
    prepared = list(images.batches(cfg, OwnScans(4), [1, 3], ANY))
    assert [batch.max() for batch in prepared] == [1, 3]
    with pytest.raises(UserError, match="val_dataset holds no image"):
        images.refuse_empty(OwnScans(0), "val_dataset")


def test_a_fixed_size_takes_images_of_that_size_alone(tmp_path):
    dic = tiny.config(tiny.write_optic_disc(tmp_path / "data", train=2))
    dic["val_dataset"]["transforms"] = [{"type": "Resize", "target_size": [16, 24]}, {"type": "Normalize"}]
    cfg = Config(tiny.write_yaml(tmp_path / "c.yml", dic))
    dataset = SegBuilder(cfg).val_dataset
    for fits in (None, ANY, [1, 3, 24, 16], [1, 3, -1, 16]):
        images.refuse_size(cfg, dataset, fits)
    images.refuse_size(cfg, OwnScans(1), [1, 3, 8, 8])
    for wrong in ([1, 3, 16, 24], [1, 3, 24, 24]):
        with pytest.raises(UserError, match=r"^input_shape 1 3 .* has 24 x 16 pixels \(H x W\) after"):
            images.refuse_size(cfg, dataset, wrong)
