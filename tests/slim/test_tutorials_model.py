"""The tutorial's small model: its files, taken from the document, train and distil as it shows."""

import re

import pytest

BLOCK = re.compile(r"^```(?:python|yaml)\n# (my_\w+\.\w+)\n.*?^```$", re.MULTILINE | re.DOTALL)
ADD_TENSOR = '            if self.add_tensor:\n                mapping_layers["hidden_1"]'


@pytest.fixture
def files(repository, tmp_path, monkeypatch):
    """A folder with the document's files, where the process is."""
    text = (repository / "docs/tutorial.md").read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        content = block[0].split("\n", 1)[1].rsplit("```", 1)[0]
        (tmp_path / block[1]).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def distill(files, command):
    """Distil by a distill_config.py; return (exit status, stderr)."""
    flags = ["--device", "cpu", "--iters", "2", "--log_iters", "1", "--save_dir"]
    assert command("train.py", "--config", "my_student.yml", *flags, "t")[0] == 0

    def run(distill_config):
        configs = ["--teacher_config", "my_student.yml", "--student_config", "my_student.yml"]
        weights = ["--teacher_opts", "model.pretrained=t/iter_2/model.pdparams"]
        file = ["--distill_config", distill_config]
        return command("slim/distill/distill_train.py", *configs, *weights, *file, *flags, "s")

    return run


def test_its_files_train_and_distil(files, distill, caplog):
    assert sorted(path.name for path in files.iterdir() if path.suffix in (".py", ".yml")) == [
        "my_model.py",
        "my_model_distill_config.py",
        "my_student.yml",
    ]
    assert distill("my_model_distill_config.py")[0] == 0
    parts = "CrossEntropyLoss: .* KLLoss: .* hidden_0_SegChannelwiseLoss: .* hidden_1_SegChannelwiseLoss: "
    assert re.search(rf"iter: 2/2.* {parts}", caplog.text)


def test_a_tensor_outside_its_block_is_told_so(files, distill):
    text = (files / "my_model_distill_config.py").read_text(encoding="utf-8")
    assert ADD_TENSOR in text
    (files / "outside.py").write_text(
        text.replace(ADD_TENSOR, ADD_TENSOR.split("\n")[1][4:]), encoding="utf-8"
    )
    status, error = distill("outside.py")
    assert status == 2
    assert "Model has no 'reshape_out' before a forward pass; if forward sets it, name it inside" in error
