"""TLS between Diameter peers (RFC 6733 sections 2.2 and 13): both sides show a certificate.

::

    files ──read_certificates (a thread)──▶ Certificates ──▶ Keeper ─┬─▶ connections that peers open
                                       at every reconfiguration ──▶ ─┴─▶ connections that we open

A certificate has to come from one of our authorities, which is checked in the handshake. That its name is
that of the peer is checked by the node, which alone knows the Origin-Host: it gets the names from here.
"""

from typing import Any, Protocol

from attrs import define
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.settings import TlsSettings

FILE_LIMIT = 1 << 20
"""Octets of a file with certificates or a key."""
CHAIN_LIMIT = 8
"""Certificates between a peer's own and the authority's."""
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of TLS 1.3 are all good. The list of RFC 6733 section 13.1 (RC4, 3DES) is of the past."""


class Wrapped(Protocol):
    """What runs over TLS and is told what was wrong with a certificate."""

    verdict: str


@define(slots=True, frozen=True)
class Certificates:
    """What was read from the files, ready to be used."""

    context: SSL.Context
    subject: str
    """Name in our own certificate, for views."""
    names: tuple[str, ...]
    expires: str
    """When it does, as ISO 8601 date and time."""


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ResourceError(f"{what} {path}: {error.strerror}; give the path of a PEM file") from error
    if len(data) > FILE_LIMIT:
        raise ResourceError(f"{what} {path}: longer than {FILE_LIMIT} octets; give the path of a PEM file")
    return data


def _certificates(path: str, what: str) -> list[x509.Certificate]:
    data = _read(path, what)
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ResourceError(f"{what} {path}: it holds no certificate in PEM form ({error})") from error
    return found


def _key(path: str) -> Any:
    data = _read(path, "private-key")
    try:
        # It is the operator's own: to prove that it is a good one would take a tenth of a second.
        return load_pem_private_key(data, None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise ResourceError(
            f"private-key {path}: it is encrypted; store it without a passphrase, for its owner only"
        ) from error
    except (UnsupportedAlgorithm, ValueError) as error:
        raise ResourceError(f"private-key {path}: it holds no private key in PEM form") from error


def read_certificates(settings: TlsSettings) -> Certificates:
    """Read and check the files. It takes milliseconds and waits for disks: not for the reactor's thread.

    Raises :class:`ResourceError` that names the file and what is wrong with it.
    """
    own, *chain = _certificates(settings.certificate, "certificate")
    authorities = _certificates(settings.authorities, "ca-certificate")
    key = _key(settings.private_key)
    try:
        context = _context(own, chain, authorities, key)
    except (SSL.Error, crypto.Error) as error:
        raise ResourceError(
            f"private-key {settings.private_key} does not belong to certificate {settings.certificate}, "
            f"or OpenSSL refuses them: {_openssl_text(error)}"
        ) from error
    return Certificates(
        context,
        own.subject.rfc4514_string(),
        certificate_names(own),
        own.not_valid_after_utc.isoformat(timespec="minutes"),
    )


def _context(
    own: x509.Certificate, chain: list[x509.Certificate], authorities: list[x509.Certificate], key: Any
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    # A resumed session would bring no certificate to look at, and costs memory for strangers.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(
        SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    # The number of one session is what OpenSSL wants of a server that demands certificates.
    context.set_session_id(b"diameter")
    context.use_certificate(own)
    for each in chain:
        context.add_extra_chain_cert(each)
    context.use_privatekey(key)
    context.check_privatekey()
    store = context.get_cert_store()
    assert store is not None
    for each in authorities:
        store.add_cert(crypto.X509.from_cryptography(each))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    context.set_verify_depth(CHAIN_LIMIT)
    # Last: no change is allowed afterwards.
    context.set_cipher_list(CIPHERS)
    return context


def _verify(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, fine: int) -> bool:
    """Take OpenSSL's verdict on one certificate of a chain, and keep it for the log."""
    if not fine:
        # Twisted keeps its own side of the connection there.
        wrapped: Wrapped = connection.get_app_data().wrappedProtocol
        subject = certificate.to_cryptography().subject.rfc4514_string()[:200]
        wrapped.verdict = f"certificate {subject!r}: {VERDICTS.get(code, f'X509 error {code}')}"
    return bool(fine)


#: What OpenSSL's codes mean (openssl-verification-options, X509_STORE_CTX_get_error).
VERDICTS = {
    2: "its issuer is not known",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed and no authority of ours",
    19: "the authority at the end of its chain is none of ours",
    20: "its issuer is none of our authorities",
    21: "its issuer is none of our authorities",
    22: "its chain is too long",
    23: "it has been revoked",
    24: "its issuer is no authority",
    26: "it may not be used for this side of TLS (Extended Key Usage)",
    66: "its key is too weak",
    68: "its signature is too weak",
}


@implementer(IOpenSSLServerConnectionCreator)
class Keeper:
    """The certificates of one endpoint, as they are now; new connections use new ones."""

    def __init__(self) -> None:
        self.current: Certificates | None = None

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """A server's side of TLS for a connection that a peer has opened."""
        assert self.current is not None, "no listener for TLS without certificates"
        return SSL.Connection(self.current.context, None)

    def client(self, identity: str) -> "_Client":
        """What makes our side of TLS for a connection to the peer of this identity."""
        assert self.current is not None, "no peer with TLS without certificates"
        return _Client(self.current.context, identity)


@implementer(IOpenSSLClientConnectionCreator)
class _Client:
    """Makes a client's side of TLS."""

    def __init__(self, context: SSL.Context, identity: str) -> None:
        self._context = context
        self._identity = identity

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        # RFC 6066 section 3: a peer with several identities can choose its certificate.
        connection.set_tlsext_host_name(self._identity.encode("ascii", "replace"))
        return connection


def certificate_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Folded names of whom a certificate is for: DNS names, without any its Common Names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(each.value) for each in attributes]
    return tuple(fold(name) for name in names)


def peer_names(connection: SSL.Connection) -> tuple[str, ...]:
    """Folded names in the certificate that the peer has shown."""
    certificate = connection.get_peer_certificate(as_cryptography=True)
    return certificate_names(certificate) if certificate is not None else ()


def _openssl_text(error: Exception) -> str:
    """What OpenSSL has to say, in one line."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    texts = [entry[-1] for entry in entries if entry and entry[-1]]
    return ", ".join(dict.fromkeys(texts)) or str(error) or type(error).__name__


def handshake_text(error: Exception, verdict: str) -> str:
    """Why there is no TLS, for an operator; ``verdict`` is what :data:`VERDICTS` says of a certificate."""
    if verdict:
        return f"TLS: {verdict}"
    text = _openssl_text(error)
    if "alert" in text:
        return f"TLS: the peer refuses: {text}"
    return f"TLS: {text}"
