"""TLS contexts: public and private certificate authorities, and the client certificate."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from shared.core.errors import ConfigurationError, NotAuthorised

#: Linux can keep a file in memory; elsewhere a private temporary file lives for a moment.
IN_MEMORY = hasattr(os, "memfd_create")


def no_trust() -> ssl.SSLContext:
    """A context that trusts nobody, for plain http to this machine: loading the authorities takes time."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def server_trust(connection: str, ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies the instance's certificate against the public authorities and those of ``ca_bundle``.

    Raises ConfigurationError when the file cannot be used.
    """
    context = httpx.create_ssl_context()
    if ca_bundle is None:
        return context
    problem = None
    try:
        context.load_verify_locations(cafile=ca_bundle)
    except ssl.SSLError:
        problem = "holds no certificate in PEM form"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
    if problem:
        raise ConfigurationError(
            [f"connections.{connection}.ca_bundle: {ca_bundle} {problem}. Fix: name a PEM file that the app can read"]
        )
    return context


def present(
    context: ssl.SSLContext, certificate: tuple[str, str], connection: str, *, in_memory: bool = IN_MEMORY
) -> None:
    """Make ``context`` show a client certificate (chain and private key in PEM form) in handshakes.

    The library reads files only: the text goes into one that nobody else can open and that is gone afterwards.

    Raises NotAuthorised when the two are no pair or no PEM.
    """
    try:
        with _as_file("\n".join(certificate), in_memory=in_memory) as path:
            # Without a password callback an encrypted key would make OpenSSL ask on the terminal.
            context.load_cert_chain(path, password=lambda: "")
    except Exception:
        # Whatever the library raises for it; its message may quote the key. So the error below has no cause.
        usable = False
    else:
        usable = True
    if usable:
        return
    raise NotAuthorised(
        "the client certificate cannot be used",
        connection=connection,
        advice="Store certificate and private key in PEM form, not encrypted, with their BEGIN and END lines, and "
        "check that they belong together.",
    )


@contextmanager
def _as_file(text: str, *, in_memory: bool) -> Iterator[str]:
    if in_memory:
        handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{handle}"
    else:
        handle, path = tempfile.mkstemp(prefix="bridge-", suffix=".pem")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii", errors="replace", closefd=False) as file:
            file.write(text)
        yield path
    finally:
        os.close(handle)
        if not in_memory:
            with suppress(FileNotFoundError):
                Path(path).unlink()
