"""Diameter endpoints, AAA groups and AAA servers in the configuration."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import ConfigurationErrors, load, show
from appliance.config_secrets import masked
from appliance.protocols.diameter.settings import Listener, RouteSettings

WHOLE = """\
config
  context aaa
    diameter endpoint client
      origin realm home.example
      origin host LMA1.home.example address 127.0.0.1
      origin host lma1.home.example address fd00::1 port 3000 accept-incoming-connections
      tls certificate /etc/a.pem private-key /etc/a.key ca-certificate /etc/ca.pem
      listen tls
      listen sctp port 3999
      sctp udp-encapsulation
      peer aaa1.home.example realm home.example address 127.0.0.2 alternate-address fd00::2 port 3869
      peer *.visited.example compat-draft passive transport tls
      route-entry realm *.example application 3 peer aaa1.home.example priority 2 weight 5
      route-entry host lma1.home.example local
      agent proxy
      watchdog-timeout off
      exit
    aaa group G
      diameter authentication endpoint client
      diameter authentication server aaa1.home.example priority 7
      diameter accounting endpoint client
      diameter accounting dictionary mobile-ip
      diameter accounting request-timeout 5
      failure-policy queue
      accounting interim-interval 60
      exit
    aaa-server mobile
      diameter endpoint client
      realm home.example users-file /etc/users
      storage postgresql postgresql://aaa@/x secret "Hidden'/x"
      text-log names seed local-time
      user name mn1@home.example
        mn-aaa spi 3 secret 0x00112233445566
        mn-ha secret "four words of text"
        home-network-prefix 2001:db8:1:7::/64
        class gold
        no permission mobile-ip
        exit
      exit
    lma-service lma1
      aaa group G
      exit
    exit
end
"""


def faults(*lines: str, context: str = "") -> list[str]:
    """What is wrong with an endpoint of these lines, beside other lines of its context."""
    head = "config\ncontext c\ndiameter endpoint e\norigin realm r\norigin host h.r address 127.0.0.1\n"
    try:
        load(f"{head}{chr(10).join(lines)}\nexit\n{context}\nend\n", "f")
    except ConfigurationErrors as error:
        return [line.partition("Failure: ")[2] for line in error.lines]
    return []


class LoadTests(SynchronousTestCase):
    """What lines become."""

    def setUp(self) -> None:
        self.configuration = load(WHOLE, "f")

    def test_endpoint(self) -> None:
        """Identities are folded, listeners come from two commands, a flag is a number."""
        (endpoint,) = self.configuration.endpoints
        six, four = bytes.fromhex("fd00") + bytes(13) + b"\1", b"\x7f\0\0\1"
        self.assertEqual((endpoint.identity, endpoint.realm), ("lma1.home.example", "home.example"))
        self.assertEqual(endpoint.addresses, (four, six))
        self.assertEqual(
            endpoint.listeners,
            (
                Listener(address=six, port=3000),
                Listener(address=four, port=5868, transport="tls"),
                Listener(address=six, port=5868, transport="tls"),
                Listener(address=four, port=3999, transport="sctp"),
                Listener(address=six, port=3999, transport="sctp"),
            ),
        )
        self.assertEqual(
            (endpoint.sctp_udp_port, endpoint.watchdog_timeout, endpoint.agent), (9899, 0, "proxy")
        )
        one, wild = endpoint.peers
        self.assertEqual((one.realm, len(one.addresses), one.port), ("home.example", 2, 3869))
        self.assertEqual((wild.name, wild.compat, wild.connect), ("*.visited.example", True, False))
        local, way = endpoint.routes
        self.assertEqual(local, RouteSettings(host="lma1.home.example", action="local"))
        self.assertEqual((way.realm, way.application, way.action), ("*.example", 3, "proxy"))
        self.assertEqual((way.peer, way.priority, way.weight), ("aaa1.home.example", 2, 5))

    def test_group(self) -> None:
        """A service has the settings of the group that it names."""
        group = self.configuration.lma_services[0].aaa
        self.assertEqual((group.authentication.endpoint, group.failure_policy), ("client", "queue"))
        self.assertEqual(group.authentication.servers[0].priority, 7)
        self.assertEqual((group.accounting.application, group.accounting.request_timeout), ("mobile-ip", 5))
        self.assertEqual(group.interim_interval, 60)

    def test_server(self) -> None:
        """Keys are octets; the password of a database is part of its address."""
        (server,) = self.configuration.aaa_servers
        self.assertEqual(server.database, "postgresql://aaa@/x?password=%48%69%64%64%65%6E%27%2F%78")
        assert server.text_log is not None
        self.assertEqual((server.text_log.names, server.text_log.local_time), ("seed", True))
        (user,) = server.users
        self.assertEqual((user.spi, user.key), (3, bytes.fromhex("00112233445566")))
        self.assertEqual((user.mn_ha_key, user.class_, user.mip4), (b"four words of text", b"gold", False))

    def test_other_databases(self) -> None:
        """Words of libpq get the password in quotes; SQLite has a path or the factory's."""
        for line, database in (
            (
                'storage postgresql "host=/run dbname=a" secret "it\'s"',
                "host=/run dbname=a password='it\\'s'",
            ),
            ("storage postgresql postgresql://x", "postgresql://x"),
            ("storage sqlite /var/a.db", "/var/a.db"),
            ("storage sqlite", ""),
        ):
            text = f"config\ncontext c\naaa-server s\n{line}\nend\n"
            self.assertEqual(load(text, "f").aaa_servers[0].database, database, line)

    def test_printed_and_read_again(self) -> None:
        """``show configuration`` boots the same, is accepted line by line, and hides secrets."""
        text = show(self.configuration.tree)
        again = load("\n".join(text), "f")
        self.assertEqual(again.endpoints, self.configuration.endpoints)
        self.assertEqual(again.aaa_servers, self.configuration.aaa_servers)
        self.assertEqual(again.lma_services, self.configuration.lma_services)
        for secret in ("Hidden", "00112233445566", "words"):
            self.assertNotIn(secret, "\n".join(map(masked, text)))
        depth = 0
        for number, (line, after) in enumerate(zip(text[1:], text[2:], strict=False), 2):
            depth += len(after) - len(after.lstrip()) > len(line) - len(line.lstrip())
            depth -= line.strip() == "exit"
            load("\n".join([*text[:number], *("exit" for _ in range(depth)), "end"]), "f")


class FaultTests(SynchronousTestCase):
    """What contradicts itself, with what to do."""

    def test_faults(self) -> None:
        """Each fault is told once."""
        group = "aaa group G\ndiameter accounting endpoint {}\nexit"
        for lines, context, expected in (
            (("origin host other.r address 127.0.0.2",), "", "two identities, h.r and other.r"),
            (("peer h.r",), "", "peer h.r is the endpoint itself"),
            (("peer * address 127.0.0.9",), "", "stands for many"),
            (("peer a.r address fd00::1",), "", "has an IPv6 address, but no 'origin host' line"),
            (("peer a.r transport tls",), "", "needs a 'tls certificate' line"),
            (("listen tls",), "", "needs a 'tls certificate' line"),
            (("peer a.r transport dtls",), "", "transport dtls is not available"),
            (("listen dtls",), "", "transport dtls is not available"),
            (("route-entry realm r peer b.r",), "", "route-entry names b.r, which is no peer of it"),
            ((), group.format("x"), "aaa group G: no diameter endpoint 'x' in its context"),
            ((), "lma-service l\naaa group H\nexit", "lma-service l: no aaa group 'H' in its context"),
            ((), "aaa-server s\ndiameter endpoint q\nexit", "aaa-server s: no diameter endpoint 'q'"),
            (
                (),
                "aaa-server s\ndiameter endpoint e\nexit\naaa-server t\ndiameter endpoint e\nexit",
                "aaa-server t: diameter endpoint e serves aaa-server s already",
            ),
            (
                (),
                "aaa-server s\nuser name a@b\nexit\nexit",
                "user a@b is of realm 'b', which has no 'realm' line",
            ),
            (
                (),
                "aaa-server s\nrealm b\nuser name a@b\nmn-aaa secret abc\nexit\nexit",
                "a key of mn-aaa has 4 octets at least",
            ),
            (
                (),
                "aaa-server s\nrealm b\nuser name a@b\nmn-ha secret 0x0123456\nexit\nexit",
                "a key of mn-ha that begins with 0x has pairs of hexadecimal digits behind it",
            ),
            (
                (),
                "aaa-server s\nstorage postgresql db1\nexit",
                "storage postgresql wants postgresql://USER@HOST/DATABASE or words of libpq, as host=",
            ),
            (
                (),
                "aaa-server s\nstorage postgresql postgresql://u:hidden@h/d\nexit",
                "give the password of the database behind 'secret', not in its address",
            ),
            ((), "exit\ncontext d\ndiameter endpoint e\nexit", "exists in another context"),
        ):
            found = faults(*lines, context=context)
            self.assertEqual(len(found), 1, (lines, context, found))
            self.assertIn(expected, found[0])

    def test_ports(self) -> None:
        """An address and port is one endpoint's; SCTP and TCP have ports of their own."""
        head = "config\ncontext c\n"
        one = "diameter endpoint {}\norigin realm r\norigin host {}.r address 127.0.0.1{}\n{}\nexit\n"
        incoming = " accept-incoming-connections"
        sctp = one.format("a", "a", incoming, "listen sctp")
        self.assertTrue(load(f"{head}{sctp}end\n", "f").endpoints)
        with self.assertRaisesRegex(ConfigurationErrors, "port 3868 is taken by diameter endpoint a already"):
            load(f"{head}{sctp}{one.format('b', 'b', incoming, '')}end\n", "f")

    def test_another_identity(self) -> None:
        """An 'origin host' line takes the place of the one with its address."""
        text = "config\ncontext c\ndiameter endpoint e\norigin realm r\n"
        lines = "origin host a.r address 127.0.0.1\norigin host b.r address 127.0.0.1 port 3999\nend\n"
        (endpoint,) = load(text + lines, "f").endpoints
        self.assertEqual((endpoint.identity, len(endpoint.addresses)), ("b.r", 1))

    def test_a_realm_is_wanted(self) -> None:
        """An identity without a realm is refused."""
        text = "config\ncontext c\ndiameter endpoint e\norigin host h.r address 127.0.0.1\nend\n"
        with self.assertRaisesRegex(ConfigurationErrors, "'origin host' needs 'origin realm'"):
            load(text, "f")
