import functools
import http.server
import threading
import typing

import pytest


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes to a file and returns its path as text."""

    def written(content):
        path = tmp_path / "w.pdparams"
        path.write_bytes(content)
        return str(path)

    return written


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and some answers of its own; notes the paths that are requested."""

    # Path: (content, stated length or None).
    ANSWERS = {
        "/anything": (b"weights", None),
        "/odd_length": (b"", "many"),
        "/broken": (b"only this", "1000"),
    }

    def __init__(self, *arguments, requested, **options):
        self.requested = requested
        super().__init__(*arguments, **options)

    def do_GET(self):
        self.requested.append(self.path)
        answer = next((given for path, given in self.ANSWERS.items() if self.path.startswith(path)), None)
        if answer is None:
            return super().do_GET()
        content, length = answer
        self.send_response(200)
        if length:
            self.send_header("Content-Length", length)
        self.end_headers()
        return self.wfile.write(content)

    def log_message(self, *arguments):
        pass


class Site(typing.NamedTuple):
    folder: typing.Any
    url: str
    requested: list


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder of its own for files that later runs use again."""
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def site(tmp_path, monkeypatch, home):
    """A folder, the URL of a server of its files, and the paths that were requested."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder, requested = tmp_path / "site", []
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder), requested=requested)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Site(folder, f"http://127.0.0.1:{server.server_port}", requested)
        server.shutdown()
