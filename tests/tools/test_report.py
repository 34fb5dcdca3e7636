"""tools/report.py as a command."""

import pytest


@pytest.fixture
def refused(command, tmp_path):
    """A function that returns what the command says of a run in `tmp_path` that it refuses."""

    def of():
        page = tmp_path / "r.html"
        status, message = command("tools/report.py", tmp_path, "-o", page)
        assert status == 2
        assert not page.exists()
        return message

    return of


def test_a_folder_that_holds_no_run_is_refused(refused, tmp_path):
    assert refused().startswith(f"error: {tmp_path} holds no run: it has no run.yml")


def test_a_text_in_place_of_a_loss_is_refused_with_its_line(refused, tmp_path):
    (tmp_path / "run.yml").write_text("{role: train, config: {}}", encoding="utf-8")
    entries = [
        f'{{"kind": "train", "iteration": {k}, "losses": {{"loss": {v}}}}}' for k, v in ((1, 2), (2, '"abc"'))
    ]
    (tmp_path / "history.jsonl").write_text("\n".join(entries), encoding="utf-8")
    assert refused() == f"error: {tmp_path}/history.jsonl:2: losses.loss must be a number, not 'abc'\n"
