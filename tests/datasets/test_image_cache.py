import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest
import tiny

from paddleseg.datasets import Dataset, SeededSamples, UnlabeledImages
from paddleseg.datasets.image_cache import cache_images
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.errors import SampleError, UserError
from paddleseg.transforms import (
    Normalize,
    Padding,
    RandomDistort,
    RandomHorizontalFlip,
    RandomPaddingCrop,
    Resize,
    ResizeByLong,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no such memory elsewhere")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six photographs of two sizes, with masks."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(6):
        height, width = ((60, 80), (48, 64))[i % 2]
        image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (5, 5), 0)
        cv2.imwrite(str(root / f"{i}.jpg"), image)
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 3, (height, width), dtype=np.uint8))
        lines.append(f"{i}.jpg {i}.png\n")
    (root / "list.txt").write_text("".join(lines))
    return root


CHAINS = {
    "decoded": [RandomPaddingCrop([40, 40]), RandomHorizontalFlip(), Normalize()],
    "led": [Resize([32, 24]), RandomHorizontalFlip(), Normalize()],
    "larger when led": [Resize([160, 120]), RandomHorizontalFlip(), Normalize()],
    "led to bytes": [Padding([90, 70], im_padding_value=0), RandomDistort(), Normalize()],
}


def make(root, transforms=CHAINS["led"], mode="train", cls=Dataset):
    path = str(root / "list.txt")
    return cls(str(root), transforms, 3, mode, train_path=path, val_path=path)


def cached(place, folder, dataset, limit=2**24):
    cache_images({"train_dataset": dataset}, place, limit, folder)
    return dataset


def samples(dataset, epochs=2):
    read = SeededSamples(dataset, 0, keep=("trans_info",))
    return [read[epoch, index] for epoch in range(epochs) for index in range(len(dataset))]


def assert_same(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected):
        assert set(one) == set(other)
        for key, value in other.items():
            same = (
                one[key].tobytes() == value.tobytes() if isinstance(value, np.ndarray) else one[key] == value
            )
            assert same, key


@pytest.fixture
def own_photographs(photographs, tmp_path):
    """A copy of the photographs, which a test may change."""
    return shutil.copytree(photographs, tmp_path / "own")


def make_unreadable(folder):
    """Overwrite the photographs; neither their sizes nor their times change."""
    for path in folder.glob("*.jpg"):
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("mode", ["train", "val"])
@pytest.mark.parametrize("place", ["ram", "disk"])
@pytest.mark.parametrize("chain", CHAINS)
def test_samples_are_the_same_to_the_last_bit_and_decoded_once(own_photographs, tmp_path, chain, place, mode):
    transforms = CHAINS[chain] if mode == "train" else [ResizeByLong(40), Normalize()]
    expected = samples(make(own_photographs, transforms, mode))
    dataset = cached(place, tmp_path, make(own_photographs, transforms, mode))
    assert_same(samples(dataset), expected)
    make_unreadable(own_photographs)
    assert_same(samples(dataset), expected)
    later = cached(place, tmp_path, make(own_photographs, transforms, mode))
    if place == "disk":
        assert_same(samples(later), expected)
    else:
        with pytest.raises(SampleError):
            samples(later)


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_workers_share_what_one_of_them_decoded(photographs, tmp_path, place):
    keys = [[(0, i), (0, i + 1)] for i in range(5)] * 3
    expected = [b["img"].numpy() for b in load_batches(SeededSamples(make(photographs), 0), keys, 0, stack)]
    dataset = cached(place, tmp_path, make(photographs))
    got = [b["img"].numpy() for b in load_batches(SeededSamples(dataset, 0), keys, 2, stack)]
    np.testing.assert_array_equal(got, expected)
    store = dataset.image_cache.store
    assert store.num_filled() == 6
    # This process reads what the workers have stored.
    for index in range(6):
        assert store.get(index) is not None
    got = [b["img"].numpy() for b in load_batches(SeededSamples(dataset, 0), keys, 0, stack)]
    np.testing.assert_array_equal(got, expected)


def test_images_without_masks_are_cached_too(photographs, tmp_path):
    def make_unlabeled():
        return UnlabeledImages(str(photographs), CHAINS["led"])

    def read(dataset):
        return [SeededSamples(dataset, 0, labeled=False)[0, i] for i in range(len(dataset))]

    dataset = cached("ram", None, make_unlabeled())
    assert_same(read(dataset) + read(dataset), read(make_unlabeled()) * 2)
    assert dataset.image_cache.store.num_filled() == len(dataset)


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_the_limit_holds_for_all_together_and_is_logged_once(photographs, tmp_path, place, lines):
    one = 32 * 24 * 4 * 3 + 32 * 24 + 512  # an image, its mask, and what describes them
    limit = 3 * one
    data = {"train_dataset": make(photographs), "val_dataset": make(photographs, mode="train")}
    data["val_dataset"].ignore_index = 254
    cache_images(data, place, limit, tmp_path)
    for dataset in data.values():
        assert_same(samples(dataset), samples(make(photographs)))
    stores = [dataset.image_cache.store for dataset in data.values()]
    assert sum(store.num_filled() for store in stores) == 3
    assert sum(store.used for store in stores) <= limit
    assert sum("the limit of" in line for line in lines) == 1
    if place == "disk":
        assert sum(path.stat().st_size for path in tmp_path.glob("*.data")) <= limit


def flipped(content):
    return bytes(byte ^ 255 if place % 200 == 0 else byte for place, byte in enumerate(content))


def first_half(content):
    return content[: len(content) // 2]


def noise(content):
    return os.urandom(len(content))


DAMAGE = [(flipped, ["data"]), (first_half, ["data"]), (first_half, ["index"]), (noise, ["data", "index"])]


@pytest.mark.parametrize(("damage", "endings"), [*DAMAGE, (None, ["data"])])
def test_damaged_files_are_never_used(photographs, tmp_path, damage, endings):
    expected = samples(make(photographs))
    samples(cached("disk", tmp_path, make(photographs)))
    for ending in endings:
        (path,) = tmp_path.glob(f"*.{ending}")
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):
        dataset = cached("disk", tmp_path, make(photographs))
        assert_same(samples(dataset), expected)
    assert dataset.image_cache.store.num_filled() == 6


def test_an_edited_image_is_decoded_again(own_photographs, tmp_path):
    root = own_photographs
    samples(cached("disk", tmp_path / "cache", make(root)))
    cv2.imwrite(str(root / "2.jpg"), np.zeros((60, 80, 3), np.uint8))
    for _ in range(2):
        assert_same(samples(cached("disk", tmp_path / "cache", make(root))), samples(make(root)))


def test_data_sets_that_store_other_samples_have_their_own_files(photographs, tmp_path):
    class Own(Dataset):
        pass

    for dataset in (
        make(photographs),
        make(photographs, [Resize([32, 25]), Normalize()]),
        make(photographs, cls=Own),
        make(photographs, mode="val", transforms=[Resize([32, 24])]),
    ):
        cached("disk", tmp_path, dataset)
    cached("disk", tmp_path, make(photographs, [Resize([32, 24]), RandomDistort()]))  # the same leading part
    assert len(list(tmp_path.glob("*.data"))) == 4


def test_a_full_disk_is_logged_and_changes_nothing(photographs, tmp_path, monkeypatch, lines):
    dataset = cached("disk", tmp_path, make(photographs))
    real = os.pwrite

    def pwrite(file, content, offset):
        if len(content) > 2000:
            raise OSError(28, "No space left on device")
        return real(file, content, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert_same(samples(dataset), samples(make(photographs)))
    assert sum("No space left on device" in line for line in lines) == 1
    assert dataset.image_cache.store.num_filled() == 0


def test_some_of_a_disk_is_left_free(photographs, tmp_path, monkeypatch, lines):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2**30 + 1}))
    dataset = cached("disk", tmp_path, make(photographs))
    assert_same(samples(dataset), samples(make(photographs)))
    assert dataset.image_cache.store.num_filled() == 0
    assert "1 GiB would be left free" in lines[-1]


def test_a_folder_that_cannot_be_made_is_refused(photographs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cache_images disk: .*choose another folder by cache_images_dir"):
        cached("disk", tmp_path / "file", make(photographs))


def test_samples_that_cannot_be_read_are_not_stored(own_photographs):
    root = own_photographs
    (root / "1.jpg").write_bytes((root / "1.jpg").read_bytes()[:-50])
    cv2.imwrite(str(root / "2.png"), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(root / "3.png"), np.full((48, 64), 77, np.uint8))
    dataset = cached("ram", None, make(root))
    for _ in range(2):
        with pytest.raises(SampleError, match="1.jpg.*cut off"):
            dataset.sample(1)
        with pytest.raises(SampleError, match=r"2\.jpg.*2\.png.*80 x 60.*5 x 5"):
            dataset.sample(2)
        with pytest.raises(UserError, match=r"3\.png' holds 77"):
            dataset.sample(3)


def test_a_data_set_that_reads_in_its_own_way_is_not_cached(photographs, lines):
    class Own(Dataset):
        def sample(self, index, rng=None):
            return super().sample(index, rng)

    dataset = cached("ram", None, make(photographs, cls=Own))
    assert dataset.image_cache is None
    assert "does not apply to train_dataset" in lines[0]


def test_a_transform_may_change_its_arrays_in_place(photographs):
    class Darker:
        def __call__(self, data):
            data["img"] *= 0.5
            data["label"][:4] = 1
            return data

    for chain in ([Darker(), Normalize()], [Resize([32, 24]), Darker()]):
        dataset = cached("ram", None, make(photographs, chain))
        assert_same(samples(dataset), samples(make(photographs, chain)))


ENDED = """
import os, signal, sys
import tiny
from paddleseg import transforms as T
from paddleseg.datasets.loading import load_batches, stack
from paddleseg.datasets import SeededSamples
from paddleseg.datasets.image_cache import cache_images
from paddleseg.datasets.optic_disc_seg import OpticDiscSeg

dataset = OpticDiscSeg([T.Normalize()], sys.argv[1])
cache_images({"train_dataset": dataset}, "ram", 2**30)
batches = load_batches(SeededSamples(dataset, 0), [[(0, i)] for i in range(8)] * 9, 2, stack)
next(batches), next(batches), next(batches)
print(dataset.image_cache.store.num_filled() > 0, flush=True)
if sys.argv[2] != "exit":
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


@pytest.mark.parametrize("way", ["exit", "SIGTERM", "SIGKILL"])
def test_memory_is_gone_with_the_process(tmp_path, way, run_python):
    root = tiny.write_optic_disc(tmp_path / "data")
    before = set(os.listdir("/dev/shm"))
    ended = run_python("-c", ENDED, root, way)
    assert "\nTrue\n" in ended.stdout, ended.stderr
    # Killed, Paddle leaves some of the batches that its workers hand over.
    assert [name for name in set(os.listdir("/dev/shm")) - before if not name.startswith("paddle_")] == []


def test_the_header_of_a_sample_is_json(photographs, tmp_path):
    dataset = cached("disk", tmp_path, make(photographs))
    dataset.sample(0)
    (path,) = tmp_path.glob("*.data")
    content = path.read_bytes()
    header = json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])
    assert header["arrays"] == {"img": ["<f4", [24, 32, 3]], "label": ["|u1", [24, 32]]}
    assert header["done"] == 1
