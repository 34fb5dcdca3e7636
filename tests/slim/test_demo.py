"""The README's demonstration, on a few images and for two iterations."""

import json
import re
import subprocess
import sys

import cv2
import pytest
from exporting import converts


@pytest.fixture(scope="module")
def printed(repository, tmp_path_factory):
    """The text that the demonstration prints, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("demo")
    make = [str(repository / "tools/make_optic_disc.py"), "--out", "data/optic_disc_synthetic"]
    sizes = ["--train", "8", "--val", "3", "--test", "1", "--size", "64"]
    subprocess.run([sys.executable, *make, *sizes], cwd=folder, check=True)
    demo = [str(repository / "tools/demo.py"), "--data", "data/optic_disc_synthetic", "--device", "cpu"]
    flags = ["--iters", "2", "--seeds", "0"]
    done = subprocess.run(
        [sys.executable, *demo, *flags], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout, folder


def test_one_table_compares_the_three(printed):
    text, _ = printed
    rows = re.findall(r"^(teacher|student alone|student distilled) +1 +0\.\d{4} +0\.\d{4}", text, re.M)
    assert rows == ["teacher", "student alone", "student distilled"]
    assert "The distilled student is" in text
    assert "3 validation images" in text


def test_weights_and_pictures_lie_where_it_says(printed):
    text, folder = printed
    for run in ("teacher", "student_0", "distilled_0"):
        assert (folder / "output/demo" / run / "best_model/model.pdparams").is_file()
    picture = cv2.imread(str(folder / re.search(r"pictures: (\S+)", text)[1]))
    assert picture.shape[1] == 5 * 64


@converts
def test_the_distilled_student_is_shown_in_int8(printed):
    text, folder = printed
    line = re.search(r"^In INT8, distilled_0 has mIoU (0\.\d{4}) instead of (0\.\d{4}), .*", text, re.M)
    figures = json.loads((folder / "output/demo/distilled_0_int8/quantization.json").read_text("utf-8"))
    assert [f"{figures[kind]['miou']:.4f}" for kind in ("int8", "float")] == list(line.groups())
    sizes = [float(number) for number in re.findall(r"(\d+\.\d) MB", line[0])]
    assert sizes[0] < 0.27 * sizes[1]
    page = (folder / "output/demo/report.html").read_text(encoding="utf-8")
    for name in ("teacher_onnx", "student_0_onnx", "distilled_0_onnx", "distilled_0_int8"):
        assert f'<th scope="row">{name}</th>' in page
    for title in ("mIoU over latency on one core, ms an image", "mIoU over the size of the file, MB"):
        assert f"<figcaption>{title}</figcaption>" in page


def test_it_ends_with_the_report_of_its_runs(printed):
    text, folder = printed
    path = re.fullmatch(r"report: (\S+)", text.strip().splitlines()[-1])[1]
    page = (folder / path).read_text(encoding="utf-8")
    for name, part in (
        ("teacher", "teacher"),
        ("student_0", "plain student"),
        ("distilled_0", "distilled student"),
    ):
        assert f'<th scope="row">{name}<small>{part}</small></th>' in page
    assert "SegChannelwiseLoss" in page
    missing = re.findall(r'class="missing">([^<]*)', page)
    # After so few iterations the students may well agree on every image.
    if "<img" in page:
        assert missing == []
    else:
        assert ["have the same mean IoU on each compared validation image" in line for line in missing] == [
            True
        ]
