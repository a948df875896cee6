"""Addresses of databases."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.addresses import is_address, is_postgres, without_password


class AddressTests(SynchronousTestCase):
    """What they mean, and what is shown of them."""

    def test_which(self) -> None:
        """Words of libpq are no path of a file."""
        for address in ("postgresql://x", "postgres://", "host=/run dbname=a", "  dbname = a"):
            self.assertTrue(is_postgres(address) and is_address(address), address)
        for path in ("", "/var/lib/a.db", "/var/x=1/a.db", "sqlite:", "sqlite:/a.db"):
            self.assertFalse(is_postgres(path), path)
        for wrong in ("db1", "db1.example.org/aaa", "http://x", "= a"):
            self.assertFalse(is_address(wrong), wrong)

    def test_passwords(self) -> None:
        """No password is shown, wherever it stands."""
        for address, shown in (
            ("postgresql://u:secret@host/db", "postgresql://u@host/db"),
            ("postgresql://u@host:5432/db", "postgresql://u@host:5432/db"),
            ("postgresql://u@host/db?password=secret&x=1", "postgresql://u@host/db?password=***&x=1"),
            ("postgresql://host/db?sslpassword=secret", "postgresql://host/db?sslpassword=***"),
            ("postgresql:///db?host=/run", "postgresql:///db?host=/run"),
            ("host=/run password=secret dbname=a", "host=/run password=*** dbname=a"),
            ("host=/run password = 'a \\' b' dbname=a", "host=/run password = *** dbname=a"),
            ("host=/run sslpassword='a b", "host=/run sslpassword=***"),
        ):
            self.assertEqual(without_password(address), shown)
