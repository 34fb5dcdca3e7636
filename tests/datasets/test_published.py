import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from dataset_trees import HEIGHT, TREES, WIDTH, write_mask
from refusal import refusal

from paddleseg import transforms as T
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.paddleseg_keys import OF_COMPONENTS
from paddleseg.errors import UserError

SIGNATURES = json.loads((Path(__file__).parents[1] / "golden" / "signatures.json").read_text())["datasets"]
NUM_CLASSES = {"Cityscapes": 19, "ADE20K": 150, "PascalVOC": 21, "CamVid": 11}
# How many samples each mode has.
COUNTS = {
    "Cityscapes": {"train": 3, "val": 1, "test": 1},
    "ADE20K": {"train": 2, "val": 1},
    "PascalVOC": {"train": 2, "trainval": 3, "trainaug": 4, "val": 1},
    "CamVid": {"train": 2, "val": 1, "test": 1},
}
MODES = [(name, mode) for name, modes in COUNTS.items() for mode in modes]
each_set = pytest.mark.parametrize("name", TREES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A function from a set's name to a small tree of it, which tests leave as it is."""
    roots = {}

    def tree(name):
        if name not in roots:
            roots[name] = TREES[name](tmp_path_factory.mktemp(name))
        return roots[name]

    return tree


def make(name, root, mode="train", transforms=(), **more):
    return manager.DATASETS[name](list(transforms), str(root), mode=mode, **more)


def names(data):
    return [Path(image).name for image, _ in data.file_list]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_every_sample_of_every_mode(whole, name, mode):
    data = make(name, whole(name), mode, [T.Resize([WIDTH * 2, HEIGHT])])
    assert len(data) == COUNTS[name][mode]
    assert (data.num_classes, data.ignore_index, data.published_mode) == (NUM_CLASSES[name], 255, mode)
    for sample in data:
        assert sample["img"].shape == (3, HEIGHT, WIDTH * 2)
        if mode == "test":
            assert "label" not in sample
        else:
            # To train, masks are transformed with their images; to evaluate, they are left as they are.
            assert sample["label"].shape == (HEIGHT, WIDTH * (2 if mode.startswith("train") else 1))
            assert sample["label"].dtype == np.uint8
            assert set(np.unique(sample["label"])) >= {NUM_CLASSES[name] - 1, 255}


@each_set
def test_parameters_are_paddlesegs(name):
    known = inspect.signature(manager.DATASETS[name]).parameters
    # It has no CamVid; ours takes what the others take.
    for parameter, default in SIGNATURES.get(name, SIGNATURES["ADE20K"]).items():
        if parameter in OF_COMPONENTS:
            continue
        assert parameter in known
        assert default == "required" or known[parameter].default == default
    assert next(iter(known)) == "transforms"


def test_cityscapes_label_ids_become_train_ids(whole):
    data = make("Cityscapes", whole("Cityscapes"))
    assert names(data) == [
        f"{stem}_000019_leftImg8bit.png" for stem in ("aachen_000000", "aachen_000001", "zurich_000000")
    ]
    assert [Path(mask).name.rsplit("_", 1)[1] for _, mask in data.file_list] == [
        "labelIds.png",
        "labelTrainIds.png",
        "labelIds.png",
    ]
    # The published list, class by class; every other id is void.
    trained = [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
    got = data[0]["label"].ravel()[:34].tolist()
    assert got == [trained.index(i) if i in trained else 255 for i in range(34)]
    assert data[1]["label"].ravel()[:3].tolist() == [3, 18, 255]


def test_ade20k_classes_begin_at_1(whole):
    data = make("ADE20K", whole("ADE20K"))
    assert names(data) == ["ADE_a.jpg", "ADE_b.jpg"]
    assert data[0]["label"].ravel()[:4].tolist() == [255, 0, 1, 149]


def test_pascal_voc_takes_the_augmented_masks_for_the_augmented_list(whole):
    data = make("PascalVOC", whole("PascalVOC"), "trainaug")
    assert names(data) == ["a.jpg", "b.jpg", "d.jpg", "e.jpg"]
    folders = [Path(mask).parent.name for _, mask in data.file_list]
    assert folders == ["SegmentationClass"] * 2 + ["SegmentationClassAug"] * 2
    for sample in data:
        assert sample["label"].ravel()[:3].tolist() == [0, 20, 255]
    # The first pixel tells which image it is.
    assert [round(float(sample["img"].mean())) for sample in data] == [10, 11, 13, 14]


@pytest.mark.parametrize("name", ["Cityscapes", "ADE20K"])
@pytest.mark.parametrize("ignore_index", [254, -1])
def test_ids_without_a_class_become_the_ignored_index(whole, name, ignore_index):
    first = make(name, whole(name), ignore_index=ignore_index)[0]["label"]
    assert first.ravel()[0] == ignore_index
    assert 255 not in first


def test_padded_pixels_are_ignored(whole):
    """The masks' own numbers must be turned into classes before 255 comes in."""
    data = make("ADE20K", whole("ADE20K"), transforms=[T.Padding([WIDTH, HEIGHT + 2])])
    assert (data[0]["label"][HEIGHT:] == 255).all()


@pytest.mark.parametrize(("name", "value"), [("Cityscapes", 34), ("ADE20K", 151)])
def test_mask_values_that_are_no_id_are_named(tmp_path, name, value):
    data = make(name, TREES[name](tmp_path))
    mask = data.file_list[0][1]
    write_mask(Path(mask), [0, value])
    with pytest.raises(UserError, match=f"{mask}' holds {value}, but its ids are 0..{value - 1}"):
        data[0]


@each_set
def test_the_error_of_a_missing_set_says_where_to_get_it_and_its_layout(tmp_path, name):
    for root in (None, tmp_path / "gone", tmp_path):
        with pytest.raises(
            UserError, match=f"^{name}: .*it is not downloaded: get it from http.*lay it out"
        ) as e:
            manager.DATASETS[name]([], root and str(root))
        assert "\n" not in str(e.value)
        assert root is None or str(root) in str(e.value)


@pytest.mark.parametrize(
    ("name", "mode", "missing"),
    [
        ("Cityscapes", "train", "gtFine/train/zurich/zurich_000000_000019_gtFine_labelIds.png"),
        ("Cityscapes", "val", "gtFine/val"),
        ("ADE20K", "train", "annotations/training/ADE_b.png"),
        ("ADE20K", "val", "annotations"),
        ("PascalVOC", "train", "VOC2012/SegmentationClass/b.png"),
        ("PascalVOC", "val", "VOC2012/JPEGImages/c.jpg"),
        ("PascalVOC", "trainaug", "VOC2012/SegmentationClassAug/e.png"),
        ("PascalVOC", "trainaug", "VOC2012/SegmentationClassAug"),
        ("PascalVOC", "trainaug", "VOC2012/ImageSets/Segmentation/aug.txt"),
        ("CamVid", "val", "val_list.txt"),
    ],
)
def test_a_missing_file_or_folder_is_named(tmp_path, name, mode, missing):
    path = TREES[name](tmp_path) / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=f"^{name}: .*{Path(missing).name}.*; it is not downloaded"):
        make(name, tmp_path, mode)


def test_pascal_voc_needs_its_augmented_part_for_trainaug_alone(tmp_path):
    root = TREES["PascalVOC"](tmp_path)
    shutil.rmtree(root / "VOC2012" / "SegmentationClassAug")
    (root / "VOC2012" / "ImageSets" / "Segmentation" / "aug.txt").unlink()
    assert len(make("PascalVOC", root, "trainval")) == 3


@each_set
def test_bad_arguments_are_named(whole, name):
    with pytest.raises(UserError, match=f"^{name}: mode must be one of {', '.join(COUNTS[name])}, not 'all'"):
        make(name, whole(name), "all")


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_a_config_names_the_mode(whole, tmp_path, name, mode):
    section = {"type": name, "dataset_root": str(whole(name)), "mode": mode, "transforms": []}
    model = {"type": "DeepLabV3P", "backbone": {"type": "ResNet18_vd"}}
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"model": model, "train_dataset": section}))
    config = Config(str(path))
    assert len(SegBuilder(config).train_dataset) == COUNTS[name][mode]
    assert config["model"]["num_classes"] == NUM_CLASSES[name]


def test_a_config_with_a_wrong_mode_or_number_of_classes(whole, tmp_path, capsys):
    section = {"type": "ADE20K", "dataset_root": str(whole("ADE20K")), "mode": "test", "transforms": []}
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"train_dataset": section}))
    message = refusal(capsys, lambda: SegBuilder(Config(str(path))).train_dataset)
    assert "train_dataset: ADE20K: mode must be one of train, val, not 'test'" in message
    path.write_text(yaml.safe_dump({"num_classes": 19, "train_dataset": section}))
    message = refusal(capsys, lambda: Config(str(path)))
    assert "150 classes, but num_classes" in message
    assert "has 19; they must agree" in message


@pytest.mark.parametrize("name", ["ADE20K", "Cityscapes"])
def test_companion_files_are_no_images(tmp_path, name):
    root = TREES[name](tmp_path)
    before = make(name, root).file_list
    for image, _ in before:
        (Path(image).parent / f"._{Path(image).name}").write_bytes(b"\0\5\26\7")
    assert make(name, root).file_list == before
