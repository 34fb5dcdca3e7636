"""tools/report.py as a command."""

import subprocess
import sys


def refused(repository, tmp_path):
    """Return what the command says of a run in `tmp_path` that it refuses."""
    page = tmp_path / "r.html"
    command = [sys.executable, str(repository / "tools/report.py"), str(tmp_path), "-o", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert not page.exists()
    return done.stderr


def test_a_folder_that_is_no_run_is_refused(repository, tmp_path):
    said = refused(repository, tmp_path)
    assert said.startswith(f"error: {tmp_path} is no run: no run.yml there")


def test_a_text_for_a_loss_is_refused_with_its_line(repository, tmp_path):
    (tmp_path / "run.yml").write_text("{role: train, config: {}}", encoding="utf-8")
    entries = [
        f'{{"kind": "train", "iteration": {k}, "losses": {{"loss": {v}}}}}' for k, v in ((1, 2), (2, '"abc"'))
    ]
    (tmp_path / "history.jsonl").write_text("\n".join(entries), encoding="utf-8")
    said = refused(repository, tmp_path)
    assert said == f"error: {tmp_path}/history.jsonl:2: losses.loss must be a number, not 'abc'\n"
