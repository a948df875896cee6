"""Certificates: what is read off them, and what is said of files that are not right."""

from pathlib import Path

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.protocols.diameter.transport.tls import Keeper, certificate_names, read_certificates
from test.real.pki import authority


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.authority = authority(self.directory)
        self.good = self.authority.issue("node.example")

    def refused(self, *parts: str, **wrong: str) -> None:
        """Reading with these paths instead is refused, and the text has these parts."""
        settings = evolve(self.good, **wrong)
        error = self.assertRaises(ResourceError, read_certificates, settings)
        for part in (*parts, *wrong.values()):
            self.assertIn(part, str(error))

    def file(self, text: bytes) -> str:
        """A file with a content."""
        path = self.directory / "file"
        path.write_bytes(text)
        return str(path)

    def test_good(self) -> None:
        """Subject, names and date are there for views."""
        read = read_certificates(self.good)
        self.assertEqual((read.subject, read.names), ("CN=node.example", ("node.example",)))
        self.assertRegex(read.expires, r"^20\d\d-\d\d-\d\dT\d\d:\d\d")

    def test_a_chain(self) -> None:
        """Certificates behind the own one are sent with it."""
        text = Path(self.good.certificate).read_bytes() + Path(self.authority.path).read_bytes()
        read_certificates(evolve(self.good, certificate=self.file(text)))

    def test_no_file(self) -> None:
        """Each file that is not there is named with what it is for."""
        missing = str(self.directory / "missing.pem")
        self.refused("certificate", "No such file", "PEM", certificate=missing)
        self.refused("private-key", "No such file", private_key=missing)
        self.refused("ca-certificate", "No such file", authorities=missing)

    def test_no_pem(self) -> None:
        """A file of another kind, and one without end."""
        self.refused("holds no certificate", certificate=self.file(b"nothing"))
        self.refused("holds no private key", private_key=self.file(b"nothing"))
        self.refused("holds no private key", private_key=self.good.certificate)
        self.refused("longer than", authorities=self.file(bytes(2 << 20)))

    def test_another_key(self) -> None:
        """A key that does not belong to the certificate."""
        other = self.authority.issue("other.example")
        self.refused("does not belong to", self.good.certificate, private_key=other.private_key)

    def test_an_encrypted_key(self) -> None:
        """Nobody is there to be asked for a passphrase."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        self.refused("encrypted", "without a passphrase", private_key=self.file(text))

    def test_names(self) -> None:
        """DNS names count, all of them, without case; only without any does the Common Name."""

        def names(*dns: str) -> tuple[str, ...]:
            path = self.authority.issue("Common.Example", dns=dns).certificate
            return certificate_names(x509.load_pem_x509_certificate(Path(path).read_bytes()))

        self.assertEqual(names("A.example", "b.example."), ("a.example", "b.example"))
        self.assertEqual(names(), ("common.example",))

    def test_keeper(self) -> None:
        """New connections have the certificates that there are then, and the client names whom it wants."""
        keeper = Keeper()
        self.assertRaises(AssertionError, keeper.serverConnectionForTLS, None)
        keeper.current = read_certificates(self.good)
        first = keeper.serverConnectionForTLS(None)
        keeper.current = read_certificates(self.good)
        self.assertIsNot(first.get_context(), keeper.serverConnectionForTLS(None).get_context())
        client = keeper.client("peer.example").clientConnectionForTLS(None)
        client.set_connect_state()
        self.assertIs(client.get_context(), keeper.current.context)
