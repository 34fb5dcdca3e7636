import contextlib
import functools
import http.server
import io
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from paddleseg.datasets import OpticDiscSeg
from paddleseg.errors import UserError


def archive(lists=("train", "val", "test")):
    """A zip of the published layout with one pair, in memory."""
    buffer, picture = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.ones((4, 5), np.uint8)).save(picture, "png")
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("JPEGImages/a.jpg", "Annotations/a.png"):
            file.writestr(f"optic_disc_seg/{name}", picture.getvalue())
        for name in lists:
            file.writestr(f"optic_disc_seg/{name}_list.txt", "JPEGImages/a.jpg Annotations/a.png\n")
    return buffer.getvalue()


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A function that serves bytes as the archive; returns the class that downloads it and the requests."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    site = tmp_path / "site"
    site.mkdir()
    with contextlib.ExitStack() as stack:

        def start(content):
            (site / "optic_disc_seg.zip").write_bytes(content)
            handler = functools.partial(Handler, directory=str(site))
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

            class Served(OpticDiscSeg):
                URL = f"http://127.0.0.1:{server.server_port}/optic_disc_seg.zip"

            return Served, requests

        yield start


def test_download_once_then_read(serve, tmp_path):
    served, requests = serve(archive())
    root = tmp_path / "data" / "discs"
    for mode in ("train", "val", "test"):
        data = served([], str(root), mode=mode, download=True)
        assert data[0]["img"].shape == (3, 4, 5)
        assert (data[0]["label"] == 1).all()
    assert (data.num_classes, OpticDiscSeg.NUM_CLASSES, data.ignore_index) == (2, 2, 255)
    assert len(requests) == 1
    assert {path.name for path in root.parent.iterdir()} <= {"discs", "discs.lock"}


def test_the_default_root_is_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(io.BytesIO(archive())) as file:
        file.extractall(tmp_path / "data")
    assert len(OpticDiscSeg([])) == 1


def test_a_missing_set_is_not_downloaded_by_default(tmp_path):
    for root in (tmp_path / "gone", tmp_path):
        with pytest.raises(UserError, match=f"{root}.*make_optic_disc.py --out {root}` .*download is False"):
            OpticDiscSeg([], str(root))


@pytest.mark.parametrize(
    ("content", "why"),
    [(archive()[:-40], "neither a zip"), (archive(lists=()), "no train_list.txt"), (b"", "neither a zip")],
)
def test_failed_download_leaves_no_folder(serve, tmp_path, content, why):
    served, _ = serve(content)
    root = tmp_path / "data" / "discs"
    with pytest.raises(UserError, match=f"make_optic_disc.py --out {root}` .the download failed: .*{why}"):
        served([], str(root), download=True)
    assert {path.name for path in root.parent.iterdir()} <= {"discs.lock"}


def test_incomplete_folder_is_not_replaced(serve, tmp_path):
    served, requests = serve(archive())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"train_list\.txt"):
        served([], str(tmp_path / "data"), download=True)
    assert not requests


def test_several_at_once_download_once(serve, tmp_path):
    (served, requests), lengths = serve(archive()), []
    make = functools.partial(served, [], str(tmp_path / "discs"), download=True)
    threads = [threading.Thread(target=lambda: lengths.append(len(make()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [1, 1, 1]
    assert len(requests) == 1
