"""The estimate for many GPUs: its counts are those of the layers, its tables follow from them by hand."""

import argparse

import pytest
import scale
import tiny

ARGS = argparse.Namespace(
    size=[1024, 512], iters=[4000], interval=2000, batch=2, gpus=[1, 4], tflops=1.0, network=1.0
)
COUNTS = {
    "teacher": scale.Counts(
        flops=10**12, parameters=2 * 10**6, norms=3, outputs=2**20, head=2**18, full=2**20
    ),
    "student": scale.Counts(flops=10**11, parameters=10**6, norms=2, outputs=2**19, head=2**18, full=2**20),
}


def cells(table, row):
    return [cell.strip() for cell in table.splitlines()[2 + row].strip("|").split("|")]


def test_a_model_is_counted_layer_by_layer(tmp_path, root):
    model = {"type": "FCN", "num_classes": 2, "backbone": {"type": "MobileNetV2_x0_25"}}
    path = tiny.write_yaml(tmp_path / "model.yml", tiny.config(root, model=model))
    small, large = (scale.counted(str(path), size) for size in ([64, 64], [128, 64]))
    assert large.parameters == small.parameters
    assert large.norms == small.norms > 50
    assert large.flops == 2 * small.flops
    assert large.outputs == 2 * small.outputs
    assert (small.full, large.full) == (2 * 64 * 64, 2 * 64 * 128)
    assert large.head == 2 * small.head


def test_a_run_has_three_passes_of_the_student_and_one_of_the_teacher():
    row = cells(scale.runs_table(COUNTS, ARGS), 0)
    images = 4000 * 16
    evaluated = 2 * 500 * 4 * 10**11  # two evaluations of images four times as large as a crop
    expected = [images * 3 * 10**11, images * 10**12, evaluated]
    assert row[:3] == ["4,000", "64,000", "22"]
    assert row[3:6] == [f"{flops / 1e18:.2f}" for flops in expected]
    assert row[6] == "0.4"  # 64,000 images of 6.3 MB


def test_a_gpu_sends_its_gradients_nearly_twice():
    alone, four = (cells(scale.gpus_table(COUNTS, ARGS), i) for i in (0, 1))
    assert alone[:5] == ["1", "2", "2.600", "0", "0.0000"]
    assert four[:5] == ["4", "8", "2.600", f"{1.5 * 4e6 / 2**20:.0f}", "0.0060"]
    assert float(four[5]) == pytest.approx(8 / 2.606, abs=0.5)


def test_reading_a_sample_takes_time(tmp_path, root):
    path = tiny.write_yaml(tmp_path / "student.yml", tiny.config(root))
    assert 0 < scale.reading(str(path), repeats=1) < 10


def test_help_says_what_flags_are_and_no_absolute_path(help_of):
    text = help_of(scale)
    for words in ("lengths of whole runs", "how many GPUs", "(default: configs/deeplabv3p/"):
        assert words in text
    assert scale.ROOT not in text
