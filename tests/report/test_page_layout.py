"""The layout of the page in a browser: on a phone and on a desk, light and dark."""

import html
import json
import re
import shutil
import subprocess

import cv2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
]
LAYOUT = """
<script>
window.onload = () => {
const wide = document.documentElement.scrollWidth, seen = window.innerWidth;
const box = element => element.getBoundingClientRect();
const free = [...document.querySelectorAll("body *")].filter(element => !element.closest(".scroll"));
const out = free.filter(element => box(element).right > seen + 0.5 || box(element).left < -0.5);
const cut = [...document.querySelectorAll("svg text")].filter(text => {
  const of = box(text.ownerSVGElement), own = box(text);
  return own.left < of.left || own.right > of.right || own.top < of.top || own.bottom > of.bottom;
});
const labels = [...document.querySelectorAll("svg")].map(svg => [...svg.querySelectorAll("text")].map(box));
const overlap = labels.flatMap(boxes => boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
  a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)));
const smallest = Math.min(...[...document.querySelectorAll("svg text")].map(text => box(text).height));
const gained = document.querySelector(".scroll"), hidden = gained.scrollWidth - gained.clientWidth;
const images = [...document.images].filter(image => !image.complete || image.naturalWidth === 0);
top.document.title = "layout: " + JSON.stringify({
  wide, seen, out: out.map(element => element.outerHTML.slice(0, 80)), cut: cut.map(text => text.textContent),
  overlap: overlap.length, smallest, images: images.length, text: getComputedStyle(document.body).color,
  hidden, back: getComputedStyle(document.body).backgroundColor,
  tables: document.querySelectorAll(".scroll").length,
});
};
</script></body>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


def browse(folder, page, size, *more):
    """Run the browser once on a page; return its standard output."""
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [CHROMIUM, *FLAGS, profile, f"--window-size={size}", *more, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout


@pytest.fixture(scope="module")
def pages(trained, tmp_path_factory, write_page):
    """The page of tiny runs with long names: its folder, its path, and its text with a measuring script."""
    folder = tmp_path_factory.mktemp("browsed")
    runs = []
    for name in ("teacher", "plain_0", "distilled_0"):
        copy = shutil.copytree(trained / name, folder / f"{name}_of_the_{'very_' * 6}long_name")
        runs.append(copy)
        # As after more iterations: the last tick is 3000, at the edge of the chart.
        history = copy / "history.jsonl"
        entries = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        for entry in entries:
            entry["iteration"] = entry["iteration"] * 250
        history.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    path = folder / "report.html"
    text = write_page(path, runs, images=2, repeats=0)
    judged = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text)
    return folder, path, judged.replace("</body>", LAYOUT)


@pytest.mark.parametrize(
    ("width", "dark", "text", "back"),
    [
        (390, False, "rgb(27, 31, 36)", "rgb(255, 255, 255)"),
        (1280, True, "rgb(230, 237, 243)", "rgb(13, 17, 23)"),
    ],
    ids=["phone, light", "desk, dark"],
)
def test_nothing_sticks_out_is_cut_or_overlaps(pages, width, dark, text, back):
    folder, page, judged = pages
    # A window is at least 500 pixels wide, except for a screenshot; a frame can be narrower.
    framing = folder / f"framing_{width}.html"
    style = f"width: {width}px; height: 2400px; border: 0"
    frame = f'<iframe style="{style}" srcdoc="{html.escape(judged)}"></iframe>'
    framing.write_text(f"<!DOCTYPE html><title></title>{frame}", encoding="utf-8")
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    title = re.search(
        r"<title>layout: (.*?)</title>", browse(folder, framing, f"{width + 20},2400", *scheme, "--dump-dom")
    )
    layout = json.loads(html.unescape(title[1]))
    assert layout["seen"] == width
    assert layout["wide"] <= width
    assert layout["out"] == []
    assert layout["cut"] == []
    assert layout["overlap"] == 0
    assert layout["smallest"] > 9
    assert layout["images"] == 0
    assert layout["tables"] == 4
    assert layout["hidden"] <= 0  # the table of gains needs no scrolling
    assert (layout["text"], layout["back"]) == (text, back)
    shot = folder / f"{width}.png"
    browse(folder, page, f"{width},2400", *scheme, f"--screenshot={shot}")
    picture = cv2.imread(str(shot))
    assert picture.shape[1] == width
    blue, green, red = (int(value) for value in picture[2, 2])
    assert f"rgb({red}, {green}, {blue})" == back
    assert picture.std() > 10
