import importlib
import os
import pathlib
import runpy
import signal
import sys

# Before Paddle is imported: the suite runs one process a core, each on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import paddle  # noqa: E402
import pytest  # noqa: E402
import tiny  # noqa: E402
from converter import Converter  # noqa: E402
from exporting import MODEL  # noqa: E402
from predicting import Columns  # noqa: E402

import paddleseg  # noqa: E402, F401  first, since it loads zlib before Paddle and PaddleSlim
from paddleseg import onednn  # noqa: E402
from paddleseg.cvlibs import (  # noqa: E402
    Config,
    SegBuilder,
    manager,  # noqa: E402
)
from paddleseg.cvlibs.config import ConfigError  # noqa: E402
from paddleseg.datasets import loading  # noqa: E402
from paddleseg.graphs import onnx_file  # noqa: E402
from paddleseg.utils.logger import logger  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository():
    """The folder that holds train.py."""
    return ROOT


@pytest.fixture(scope="session")
def deployment():
    """Import a file of deploy/ by its name, as its neighbours do: deployment("infer")."""
    sys.path.insert(0, str(ROOT / "deploy"))
    yield importlib.import_module
    sys.path.remove(str(ROOT / "deploy"))


@pytest.fixture(autouse=True)
def _own_signals():
    """A training that was stopped leaves signals ignored; the next test must not find them so."""
    stops = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    before = {signum: signal.getsignal(signum) for signum in stops}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(autouse=True)
def _own_sources():
    """A test that names a folder of PaddleSeg's files leaves the next one without it."""
    before = list(manager.SOURCES)
    yield
    manager.SOURCES[:] = before


@pytest.fixture(autouse=True)
def _own_conv_engine():
    """A test that chooses what computes convolutions leaves the next one that of PADDLESEG_CONV_ENGINE."""
    yield
    onednn.use_engine("auto")


@pytest.fixture(autouse=True, scope="session")
def _quick_conversions():
    """ONNX files are written by forks; test_onnx_file.py writes them as users do."""
    converter = Converter()
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(os, "fork"):
            patch.setattr(onnx_file, "subprocess", converter)
        yield
    converter.close()


@pytest.fixture
def command(repository, capfd, monkeypatch):
    """Run a command of the project within this process; returns (exit status, stderr)."""
    # The command changes the path of imports and the environment; put both back.
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *(str(a) for a in arguments)])
        status = 0
        try:
            runpy.run_path(str(repository / script), run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        return status, capfd.readouterr().err

    return run


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch):
    """Flushing to a busy disk takes longer than training; that it is done, and when, has its own test."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny optic-disc set of ten images to train on."""
    return tiny.write_optic_disc(tmp_path_factory.mktemp("data"), train=10)


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    logged = []
    monkeypatch.setattr(logger, "info", logged.append)
    monkeypatch.setattr(logger, "warning", logged.append)
    return logged


@pytest.fixture
def terminal(monkeypatch):
    """Make `streams` one `Terminal`; within the test, since pytest sets them itself before."""
    screens = pytest.importorskip("screens", reason="pseudo-terminals are POSIX's")
    made = []

    def make(columns=100, screen=screens.Cutting, streams=("stdout", "stderr")):
        made.append(screens.Terminal(columns, screen))
        for stream in streams:
            monkeypatch.setattr(sys, stream, made[-1])
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


@pytest.fixture
def read(monkeypatch):
    """The keys of the samples that are read to train on, in order."""
    keys = []
    original = loading.load_batches

    def counting(samples, batches, *args, **more):
        class Counted:
            def __len__(self):
                return len(samples)

            def __getitem__(self, key):
                keys.append(key)
                return samples[key]

        return original(Counted(), batches, *args, **more)

    monkeypatch.setattr("paddleseg.training.fitting.load_batches", counting)
    return keys


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """Make a config of `Columns` and its weights: columns(name, num_classes, **val_dataset)."""
    folder = tmp_path_factory.mktemp("columns")

    def make(name, num_classes=2, channels=3, **val_dataset):
        model = {"type": "Columns", "num_classes": num_classes, "channels": channels}
        dataset = {
            "type": "Dataset",
            "dataset_root": "nowhere",
            "num_classes": num_classes,
            "val_path": "nowhere",
            "transforms": [{"type": "Normalize", "mean": [0.5] * channels, "std": [0.5] * channels}],
            **val_dataset,
        }
        path = tiny.write_yaml(folder / f"{name}.yml", {"model": model, "val_dataset": dataset})
        return path, tiny.save_weights(folder / f"{name}.pdparams", Columns(num_classes, channels))

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config, its weights and its data set; the classifier's bias is such that both classes occur."""
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.write_optic_disc(folder / "data")
    config = tiny.write_yaml(folder / "c.yml", tiny.config(root, MODEL))
    paddle.seed(3)
    builder = SegBuilder(Config(config, sections=("model", "val_dataset")))
    model = builder.model
    model.eval()
    tiny.balance(model, model.head.bias, builder.val_dataset[0]["img"])
    return config, tiny.save_weights(folder / "model.pdparams", model), root


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes a config file in the working directory and returns its bare name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="config.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def problems(write):
    """A function that returns the list of problems of a config's text, empty if it has none."""

    def problems(text, **arguments):
        try:
            Config(write(text), **arguments)
        except ConfigError as error:
            return error.problems
        return []

    return problems
