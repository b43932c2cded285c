"""The certificate authority of the emulator, and client certificates for sign-in.

Owns the CA, a TLS context for each host that is asked for, and self-signed certificates of service principals. The CA
lives as long as the process; nothing here decides which hosts exist.
"""

from __future__ import annotations

import datetime
import ssl
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


class CertificateAuthority:
    """A CA whose certificate stands in `ca_file`; clients are pointed at that file and trust nothing else."""

    def __init__(self, ca_file: Path) -> None:
        self.ca_file = ca_file
        self._authority = _authority()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._authority.cert_pem.write_to_path(ca_file)

    def server_context(self, host: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for this host name; the same object for the same host."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]


def self_signed_certificate(common_name: str) -> tuple[bytes, x509.Certificate]:
    """A new key and certificate: the PEM file that `az login --certificate` reads, and the part that is registered."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=5))
    certificate = builder.not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    key_pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key_pem + certificate.public_bytes(encoding), certificate


@cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name='Emulated Azure')
