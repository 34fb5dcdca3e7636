"""paddleseg/quantization/ptq.py: a tiny trained model in INT8, from the config to the masks."""

import os

import cv2
import numpy as np
import pytest
import tiny
import yaml
from exporting import converts, infer_alone

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError
from paddleseg.options import PtqOptions
from paddleseg.quantization import ptq, quantize
from paddleseg.quantization.result import read_result
from paddleseg.quantization.scoring import Scorer

pytestmark = converts
FILES = ["deploy.yaml", "model.onnx", "quantization.json"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config and the weights of a short training; the discs of its images are found."""
    folder = tmp_path_factory.mktemp("trained")
    dic = tiny.config(tiny.write_optic_disc(folder / "data"), distill=False)
    config = tiny.write_yaml(folder / "c.yml", dic)
    tiny.train(config, save_dir=str(folder / "run"), iters=30, save_interval=30, learning_rate=0.2)
    return config, str(folder / "run/iter_30/model.pdparams")


def run(trained, save_dir, **options):
    config, weights = trained
    sections = ("model", "train_dataset", "val_dataset", "export")
    options = {"model_path": weights, "save_dir": str(save_dir), "calibration_images": 5, **options}
    return quantize(Config(config, sections=sections, required=sections[:3]), PtqOptions(**options))


@pytest.fixture(scope="module")
def quantized(trained, tmp_path_factory):
    """The folder of the INT8 model, and the `Result`."""
    folder = tmp_path_factory.mktemp("quantized") / "out"
    return folder, run(trained, folder)


def dataset_of(trained):
    return SegBuilder(Config(trained[0], sections=("model", "val_dataset"))).val_dataset


def test_the_folder_holds_the_model_and_its_figures(quantized, trained):
    folder, result = quantized
    assert sorted(os.listdir(folder)) == FILES
    assert read_result(folder) == result
    deploy = yaml.safe_load((folder / "deploy.yaml").read_text(encoding="utf-8"))["Deploy"]
    assert (deploy["model"], deploy["precision"]) == ("model.onnx", "int8")
    assert (result.weights, result.method, result.calibration_images) == (trained[1], "minmax", 5)
    assert result.images == 5
    assert result.input_shape == [1, 3, tiny.SIZE, tiny.SIZE]
    assert result.int8.size == os.path.getsize(folder / "model.onnx")
    assert result.float.miou > 0.6
    assert abs(result.drop) < 0.02
    assert 0.98 < result.agreement <= 1
    assert min(result.int8.latency_one_core, result.float.latency_all_cores) > 0


def test_its_convolutions_compute_in_integers(quantized):
    import onnx

    graph = onnx.load(quantized[0] / "model.onnx").graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:
        assert [made_by[name] for name in node.input] == ["DequantizeLinear"] * len(node.input)


def test_infer_py_makes_the_masks_that_were_scored(quantized, trained, repository, tmp_path):
    folder, result = quantized
    dataset = dataset_of(trained)
    scores = Scorer(dataset).score(str(folder), str(tmp_path / "scored"))
    assert scores.miou == pytest.approx(result.int8.miou)
    images = os.path.join(dataset.dataset_root, "val_list.txt")
    infer_alone(repository, folder, images, tmp_path / "deployed")
    hits, union = np.zeros(2), np.zeros(2)
    for i, (image, label) in enumerate(dataset.file_list):
        name = os.path.splitext(os.path.basename(image))[0]
        ours = (tmp_path / "scored" / f"{i:06d}.png").read_bytes()
        assert ours == (tmp_path / "deployed" / f"{name}.png").read_bytes()
        mask = cv2.imread(str(tmp_path / "deployed" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(label, cv2.IMREAD_UNCHANGED)
        hits += [((mask == c) & (truth == c)).sum() for c in (0, 1)]
        union += [((mask == c) | (truth == c)).sum() for c in (0, 1)]
    np.testing.assert_allclose(result.int8.class_iou, hits / union)


def test_too_large_a_loss_is_refused_with_the_table(quantized, trained, monkeypatch, lines):
    def narrow(*args):
        return {name: (0.01 * low, 0.01 * high) for name, (low, high) in calibrate(*args).items()}

    calibrate = ptq.calibrate
    monkeypatch.setattr(ptq, "calibrate", narrow)
    before = [(quantized[0] / name).read_bytes() for name in FILES]
    with pytest.raises(UserError, match=r"max_drop: INT8 loses 0\.\d+ mIoU, more than 0\.01.*nothing was"):
        run(trained, quantized[0])
    assert any(line.startswith("mIoU ") for line in lines)
    assert any(line.startswith("these layers stay in float: ") for line in lines)
    # What the earlier run wrote is still there, and nothing else.
    assert sorted(os.listdir(quantized[0])) == FILES
    assert [(quantized[0] / name).read_bytes() for name in FILES] == before


def test_a_file_that_is_no_weights_ends_in_one_line(trained, quantized, command, tmp_path):
    for wrong, words in ((quantized[0] / "model.onnx", "model.onnx"), (tmp_path / "none", "none")):
        flags = ["--config", trained[0], "--model_path", wrong, "--save_dir", tmp_path / "out"]
        status, err = command("slim/quant/ptq.py", *flags)
        assert status == 2
        assert words in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_input_shape_that_does_not_fit_is_refused_before_the_calibration(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(ptq, "calibrate", None)
    for shape, words in (([4, 3, 32, 32], "one image at a time"), ([1, 3, 48, -1], "has 32 x 32 pixels")):
        with pytest.raises(UserError, match=f"^input_shape {shape[0]} 3 .*{words}"):
            run(trained, tmp_path / "out", input_shape=shape)


@pytest.mark.parametrize(
    ("instructions", "words"), [(["avx_vnni"], None), ([], "hardly be faster"), (None, "it is unknown")]
)
def test_a_processor_without_integer_instructions_is_named(lines, instructions, words):
    ptq.warn_of_processor(instructions)
    assert len(lines) == (words is not None)
    assert all(words in line for line in lines)
