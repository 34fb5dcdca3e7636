"""Downloads are complete or absent, and weights are downloaded once."""

import hashlib
import threading

import pytest
from archives import make_tar, make_zip

from paddleseg.errors import UserError
from paddleseg.weights import download as D


def test_download_writes_the_file(site, tmp_path):
    folder, url, _ = site
    (folder / "a.bin").write_bytes(bytes(range(256)) * 600)
    got = D.download(f"{url}/a.bin", tmp_path / "new" / "b.bin")
    assert got == tmp_path / "new" / "b.bin"
    assert got.read_bytes() == (folder / "a.bin").read_bytes()
    assert [path.name for path in got.parent.iterdir()] == ["b.bin"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "404"), ("broken", r"broke|bytes|Incomplete"), ("odd_length", "length of 'many'")],
)
def test_a_failed_download_leaves_nothing(site, tmp_path, name, message):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=f"cannot download .*/{name}.*({message})"):
        D.download(f"{site.url}/{name}", tmp_path / "out" / "file")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a", "no address", "file:///etc/hostname", "http://[x/model.pdparams"]
)
def test_urls_that_cannot_work(tmp_path, url, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError, match="cannot download") as caught:
        D.download(url, tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_digest_in_the_url_is_checked(site, home, tmp_path, algorithm):
    folder, url, requested = site
    (folder / "a.pdparams").write_bytes(b"weights")
    digest = hashlib.new(algorithm, b"weights").hexdigest()
    for right in (digest, digest.upper()):
        assert D.download(f"{url}/a.pdparams#{algorithm}={right}", tmp_path / "a").read_bytes() == b"weights"
    assert D.cached_file(f"{url}/a.pdparams#{algorithm}={digest}").read_bytes() == b"weights"
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=f"refused the download of .*: its {algorithm} is {digest}$"):
        D.download(f"{url}/a.pdparams#{algorithm}={digest[::-1]}", tmp_path / "out" / "a")
    assert not list((tmp_path / "out").iterdir())
    requests = len(requested)
    for odd in (digest[:-1], "g" * len(digest), ""):
        with pytest.raises(UserError, match=f"is not {algorithm} in hexadecimal digits"):
            D.cached_file(f"{url}/a.pdparams#{algorithm}={odd}")
    assert len(requested) == requests


def test_a_file_without_end_is_refused(site, tmp_path):
    folder, url, _ = site
    (folder / "a.bin").write_bytes(bytes(300_000))
    with pytest.raises(UserError, match="does not end after 200000 bytes"):
        D.download(f"{url}/a.bin", tmp_path / "a.bin", 200_000)
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["model.safetensors", "model.pdparams"])
def test_cached_weights_come_from_a_file_or_an_archive(site, make, name):
    (site.folder / name).write_bytes(b"weights")
    assert D.cached_file(f"{site.url}/{name}").read_bytes() == b"weights"
    make(site.folder / "weights.zip", {f"r/{name}": b"weights", "r/readme": b""})
    assert D.cached_file(f"{site.url}/weights.zip").read_bytes() == b"weights"


def test_cached_weights_are_downloaded_once(site, home):
    folder, url, requested = site
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "model.pdparams").write_bytes(name.encode())
    first = D.cached_file(f"{url}/one/model.pdparams")
    assert first.read_bytes() == b"one"
    assert first.name == "model.pdparams"
    assert home in first.parents
    assert D.cached_file(f"{url}/two/model.pdparams").read_bytes() == b"two"
    assert D.cached_file(f"{url}/one/model.pdparams") == first
    assert len(requested) == 2


def test_cached_archive_with_none_or_two(site, home):
    make_zip(site.folder / "none.zip", {"readme": b""})
    with pytest.raises(UserError, match="holds none"):
        D.cached_file(f"{site.url}/none.zip")
    make_zip(site.folder / "two.zip", {"a.pdparams": b"", "b.pdparams": b""})
    with pytest.raises(UserError, match=r"holds a\.pdparams, b\.pdparams"):
        D.cached_file(f"{site.url}/two.zip")
    (site.folder / "page.html").write_text("no weights")
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        D.cached_file(f"{site.url}/page.html")
    assert not [path for path in (home / "weights").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("..%2f..%2f..%2fx.pdparams", "x.pdparams"),
        ("{outside}%2Fx.pdparams", "x.pdparams"),
        ("..%5C..%5Cx.pdparams", "x.pdparams"),
        ("C:%5Cx.pdparams", "x.pdparams"),
        ("a%00b%0a.pdparams", "a_b_.pdparams"),
    ],
)
def test_no_url_leads_out_of_the_cache(site, home, tmp_path, address, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    address = address.format(outside=str(outside).replace("/", "%2F"))
    got = D.cached_file(f"{site.url}/anything/{address}")
    assert got.read_bytes() == b"weights"
    assert got.name == name
    assert got.parent.parent == home / "weights"
    everything = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert everything == [got]


@pytest.mark.parametrize("address", ["..", "%2e%2e", "whole", "..%2f", ""])
def test_a_url_without_a_file_name_may_be_an_archive(site, home, address):
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        D.cached_file(f"{site.url}/anything/x/{address}")
    assert not [path for path in (home / "weights").iterdir() if path.is_dir()]


def test_a_malformed_url_of_weights_is_refused(home):
    with pytest.raises(UserError, match="cannot download http://\\[x/model.pdparams: .*IPv6"):
        D.cached_file("http://[x/model.pdparams")


def test_a_failure_is_not_remembered(site, home):
    with pytest.raises(UserError, match="404"):
        D.cached_file(f"{site.url}/late.pdparams")
    (site.folder / "late.pdparams").write_bytes(b"now")
    assert D.cached_file(f"{site.url}/late.pdparams").read_bytes() == b"now"


def test_several_threads_download_once(site, home):
    (site.folder / "a.pdparams").write_bytes(b"x" * 100000)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(D.cached_file(f"{site.url}/a.pdparams"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1
    assert len(site.requested) == 1


def test_a_home_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PADDLESEG_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="PADDLESEG_HOME names another folder"):
        D.cached_file("http://127.0.0.1:1/a.pdparams")


def test_a_file_that_somebody_has_deleted_is_downloaded_again(site):
    (site.folder / "model.pdparams").write_bytes(b"weights")
    path = D.cached_file(f"{site.url}/model.pdparams")
    path.unlink()
    assert D.cached_file(f"{site.url}/model.pdparams") == path
    assert path.read_bytes() == b"weights"
