"""The page of tiny runs: complete, self-contained and escaped, with reasons for what is missing."""

import base64
import html.parser
import os
import re
import shutil

import cv2
import numpy as np
import pytest
import yaml

from paddleseg.errors import UserError
from paddleseg.report import page as page_module

VOID = {"meta", "img", "link", "br", "wbr", "hr", "input"}
NAMES = ("teacher", "plain_0", "plain_1", "distilled_0", "distilled_1")


class Page(html.parser.HTMLParser):
    """A page taken apart; tags that do not match are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and "style" not in self.open:
            self.texts.append(" ".join(data.split()))

    def rows(self, heading):
        """Return the texts from a heading to the next "note" or heading as one list."""
        return self.texts[self.texts.index(heading) + 1 :]


@pytest.fixture(scope="module")
def text(trained, tmp_path_factory, write_page):
    """The page of all tiny runs."""
    path = tmp_path_factory.mktemp("page") / "made" / "report.html"
    return write_page(path, [trained / name for name in NAMES])


@pytest.fixture
def unmeasured(monkeypatch):
    """Without the processes that measure."""
    monkeypatch.setattr(page_module, "costs", lambda runs, *_: ([None] * len(runs), []))


def test_the_page_needs_nothing_beside_it(text):
    page = Page(text)
    outside = [
        value
        for _, name, value in page.attributes
        if name in ("src", "href", "srcset", "xlink:href", "data", "action") and not value.startswith("data:")
    ]
    assert outside == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "default-src 'none'" in text


def test_all_sections_are_there(text):
    page = Page(text)
    assert "missing" not in [value for _, name, value in page.attributes if name == "class"]
    assert page.tags.count("h2") == 8
    assert page.tags.count("polyline") == 5 * (3 + 2) + 1


def test_the_runs_with_their_costs(text):
    rows = Page(text).rows("input")
    for name in NAMES:
        seed, miou, iteration, parameters, flops, latency, memory, size = rows[rows.index(name) + 2 :][:8]
        assert seed == name[-1] or name == "teacher"
        assert 0 < float(miou) < 1
        assert iteration in ("4", "8", "12")
        assert parameters == "0.00 M"
        assert latency.endswith(" ms")
        # No import of Paddle takes less, and a model of 4 channels no gigabytes.
        assert 50 < int(memory.removesuffix(" MB")) < 4000
        assert size == "32 × 32"


def test_what_distillation_gained(text, trained):
    rows = Page(text).rows("of the gap")
    miou = {}
    for name in NAMES:
        with open(trained / name / "best_model" / "state.json", encoding="utf-8") as file:
            miou[name] = yaml.safe_load(file)["best_miou"]
    plain = np.mean([miou["plain_0"], miou["plain_1"]])
    distilled = np.mean([miou["distilled_0"], miou["distilled_1"]])
    at = rows.index("distilled_0, distilled_1")
    assert rows[at + 1] == "distilled student"
    assert rows[at + 2].startswith(f"{distilled:.4f} ± ")
    assert rows[at + 3] == f"{distilled - plain:+.4f}"
    assert rows[at + 5] == "2"


def test_the_pictures_are_of_the_images_with_the_largest_change(text):
    page = Page(text)
    uris = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    gained = [float(t) for t in page.texts if re.fullmatch(r"[+-]0\.\d{4}", t)][1:]
    assert 0 < len(gained) <= 4
    assert any(
        t.startswith("distilled_0 compared with plain_0 on 5 of 5 validation images: ") for t in page.texts
    )
    assert len(uris) == 5 * len(gained)
    helped, hurt = [g for g in gained if g > 0], [g for g in gained if g < 0]
    assert gained == [*sorted(helped, reverse=True), *sorted(hurt)]
    for uri in uris:
        head, _, data = uri.partition(",")
        assert head == "data:image/jpeg;base64"
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), "uint8"), cv2.IMREAD_COLOR)
        assert picture.shape == (32, 32, 3)
    captions = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")][:5]
    names = ["photograph", "truth", "teacher", r"plain_0 0\.\d{4}", r"distilled_0 0\.\d{4}"]
    for caption, expected in zip(captions, names):
        assert re.fullmatch(rf"val_\d\.jpg: {expected}", caption)


def test_one_run_leaves_out_what_compares(report, trained, unmeasured):
    page = Page(report(trained / "plain_0"))
    assert "None of these runs is a distillation." in page.texts
    assert "A single run has nothing to differ from." in page.texts
    assert "It takes a distilled run and a plain run of the same model, both evaluated." in page.texts
    assert "One run" in page.texts
    assert page.tags.count("polyline") == 3


def test_a_run_without_anything_to_show_still_has_its_page(report, made_up):
    page = Page(report(made_up("a", {"type": "NoSuchNet"}), images=0))
    text = " ".join(page.texts)
    assert "NoSuchNet" in text
    assert "val_dataset" in text
    assert "None of these runs was evaluated." in text
    assert "None of these runs has a history.jsonl" in text
    assert "The option images is 0." in text
    assert "config.yml" not in text  # the user has no such file


def test_without_the_data_set_only_the_pictures_are_missing(report, trained, tmp_path, unmeasured):
    folders = []
    for name in ("plain_0", "distilled_0"):
        folders.append(shutil.copytree(trained / name, tmp_path / name))
        path = tmp_path / name / "run.yml"
        run = yaml.safe_load(path.read_text(encoding="utf-8"))
        run["config"]["val_dataset"]["dataset_root"] = "/nowhere"
        path.write_text(yaml.safe_dump(run), encoding="utf-8")
    page = Page(report(*folders))
    (why,) = [text for text in page.texts if "could not be run" in text]
    assert "'/nowhere'" in why
    assert "run.yml: val_dataset" in why  # and not a file that the user does not have
    assert page.tags.count("img") == 0
    assert page.tags.count("polyline") > 0


def test_the_teacher_is_drawn_though_its_run_is_not_given(report, trained, unmeasured):
    page = Page(report(trained / "plain_0", trained / "distilled_0", images=1))
    assert page.texts.count("teacher") == 1
    assert any("the teacher's own mIoU is not known here" in text for text in page.texts)


def test_equally_good_students_have_a_reason_instead_of_pictures(report, trained, tmp_path, unmeasured):
    folder = shutil.copytree(trained / "distilled_0", tmp_path / "distilled_0")
    shutil.copy(trained / "plain_0" / "best_model" / "model.pdparams", folder / "best_model")
    page = Page(report(trained / "plain_0", folder))
    assert page.tags.count("img") == 0
    (why,) = [text for text in page.texts if text.startswith("No image is shown")]
    assert why == (
        "No image is shown, since distilled_0 and plain_0 have the same mean IoU on each compared "
        "validation image, 5 in all."
    )
    assert not any("better on 0" in text for text in page.texts)


def test_the_colours_of_curves_that_hide_one_another_alternate(report, made_up, unmeasured):
    history = [{"kind": "eval", "iteration": k, "miou": 0.4839, "class_iou": []} for k in (10, 20)]
    folders = [made_up(name, history=history) for name in ("a", "b", "c")]
    page = Page(report(*folders))
    dashes = [(name, value) for tag, name, value in page.attributes if tag == "g"]
    # The last one is seen in the other 8 of each 24 pixels.
    assert dashes == [
        ("stroke-dasharray", "8 16"),
        ("stroke-dashoffset", "0"),
        ("stroke-dasharray", "8 16"),
        ("stroke-dashoffset", "-8"),
    ]
    assert page.tags.count("polyline") == 3 + 2
    page = Page(report(folders[0]))
    assert "g" not in page.tags


def test_single_points_that_hide_one_another_are_rings(report, made_up, unmeasured):
    page = Page(report(*[made_up(name, miou=0.5) for name in ("a", "b", "c")]))
    radii = [float(value) for tag, name, value in page.attributes if (tag, name) == ("circle", "r")]
    assert radii == [5.5, 4, 2.5]


def test_runs_on_other_images_are_not_compared(report, made_up, unmeasured):
    def record(root, **more):
        return {"config": {"val_dataset": {"type": "D", "dataset_root": root, "transforms": [root]}}, **more}

    teachers = {"role": "distill", "teachers": [{"config": {"model": {}}, "weights": None}]}
    folders = [made_up("p", miou=0.5, **record("x")), made_up("d", miou=0.6, **record("y", **teachers))]
    text = " ".join(Page(report(*folders)).texts)
    assert "were not evaluated on the same images, so their mIoU cannot be compared" in text
    assert "+0.1000" not in text
    folders = [made_up("p2", miou=0.5, **record("x")), made_up("d2", miou=0.6, **record("x", **teachers))]
    assert "+0.1000" in " ".join(Page(report(*folders)).texts)


def test_text_of_users_is_escaped(report, made_up, unmeasured):
    evil = "<script>alert('&')</script>"
    entry = {"kind": "train", "iteration": 1, "losses": {evil: 1.0}}
    record = {"command": ["train.py", evil], "device": evil, "config": {evil: evil}}
    folders = [made_up("a <b>&", history=[entry], **record), made_up("b")]
    text = report(*folders)
    page = Page(text)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert evil in page.texts
    assert any(text.startswith("'<script>") for text in page.texts)


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_measured(trained, tmp_path, write_page):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for output, message in ((tmp_path, "that is a folder"), (tmp_path / "file" / "x.html", "cannot be made")):
        with pytest.raises(UserError, match=message):
            write_page(output, [trained / "plain_0"])
    assert sorted(os.listdir(tmp_path)) == ["file"]
