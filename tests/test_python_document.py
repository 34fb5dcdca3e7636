"""What `docs/python.md` and the notebook show works: their Python is executed, block after block."""

import json
import os
import re
from pathlib import Path

from paddleseg.distill import Distiller

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs/python.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "docs/notebooks/two_models.ipynb"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def run(sources, names):
    """Execute pieces of Python one after the other in one namespace, and return it."""
    for i, source in enumerate(sources):
        exec(compile(source, f"block {i}", "exec"), names)  # noqa: S102  our own documents
    return names


def test_what_the_document_shows_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    python = blocks("python")
    assert len(python) > 5
    names = run(python, {})
    losses = list(names["several"](names["images"], names["labels"]))
    assert losses[1:4] == ["CrossEntropyLoss", "KLLoss", "MSELoss"]
    assert names["best"]["best_iter"] in (2, 4)
    assert os.path.isfile("output/taught/best_model/model.pdparams")
    assert len(os.listdir("output/pictures/pseudo_color_prediction")) == 1
    assert capsys.readouterr().out.splitlines()[-1] == blocks("text")[-1].strip()


def test_the_example_is_that_of_the_class():
    def lines(text):
        return [line.strip() for line in text.splitlines() if line.strip()]

    example = lines(blocks("python")[2])
    shown = lines(Distiller.__doc__)
    of_features = next(line for line in example if line.startswith("features=")).rstrip(",")
    assert any(line.startswith(of_features) for line in shown)
    assert "losses = distiller(images, labels)" in shown


def test_the_notebook_runs_and_shows_a_table_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = run(["".join(cell["source"]) for cell in cells], {})
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert [row[:17].strip() for row in rows] == ["model", "teacher", "student alone", "student distilled"]
    assert all(0.3 < miou <= 1 for values in names["results"].values() for miou in values)
    assert names["results"]["teacher"][0] > 0.5
    assert names["picture"].size[0] > names["picture"].size[1] > 400
    # The notebook shows what it gave when it was last run.
    assert all(cell["outputs"] for cell in cells[-2:])
