"""Commands on a tiny set, with mistakes to be made in them."""

import pytest
import tiny


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"))


@pytest.fixture
def distill(tmp_path, root, command):
    """Distil a TinyNet under another; keywords replace parts of the set-up."""

    def run(
        *flags,
        student=None,
        teacher=None,
        features=None,
        opts=None,
        pretrained=True,
        changes=None,
        **distill_file,
    ):
        model = {"type": "TinyNet", "num_classes": 2, **(teacher or {})}
        if pretrained:
            arguments = {key: value for key, value in model.items() if key != "type"}
            path = tmp_path / "teacher.pdparams"
            model["pretrained"] = tiny.save_weights(path, tiny.TinyNet(**arguments))
        student = tiny.config(root, model={"type": "TinyNet", "num_classes": 2, **(student or {})})
        student = {**student, "imports": ["tiny", "distilling"], **(changes or {})}
        return command(
            "slim/distill/distill_train.py",
            "--teather_config",
            tiny.write_yaml(tmp_path / "teacher.yml", {"model": model, "imports": ["tiny"]}),
            "--student_config",
            tiny.write_yaml(tmp_path / "student.yml", student),
            "--distill_config",
            tiny.write_distill_file(tmp_path / "d.py", features or [], **distill_file),
            "--save_dir",
            tmp_path / "out",
            "--device",
            "cpu",
            *flags,
            *(["--opts", *opts] if opts else []),
        )

    return run


@pytest.fixture
def train(tmp_path, root, command):
    """Train a TinyNet; `changes` replace top-level keys of its config."""

    def run(*flags, **changes):
        dic = tiny.config(root, **changes)
        path = tiny.write_yaml(tmp_path / "c.yml", {k: v for k, v in dic.items() if v is not None})
        return command("train.py", "--config", path, "--save_dir", tmp_path / "out", *flags)

    return run
