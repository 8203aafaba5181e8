"""Who may talk to a cluster: a small certificate authority of its own."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed.security import Security

HOURS = 24  # a certificate that leaked is worth nothing tomorrow
# Clocks of two machines differ: valid from a little before now.
SKEW = datetime.timedelta(minutes=5)
ROLES = ("scheduler", "worker", "client")


@dataclass(frozen=True)
class Authority:
    """What signs certificates; whoever has its key can admit anybody.

    Attributes
    ----------
    key : EllipticCurvePrivateKey
        Stays in memory: no file, nothing to forget on a disk.
    certificate : x509.Certificate
        Public. By it everybody checks everybody else's certificate.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def make_authority(name: str = "our cluster") -> Authority:
    """Create an authority that signs for `HOURS` and for nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    unsigned = _begin(subject, subject, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return Authority(key, unsigned.sign(key, hashes.SHA256()))


def issue(
    authority: Authority, name: str, hosts: Sequence[str], folder: Path
) -> tuple[Path, Path]:
    """Write a certificate and its private key for one participant.

    Parameters
    ----------
    authority : Authority
        Signs.
    name : str
        Of the participant, and of the two files.
    hosts : sequence of str
        Host names and addresses under which it will be reached. Dask does
        not compare them; other programs that read the certificate do.
    folder : Path
        Where the files go; it exists.

    Returns
    -------
    tuple of Path
        Certificate and private key, in PEM. Only the owner may read the key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    known_as = x509.SubjectAlternativeName([_host(host) for host in hosts])
    unsigned = _begin(
        _name(name), authority.certificate.subject, key
    ).add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    if hosts:
        unsigned = unsigned.add_extension(known_as, critical=False)
    signed = unsigned.sign(authority.key, hashes.SHA256())
    certificate, secret = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    # Created with its permissions: never readable by others, not even briefly.
    handle = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return certificate, secret


def secure(folder: Path, hosts: Sequence[str] = ("127.0.0.1",)) -> Security:
    """Equip a cluster: one authority, one certificate for each role.

    Parameters
    ----------
    folder : Path
        Where the files go. Each machine needs the authority's certificate
        and its own pair, by a way that nobody else can read.
    hosts : sequence of str
        Where scheduler and workers will be reached.

    Returns
    -------
    distributed.Security
        For the client, and for whoever starts the other processes. The
        authority's key is gone when this returns: nobody can be admitted
        later.
    """
    authority = make_authority()
    root = folder / "authority.crt"
    root.write_bytes(
        authority.certificate.public_bytes(serialization.Encoding.PEM)
    )
    files: dict[str, str] = {}
    for role in ROLES:
        certificate, key = issue(authority, role, hosts, folder)
        files[f"tls_{role}_cert"] = str(certificate)
        files[f"tls_{role}_key"] = str(key)
    return Security(require_encryption=True, tls_ca_file=str(root), **files)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """Begin a certificate, valid from now on for `HOURS`."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(hours=HOURS))
    )
