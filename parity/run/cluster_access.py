"""How a dask cluster may be reached: on this machine, through TLS, or in a network that the user says is trusted.

Dask sends pickles both ways, so whoever answers at the scheduler's address, or changes what is sent, can run code here
and on the workers.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parity.errors import ParityError

if TYPE_CHECKING:
    from distributed.security import Security

ADDRESS = re.compile(r"([a-z]+://)?(\[[0-9A-Za-z:.%]+\]|[^\s:/\[\]@]+):[0-9]{1,5}")
"""A scheduler's address: dask itself takes what has no port for a host to ask, and asks for half a minute."""
HINT = "start one with `dask scheduler --host 127.0.0.1`, and workers with `dask worker ADDRESS --nthreads 1`"
_ENCRYPTED = ("tls://", "wss://")
_OPTIONS = "--tls-ca-file, --tls-cert and --tls-key"


@dataclass(frozen=True)
class Access:
    """What the user says of a cluster besides its address.

    Attributes
    ----------
    ca_file
        Certificate of the authority that signed the cluster's certificates and this client's, in PEM.
    cert, key
        Certificate of this client, and its private key.
    insecure
        Whether a scheduler on another machine may be reached without encryption.
    """

    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def security(self, address: str) -> Security:
        """Return dask's settings for an address; what is not given comes from dask's own configuration.

        Raises
        ------
        ParityError
            If it is no address, certificates are missing or of no use, or the connection would be open to others.
        """
        from distributed.security import Security

        if address.startswith("inproc://"):
            return Security()
        parts = ADDRESS.fullmatch(address)
        if parts is None:
            raise ParityError(
                f"--cluster {address}: no address of a dask scheduler; it is HOST:PORT, tcp://HOST:PORT or "
                f"tls://HOST:PORT, and {HINT}"
            )
        given = {"tls_ca_file": self.ca_file, "tls_client_cert": self.cert, "tls_client_key": self.key}
        if parts[1] not in _ENCRYPTED:
            if any(given.values()):
                raise ParityError(f"--cluster {address}: {_OPTIONS} are for tls://HOST:PORT")
            if not self.insecure and not _is_here(parts[2]):
                raise ParityError(
                    f"--cluster {address}: dask sends pickles, so whoever answers there or listens on the way can run "
                    f"code here and on the workers. Use tls://HOST:PORT with {_OPTIONS}, or a scheduler on 127.0.0.1 "
                    "(also one behind an SSH tunnel), or say --cluster-insecure in a network where you trust everybody"
                )
            return Security()
        for path in given.values():
            if path is not None and not path.is_file():
                raise ParityError(f"--cluster {address}: there is no file {path}")
        try:
            told = {name: str(path) for name, path in given.items() if path is not None}
            security = Security(require_encryption=True, **told)
            missing = [name for name in given if getattr(security, name) is None]
            if missing:
                raise ParityError(f"--cluster {address}: TLS needs {_OPTIONS}")
            security.get_connection_args("client")
        except (OSError, ValueError) as error:  # of ssl too
            raise ParityError(f"--cluster {address}: {_OPTIONS} cannot be used: {error}") from error
        return security


NOBODY_SAID = Access()


def _is_here(host: str) -> bool:
    """Return whether a host is this machine by its name alone; other names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False
