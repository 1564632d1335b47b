"""Who may be at the other end of `--cluster`: this machine, a holder of a certificate, or whom the user trusts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import parity.run.cluster
from parity.commands.cli import main
from parity.errors import ParityError
from parity.run.cluster import Cluster
from parity.run.cluster_access import Access
from tests.parity.keras.keras_files import tiny

distributed = pytest.importorskip("distributed")

OPTIONS = ("--tls-ca-file", "--tls-cert", "--tls-key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two authorities (`ours`, `theirs`), each with a certificate that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for who in ("ours", "theirs"):
        _openssl(
            folder, "req", "-x509", *curve, "-subj", f"/CN={who}", "-keyout", f"{who}-ca.key", "-out", f"{who}-ca.pem"
        )
        _openssl(
            folder, "req", *curve[:-2], "-subj", f"/CN=one of {who}", "-keyout", f"{who}.key", "-out", f"{who}.csr"
        )
        _openssl(folder, "x509", "-req", "-in", f"{who}.csr", "-CA", f"{who}-ca.pem", "-CAkey", f"{who}-ca.key",
                 "-CAcreateserial", "-days", "2", "-out", f"{who}.pem")  # fmt: skip
    return folder


def _files(folder: Path, authority: str = "ours", holder: str = "ours") -> tuple[Path, Path, Path]:
    return folder / f"{authority}-ca.pem", folder / f"{holder}.pem", folder / f"{holder}.key"


@pytest.fixture(scope="module")
def scheduler(certificates: Path) -> Iterator[str]:
    """The address of a scheduler of ours that speaks TLS, with one worker."""
    authority, certificate, key = map(str, _files(certificates))
    roles = {f"tls_{role}_{what}": path for role in ("scheduler", "worker", "client")
             for what, path in (("cert", certificate), ("key", key))}  # fmt: skip
    security = distributed.Security(tls_ca_file=authority, require_encryption=True, **roles)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tls://", host="127.0.0.1", security=security,
        dashboard_address=None,
    ) as cluster:  # fmt: skip
        assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
        yield cluster.scheduler_address


def _run(folder: Path, *arguments: object) -> Result:
    tiny().write(folder / "mine.h5")
    np.save(folder / "x.npy", np.ones((1, 5, 4, 2), np.float32))
    fixed = ["run", "--model", folder / "mine.h5", "--inputs", folder / "x.npy", "--method", "gradient", "--report",
             folder / "report"]  # fmt: skip
    return CliRunner().invoke(main, [str(part) for part in (*fixed, *arguments)])


def test_a_cluster_is_reached_through_tls(scheduler: str, certificates: Path) -> None:
    with Cluster(scheduler, Access(*_files(certificates))) as cluster:
        assert cluster._client.submit(lambda: 6 * 7).result(timeout=20) == 42


@pytest.mark.parametrize(
    ("authority", "holder", "words"),
    [("theirs", "ours", "certificate verify failed"), ("ours", "theirs", "no dask scheduler answers")],
)
def test_who_has_no_certificate_of_the_authority_takes_no_part(
    scheduler: str, certificates: Path, monkeypatch: pytest.MonkeyPatch, authority: str, holder: str, words: str
) -> None:
    monkeypatch.setattr(parity.run.cluster, "CONNECT_SECONDS", 3.0)
    with pytest.raises(ParityError, match="no dask scheduler answers") as error:
        Cluster(scheduler, Access(*_files(certificates, authority, holder)))
    assert words in str(error.value)


def test_the_command_line_takes_the_certificates(scheduler: str, certificates: Path, tmp_path: Path) -> None:
    """What the run comes to depends on the reference; that it comes to the workers does not."""
    files = [part for pair in zip(OPTIONS, _files(certificates), strict=True) for part in pair]
    result = _run(tmp_path, "--cluster", scheduler, *files, "--store", tmp_path / "store", "--offline")
    assert "--offline" in result.output, result.output
    assert "no dask scheduler" not in result.output


@pytest.mark.parametrize("given", [(), (0,), (0, 1), (1, 2)])
def test_tls_without_its_files_is_refused(certificates: Path, tmp_path: Path, given: tuple[int, ...]) -> None:
    files = [part for index in given for part in (OPTIONS[index], _files(certificates)[index])]
    result = _run(tmp_path, "--cluster", "tls://127.0.0.1:9", *files)
    assert result.exit_code == 2
    assert "TLS needs --tls-ca-file, --tls-cert and --tls-key" in result.output


def test_files_of_no_use_are_named(certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish", encoding="utf-8")
    authority, certificate, key = _files(certificates)
    for files, words in (
        ((tmp_path / "absent.pem", certificate, key), "there is no file .*absent.pem"),
        ((tmp_path / "rubbish.pem", certificate, key), "cannot be used"),
        ((authority, certificate, certificates / "theirs.key"), "cannot be used: .*(?i:mismatch)"),
    ):
        with pytest.raises(ParityError, match=words):
            Access(*files).security("tls://127.0.0.1:9")


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "host:8786", "ws://[fe80::1%eth0]:1", "tcp://0.0.0.0:8786",
                                     "localhost.evil.example:8786", "tcp://127.0.0.1.evil.example:1"])  # fmt: skip
def test_another_machine_without_tls_is_refused_unless_the_user_says_so(tmp_path: Path, address: str) -> None:
    result = _run(tmp_path, "--cluster", address)
    assert result.exit_code == 2
    assert "can run code here and on the workers. Use tls://HOST:PORT" in result.output
    assert "--cluster-insecure" in result.output
    assert Access(insecure=True).security(address) is not None


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.2:1", "localhost:1", "[::1]:1", "inproc://a/1/1"])
def test_this_machine_needs_no_certificates(address: str) -> None:
    assert not Access().security(address).require_encryption


def test_options_that_would_do_nothing_are_refused(certificates: Path, tmp_path: Path) -> None:
    result = _run(tmp_path, "--cluster", "tcp://127.0.0.1:9", "--tls-ca-file", _files(certificates)[0])
    assert result.exit_code == 2
    assert "are for tls://HOST:PORT" in result.output
    result = _run(tmp_path, "--cluster-insecure")
    assert result.exit_code == 2
    assert "go with --cluster" in result.output


def test_help_says_whom_a_cluster_trusts() -> None:
    text = " ".join(CliRunner().invoke(main, ["run", "--help"]).output.split())
    assert "Whoever is at the other end can run code here." in text
