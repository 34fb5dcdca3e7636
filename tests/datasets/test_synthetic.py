import cv2
import numpy as np
import pytest
from PIL import Image

from paddleseg.datasets import OpticDiscSeg, synthetic
from paddleseg.errors import UserError
from paddleseg.transforms.reading import read_mask

SMALL = {"train": 3, "val": 2, "test": 1, "size": 64}


@pytest.fixture(scope="module")
def drawn():
    """Images (as float) and masks of 24 pictures."""
    pairs = [synthetic.draw(128, np.random.default_rng([0, 0, index])) for index in range(24)]
    return np.stack([image for image, _ in pairs]).astype(float), np.stack([mask for _, mask in pairs]) == 1


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_disc_of_1_to_5_percent_inside_the_aperture(drawn):
    images, masks = drawn
    for image, mask in zip(images, masks):
        assert 0.01 < mask.mean() < 0.05
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
        assert image[mask].mean() > 2 * image[[0, 0, -1, -1], [0, -1, 0, -1]].mean()


def test_discs_lie_on_both_sides(drawn):
    left = [np.nonzero(mask)[1].mean() < 64 for mask in drawn[1]]
    assert 0.2 < np.mean(left) < 0.8


def test_discs_are_brighter_than_the_retina_around_them(drawn):
    kernel = np.ones((9, 9), np.uint8)
    for image, mask in zip(*drawn):
        ring = cv2.dilate(mask.astype(np.uint8), kernel) == 1
        assert image[mask].mean() > image[ring & ~mask].mean() + 5


@pytest.mark.parametrize("channel", ["red", "green", "blue", "mean"])
def test_no_threshold_finds_the_discs(drawn, channel):
    images, masks = drawn
    grey = images.mean(-1) if channel == "mean" else images[..., ["red", "green", "blue"].index(channel)]
    scores = []
    for threshold in range(0, 256, 4):
        found = grey > threshold
        scores.append((found & masks).sum() / (found | masks).sum())
    assert max(scores) < 0.45


def test_layout_is_what_optic_disc_seg_reads(tmp_path):
    assert synthetic.make_optic_disc(tmp_path / "a" / "set", **SMALL)
    folder = tmp_path / "a" / "set"
    for mode, count in (("train", 3), ("val", 2), ("test", 1)):
        data = OpticDiscSeg([], str(folder), mode=mode)
        assert len(data) == count
        for sample in data:
            assert sample["img"].shape == (3, 64, 64)
            assert set(np.unique(sample["label"])) == {0, 1}
    assert "SYNTHETIC" in (folder / "README.txt").read_text()
    mask = folder / "Annotations" / "synthetic_train_0001.png"
    assert Image.open(mask).mode == "P"
    expected = synthetic.draw(64, np.random.default_rng([0, 0, 1]))[1]
    np.testing.assert_array_equal(read_mask(mask), expected)
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_picture_depends_on_the_seed_and_its_number_alone(tmp_path):
    synthetic.make_optic_disc(tmp_path / "a", **SMALL)
    synthetic.make_optic_disc(tmp_path / "b", **SMALL)
    synthetic.make_optic_disc(tmp_path / "more", **{**SMALL, "train": 5})
    synthetic.make_optic_disc(tmp_path / "seed", **SMALL, seed=1)
    a, more, seed = files(tmp_path / "a"), files(tmp_path / "more"), files(tmp_path / "seed")
    assert a == files(tmp_path / "b")
    pictures = [name for name in a if name.endswith((".jpg", ".png"))]
    assert len(pictures) == 12
    assert len({a[name] for name in pictures}) == 12
    assert all(more[name] == a[name] != seed[name] for name in pictures)


def test_a_complete_set_is_not_written_again(tmp_path):
    synthetic.make_optic_disc(tmp_path / "set", **SMALL)
    (tmp_path / "set" / "train_list.txt").write_text("mine")
    assert not synthetic.make_optic_disc(tmp_path / "set", **SMALL)
    assert (tmp_path / "set" / "train_list.txt").read_text() == "mine"
    with pytest.raises(UserError, match='was made with .*"train": 3.*not .*"train": 4'):
        synthetic.make_optic_disc(tmp_path / "set", **{**SMALL, "train": 4})


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is no synthetic set"):
        synthetic.make_optic_disc(tmp_path / "set", **SMALL)
    assert files(tmp_path / "set") == {"notes.txt": b"mine"}


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def failing(size, rng):
        calls.append(size)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)

    monkeypatch.setattr(synthetic, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        synthetic.make_optic_disc(tmp_path / "set", **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"train": 0}, {"test": 0}, {"size": 63}, {"seed": -1}])
def test_bad_arguments_are_named(tmp_path, change):
    (name,) = change
    with pytest.raises(UserError, match=f"^{name} must be"):
        synthetic.make_optic_disc(tmp_path / "set", **{**SMALL, **change})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        synthetic.make_optic_disc(tmp_path / "file" / "set", **SMALL)


def test_the_script_writes_the_set_once_and_refuses_other_arguments(tmp_path, repository, run_python):
    def run(*flags):
        few = "--out", "set", "--train", 1, "--val", 1, "--test", 1
        return run_python(repository / "tools/make_optic_disc.py", *few, *flags, cwd=tmp_path)

    done = run("--size", "64")
    assert done.returncode == 0, done.stderr
    assert "written" in done.stdout
    assert "already complete" in run("--size", "64").stdout
    refused = run("--size", "80")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert "Traceback" not in refused.stderr
