"""What ``show configuration errors`` finds about Diameter and AAA, and nothing where all is well."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import load
from appliance.config_audit import RULE, audit, screen

WHOLE = """\
config
  context anchor
    ipv6 pool HOME prefix 2001:db8:1::/48
    subscriber default
      permission pmipv6
      exit
    diameter endpoint client
      origin realm visited.example
      origin host lma1.visited.example address 192.0.2.1
      peer aaa1.home.example address 192.0.2.9
      route-entry realm home.example peer aaa1.home.example
      exit
    diameter endpoint server
      origin realm home.example
      origin host aaa1.home.example address 192.0.2.9 accept-incoming-connections
      peer *.visited.example
      route-entry local
      exit
    aaa group home
      diameter authentication endpoint client
      diameter accounting endpoint client
      exit
    aaa-server home
      diameter endpoint server
      realm home.example
      user name mn1@home.example
        mn-aaa secret 0x0badcafe
        exit
      exit
    lma-service lma1
      bind address 2001:db8:ffff::1
      mag-peer 2001:db8:ffff::/64
      aaa group home
      exit
    exit
end
"""


class AuditTests(SynchronousTestCase):
    """Findings of a configuration."""

    def found(self, text: str) -> list[tuple[str, str, str]]:
        """Section, severity and text of each."""
        return [(each.section, each.severity, each.text) for each in audit(load(text, "x"))]

    def changed(self, old: str, new: str = "") -> list[tuple[str, str, str]]:
        """What is found when something of the whole configuration is another."""
        self.assertIn(old, WHOLE)
        return self.found(WHOLE.replace(old, new))

    def test_whole(self) -> None:
        """Nothing."""
        self.assertEqual(self.found(WHOLE), [])

    def test_unbound(self) -> None:
        """A second anchor in a context with pools may be there as long as it is not started."""
        second = "    lma-service lma2\n      mag-peer 2001:db8:ffff::a1\n      exit\n"
        line = "    lma-service lma1\n"
        unbound = "lma-service lma2 has no bind address and is not started"
        self.assertEqual([text for _, _, text in self.changed(line, second + line)], [unbound])

    def test_closed(self) -> None:
        """An anchor that takes nobody is worth a word."""
        for lines, text in (
            ("newcall policy reject", "lma-service lma1 takes no new sessions: reject"),
            ("shutdown\n      newcall policy busyout", "lma-service lma1 answers nobody: it is shut down"),
        ):
            found = self.changed("      aaa group home\n", f"      aaa group home\n      {lines}\n")
            self.assertEqual(found, [("LMA-service", "Warning", text)])

    def test_endpoints(self) -> None:
        """No origin host, no peer, no way to a peer, nobody who uses it, no route."""
        for old, new, severity, text in (
            ("      peer *.visited.example\n", "", "Error",
             "diameter endpoint server has no peer, so it refuses every connection"),
            ("      peer *.visited.example\n", "      dynamic-peer-discovery\n", "Warning",
             "diameter endpoint server has no peer but those that the DNS names"),
            ("peer aaa1.home.example address 192.0.2.9\n", "peer aaa1.home.example\n", "Warning",
             "diameter endpoint client neither connects to peer aaa1.home.example nor takes connections"),
            ("address 192.0.2.9\n      route", "address 192.0.2.9 passive\n      route", "Warning",
             "diameter endpoint client neither connects to peer aaa1.home.example nor takes connections"),
            ("      route-entry local\n", "", "Info", "No routes configured under endpoint : server"),
        ):  # fmt: skip
            self.assertEqual(self.changed(old, new), [("Diameter", severity, text)])

    def test_lonely_endpoint(self) -> None:
        """Without peers and listeners, and used by nobody; an agent is there for others."""
        group = "    aaa group home\n      diameter"
        extra = f"    diameter endpoint spare\n{{}}      exit\n{group}"
        found = self.changed(group, extra.format(""))
        self.assertEqual([text for _, _, text in found], [
            "diameter endpoint spare has no origin host and is not started",
            "diameter endpoint spare has no peer and takes no connections",
            "diameter endpoint spare is used by no aaa group and by no aaa-server",
            "No routes configured under endpoint : spare",
        ])  # fmt: skip
        found = self.changed(group, extra.format("      agent relay\n"))
        self.assertNotIn("is used by", str(found))

    def test_groups_and_services(self) -> None:
        """Groups that ask nobody or that nobody asks for; accounting that is off."""
        for old, new, text in (
            ("      diameter authentication endpoint client\n      diameter accounting endpoint client\n", "",
             "aaa group home has no endpoint, neither for authentication nor for accounting"),
            ("      aaa group home\n      exit\n    exit", "      exit\n    exit",
             "aaa group home is used by no service of context anchor"),
            ("      aaa group home\n", "      aaa group home\n      no aaa accounting\n",
             "lma-service lma1 has aaa accounting off, though aaa group home has it"),
        ):  # fmt: skip
            self.assertIn(("AAA", "Warning", text), self.changed(old, new))

    def test_servers(self) -> None:
        """No endpoint, no realm, nobody in a realm, users without keys."""
        user = "      user name mn1@home.example\n        mn-aaa secret 0x0badcafe\n        exit\n"
        for old, new, severity, text in (
            ("      diameter endpoint server\n", "", "Error",
             "aaa-server home has no diameter endpoint and is not started"),
            (f"      realm home.example\n{user}", "", "Error",
             "aaa-server home has no realm, so it serves nobody"),
            (user, "", "Warning",
             "aaa-server home has neither a user nor a users-file for realm home.example"),
            ("        mn-aaa secret 0x0badcafe\n", "", "Warning",
             "aaa-server home: 1 user has no mn-aaa key, good for pmipv6 only; its permission for mipv6 and "
             "mobile-ip has no effect"),
        ):  # fmt: skip
            self.assertIn(("AAA", severity, text), self.changed(old, new))
        keyless = "        no permission mipv6\n        no permission mobile-ip\n"
        self.assertEqual(self.changed("        mn-aaa secret 0x0badcafe\n", keyless), [])
        realm = "      realm home.example\n"
        more = f"{realm}      realm b.example users-file /etc/b\n"
        self.assertEqual(self.changed(f"{realm}      user", f"{more}      user"), [])

    def test_screen(self) -> None:
        """The headings of the captures; what is only information stands last, and only if asked for."""
        found = audit(load(WHOLE.replace("      route-entry local\n", ""), "x"))
        lines = screen(found, verbose=True)
        at = lines.index(f"#{'':19}Displaying Diameter Configuration errors")
        self.assertEqual(lines[at - 1 : at + 8], [
            RULE, lines[at], RULE, "Total 0 error(s) in this section !", "",
            "Total 0 warning(s) in this section!", "",
            "Info    : No routes configured under endpoint : server", "",
        ])  # fmt: skip
        self.assertIn(f"#{'':19}Displaying Global AAA-configuration errors", lines)
        self.assertNotIn("Info", "\n".join(screen(found, verbose=False)))
