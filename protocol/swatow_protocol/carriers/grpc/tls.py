"""TLS for servers that are known by an Ed25519 key, which TLS in gRPC cannot use.

A server makes a short-lived self-signed P-256 certificate and lets its identity sign the hash of
it (Offer, Award, Endpoint). A client fetches the certificate that a server shows, compares the
hash, and trusts exactly that certificate and no other. gRPC with Ed25519 certificates fails in the
handshake (NO_COMMON_SIGNATURE_ALGORITHMS, grpc/grpc#24252).
"""

import asyncio
import datetime
import ssl
from dataclasses import dataclass
from hashlib import sha256

from swatow_protocol import limits
from swatow_protocol.addresses import parse_address
from swatow_protocol.errors import InvalidValue, Unreachable
from swatow_protocol.units import MICROS_PER_SECOND

SERVER_NAME = "swatow"
"""The name in every certificate. It means nothing: clients pin the certificate itself."""

_BACKDATED_US = 3_600 * MICROS_PER_SECOND  # clients whose clocks are behind accept it too


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, both in PEM form."""

    key_pem: bytes
    certificate_pem: bytes
    sha256: bytes
    """SHA-256 of the certificate in DER form: what identities sign."""
    renew_at_us: int
    """Half of its life is over at this time: make another."""

    def __repr__(self) -> str:
        return f"Certificate({self.sha256.hex()})"


def make_certificate(now_us: int) -> Certificate:
    """Make a key pair and a certificate for it, valid for CERTIFICATE_LIFE_US."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SERVER_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_datetime(now_us - _BACKDATED_US))
        .not_valid_after(_datetime(now_us + limits.CERTIFICATE_LIFE_US))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        sha256=sha256(certificate.public_bytes(serialization.Encoding.DER)).digest(),
        renew_at_us=now_us + limits.CERTIFICATE_LIFE_US // 2,
    )


async def fetch_certificate(address: str, timeout_s: float) -> bytes:
    """Return the certificate that the server at host:port shows, in DER form, unverified.

    Raises:
        Unreachable: no TLS 1.3 server answers there in time.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the caller compares the hash
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        host, port = parse_address(address)
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, ValueError, InvalidValue, TimeoutError) as error:
        raise Unreachable(f"{address}: {str(error) or 'no answer in time'}") from None
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


def _datetime(time_us: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_us // MICROS_PER_SECOND, datetime.UTC)
