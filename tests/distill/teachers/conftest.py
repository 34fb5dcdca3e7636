import contextlib

import distilling
import pytest
import tiny

from paddleseg.distill.teachers.cache_files import CacheFiles


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder for exported files."""
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny set of ten images to train on, for tests that change its files."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("views"), train=10)


@pytest.fixture
def distill(tmp_path, data):
    """A function that distils a small model for some epochs of five batches; returns the run's folder.

    `cache` names a folder below `tmp_path`, `dic` changes the student's config.
    """

    def run(name="run", cache=None, features=(), model="TinyNet", dic=None, teachers=1, **options):
        config = {**tiny.config(data, model, batch_size=2, iters=12), **(dic or {})}
        config["distill"] = {"features": list(features), **config.get("distill", {})}
        config["imports"] = ["tiny", "distilling"]
        sections = [{"type": model, "num_classes": 2, "width": 5 + k} for k in range(teachers)]
        paths = [distilling.write_teacher(tmp_path, one, f"t{k}", 20 + k) for k, one in enumerate(sections)]
        given = {
            "distill_config": tiny.write_distill_file(tmp_path / "d.py", []),
            "allow_random_teacher": True,
            "no_eval": True,
            "save_interval": 4,
            "cache_views": 2,
            "teacher_cache": None if cache is None else str(tmp_path / cache),
            "cache_dtype": "float32",
        }
        return distilling.distill(tmp_path, config, paths, name, **{**given, **options})

    return run


@pytest.fixture
def stored(monkeypatch):
    """The numbers of the rows that are stored, in order."""
    rows = []
    write = CacheFiles.write

    def recording(self, row, *args):
        rows.append(row)
        write(self, row, *args)

    monkeypatch.setattr(CacheFiles, "write", recording)
    return rows


@contextlib.contextmanager
def _killed_after(count):
    write, left = CacheFiles.write, [count]

    def killed(self, *row):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(self, *row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CacheFiles, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def killed_after():
    """`with killed_after(count)` lets the training within be killed as soon as so many rows are stored."""
    return _killed_after
