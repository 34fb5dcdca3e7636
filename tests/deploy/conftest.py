import sys

import cv2
import numpy as np
import pytest
import tiny

PHOTO = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype="uint8")


def write_photos(folder, *names):
    """Write photographs of 8 x 12 pixels to a new folder and return it."""
    folder.mkdir()
    for name in names:
        cv2.imwrite(str(folder / name), PHOTO)
    return folder


@pytest.fixture
def photos():
    return write_photos


@pytest.fixture
def deployed(deployment):
    """deploy/infer.py, as a module."""
    return deployment("infer")


@pytest.fixture
def infer(tmp_path, deployed, monkeypatch):
    """A function that runs deploy/infer.py with a function in place of the model and returns the status.

    infer(model, images, out, *flags, **deploy): `deploy` are keys of the deploy.yaml.
    """

    def run(model, images, out, *flags, **deploy):
        dic = {"model": "m.onnx", "transforms": [], "output_op": "argmax", **deploy}
        config = tiny.write_yaml(tmp_path / "deploy.yaml", {"Deploy": dic})
        monkeypatch.setattr(deployed, "open_model", lambda *_: model)
        paths = {"--config": config, "--image_path": str(images), "--save_dir": str(out)}
        words = [word for pair in paths.items() for word in pair]
        monkeypatch.setattr(sys, "argv", ["infer.py", *words, *flags])  # the last of equal flags counts
        try:
            deployed.main()
        except SystemExit as stop:
            return stop.code
        return 0

    return run
