import functools
import http.server
import io
import stat
import tarfile
import threading
import zipfile

import pytest

from paddleseg.errors import UserError
from paddleseg.utils import download as D


class Handler(http.server.SimpleHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.startswith("/broken"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder, and the address at which a server gives its files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "site"
    folder.mkdir()
    Handler.asked = []
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if not isinstance(content, tarfile.TarInfo):
                info.size = len(content)
            file.addfile(info, None if isinstance(content, tarfile.TarInfo) else io.BytesIO(content))
    return path


def tar_member(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def test_download_writes_the_file(site, tmp_path):
    folder, url = site
    (folder / "a.bin").write_bytes(bytes(range(256)) * 600)
    got = D.download(f"{url}/a.bin", tmp_path / "new" / "b.bin")
    assert got == tmp_path / "new" / "b.bin"
    assert got.read_bytes() == (folder / "a.bin").read_bytes()
    assert [path.name for path in got.parent.iterdir()] == ["b.bin"]


@pytest.mark.parametrize(("name", "message"), [("missing", "404"), ("broken", r"broke|bytes|Incomplete")])
def test_failed_download_leaves_nothing(site, tmp_path, name, message):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=f"cannot download .*/{name}.*({message})"):
        D.download(f"{site[1]}/{name}", tmp_path / "out" / "file")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "no address", "file:///etc/hostname"])
def test_addresses_that_cannot_work(tmp_path, url, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError, match="cannot download") as caught:
        D.download(url, tmp_path / "file")
    assert "\n" not in str(caught.value)


MEMBERS = {"top/": b"", "top/a.txt": b"first", "top/deep/b.txt": b"second"}


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
def test_extract(tmp_path, kind):
    path = tmp_path / "archive"
    if kind == "zip":
        make_zip(path, MEMBERS)
    else:
        make_tar(path, {**MEMBERS, "top/": tar_member(tarfile.DIRTYPE)}, kind)
    folder = D.extract(path, tmp_path / "out")
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {"top/a.txt": b"first", "top/deep/b.txt": b"second"}
    with pytest.raises(UserError, match="exists already"):
        D.extract(path, folder)


def assert_refused(archive, tmp_path, message):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        D.extract(archive, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "C:\\evil", "a\\..\\..\\evil"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_that_leave_the_folder(tmp_path, make, name):
    archive = make(tmp_path / "archive", {"good": b"1", name: b"2"})
    assert_refused(archive, tmp_path, "evil.* would leave the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    archive = make_tar(tmp_path / "archive", {"good": b"1", "odd": tar_member(kind, "/etc/passwd")})
    assert_refused(archive, tmp_path, "'odd' is a link or a device")


def test_link_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        info = zipfile.ZipInfo("odd")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    assert_refused(tmp_path / "archive", tmp_path, "'odd' is a link or a device")


def test_damaged_archives(tmp_path):
    path = make_tar(tmp_path / "archive", {"a": bytes(range(256)) * 40})
    path.write_bytes(path.read_bytes()[:-30])
    assert_refused(path, tmp_path, "cannot extract .*archive")
    path = make_zip(tmp_path / "archive", {"a": b"text " * 100})
    path.write_bytes(path.read_bytes().replace(b"text text", b"toxt text", 1))
    assert_refused(path, tmp_path, "cannot extract .*archive.*CRC")
    path.write_bytes(b"nothing of the kind")
    assert_refused(path, tmp_path, "neither a zip nor a tar")


def test_cached_weights_are_fetched_once(site, home):
    folder, url = site
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "model.pdparams").write_bytes(name.encode())
    first = D.cached_file(f"{url}/one/model.pdparams")
    assert first.read_bytes() == b"one"
    assert first.name == "model.pdparams"
    assert home in first.parents
    assert D.cached_file(f"{url}/two/model.pdparams").read_bytes() == b"two"
    assert D.cached_file(f"{url}/one/model.pdparams") == first
    assert len(Handler.asked) == 2


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_cached_archive(site, home, make):
    make(site[0] / "weights.tar.gz", {"r/readme": b"", "r/model.pdparams": b"weights"})
    assert D.cached_file(f"{site[1]}/weights.tar.gz").read_bytes() == b"weights"


def test_cached_archive_with_none_or_two(site, home):
    make_zip(site[0] / "none.zip", {"readme": b""})
    with pytest.raises(UserError, match="holds none"):
        D.cached_file(f"{site[1]}/none.zip")
    make_zip(site[0] / "two.zip", {"a.pdparams": b"", "b.pdparams": b""})
    with pytest.raises(UserError, match=r"holds a\.pdparams, b\.pdparams"):
        D.cached_file(f"{site[1]}/two.zip")
    (site[0] / "page.html").write_text("no weights")
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        D.cached_file(f"{site[1]}/page.html")
    assert not [path for path in (home / "weights").iterdir() if path.is_dir()]


def test_failure_is_not_remembered(site, home):
    with pytest.raises(UserError, match="404"):
        D.cached_file(f"{site[1]}/late.pdparams")
    (site[0] / "late.pdparams").write_bytes(b"now")
    assert D.cached_file(f"{site[1]}/late.pdparams").read_bytes() == b"now"


def test_several_at_once_fetch_once(site, home):
    (site[0] / "a.pdparams").write_bytes(b"x" * 100000)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(D.cached_file(f"{site[1]}/a.pdparams"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1
    assert len(Handler.asked) == 1


def test_home_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="PADDLESEG_HOME names another folder"):
        D.cached_file("http://127.0.0.1:1/a.pdparams")
