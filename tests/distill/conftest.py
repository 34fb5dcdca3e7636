import distilling
import paddle
import pytest
import tiny


@pytest.fixture
def models():
    """A student, in evaluation mode, and a teacher, both a `TinyNet`."""
    paddle.seed(4)
    student, teacher = tiny.TinyNet(), tiny.TinyNet()
    student.eval()
    return student, teacher


@pytest.fixture
def teacher(tmp_path):
    """Write the config of a model with saved weights, a `TinyNet` by default; returns its path."""

    def write(name="teacher", model=None, **arguments):
        section = model or {"type": "TinyNet", "num_classes": 2, **arguments}
        return distilling.write_teacher(tmp_path, section, name, seed=len(name) + 9)

    return write


@pytest.fixture
def distill(tmp_path, root, teacher):
    """Distil a `TinyNet`, by default under another, and return the folder of the run.

    `features` and `section` are of the config's section `distill`, `distill_file` the features of the
    distill_config.py; `changes` are keys of the student's config.
    """

    def run(*features, teachers=None, name="run", distill_file=(), options=None, section=None, **changes):
        dic = tiny.config(root, imports=["tiny", "distilling"], **changes)
        dic["distill"] = {"features": list(features), **(section or {})}
        path = tiny.write_distill_file(tmp_path / "d.py", list(distill_file))
        options = {"distill_config": path, "no_eval": True, **(options or {})}
        return distilling.distill(tmp_path, dic, teachers or [teacher()], name, **options)

    return run
