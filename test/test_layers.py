"""The import rule and the size of files, held against the source itself.

The table is the one in ARCHITECTURE.md: a module imports only from its own layer's
allowance. It is read off the syntax trees, so an import inside a function counts too.
"""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "appliance"
LIMIT = 500

#: Layer of each module, first match wins. A module that nothing matches fails the test.
LAYERS: tuple[tuple[str, int], ...] = (
    ("appliance.errors", 0),
    ("appliance.counters*", 0),
    ("appliance.ports", 0),
    ("appliance.ports_aaa", 0),
    ("appliance.ports_hosts", 0),
    ("appliance.ports_health", 0),
    ("appliance.ports_load", 0),
    ("appliance.ports_mn", 0),
    ("appliance.lag", 0),
    ("appliance.wildcards", 0),
    ("appliance.tap", 0),
    ("appliance.strangers", 0),
    ("appliance.pcapng", 1),
    ("appliance.protocols.bits", 0),
    ("appliance.protocols.timers", 0),
    ("appliance.protocols.wheel", 0),
    ("appliance.tun.packet", 0),
    ("appliance.tun.offload", 0),
    ("appliance.protocols.mobility.*", 1),
    ("appliance.protocols.access.ndp", 1),
    ("appliance.protocols.access.arp", 1),
    ("appliance.protocols.access.dhcpv4", 1),
    ("appliance.protocols.access.relay_driver", 4),
    ("appliance.protocols.access.events", 1),
    ("appliance.protocols.pmipv6.settings", 1),
    ("appliance.protocols.setting_fields", 0),
    ("appliance.protocols.pmipv6.congestion_settings", 1),
    ("appliance.protocols.pmipv6.host_settings", 1),
    ("appliance.protocols.mipv6.settings", 1),
    ("appliance.protocols.pmipv6.option_settings", 1),
    ("appliance.protocols.pmipv6.events", 1),
    ("appliance.protocols.pmipv6.extras", 1),
    ("appliance.protocols.mipv6.events", 1),
    ("appliance.protocols.pmipv6.agent_settings", 1),
    ("appliance.protocols.mipv6.discovery_driver", 4),
    ("appliance.protocols.mipv6.ipsec*", 4),
    ("appliance.protocols.mn.settings", 1),
    ("appliance.protocols.mn.events", 1),
    ("appliance.tun.encap", 1),
    ("appliance.protocols.diameter.settings", 1),
    ("appliance.protocols.diameter.events", 1),
    ("appliance.protocols.diameter.message.*", 1),
    ("appliance.protocols.diameter.node.events", 1),
    ("appliance.protocols.diameter.node.*", 2),
    ("appliance.protocols.diameter.transport.framing", 1),
    ("appliance.protocols.diameter.transport.*", 4),
    ("appliance.protocols.diameter.client.spool_format", 1),
    ("appliance.protocols.diameter.client.accounting_events", 1),
    ("appliance.protocols.diameter.client.spool*", 4),
    ("appliance.protocols.diameter.client.accounting_store", 4),
    ("appliance.protocols.diameter.client.*_driver", 4),
    ("appliance.protocols.diameter.client.*", 2),
    ("appliance.aaa.settings", 1),
    ("appliance.aaa.records", 1),
    ("appliance.aaa.events", 1),
    ("appliance.aaa.sqlite", 4),
    ("appliance.aaa.postgres", 4),
    ("appliance.aaa.textlog", 4),
    ("appliance.aaa.spool", 4),
    ("appliance.aaa.writer", 4),
    ("appliance.aaa.query", 4),
    ("appliance.aaa.driver", 4),
    ("appliance.aaa.*", 2),
    ("appliance.aaa_service", 6),
    ("appliance.protocols.rawsock", 4),
    ("appliance.protocols.triage", 4),
    ("appliance.protocols.smallbatch", 4),
    ("appliance.protocols.loadmeter", 4),
    ("appliance.protocols.mipv6.driver", 4),
    ("appliance.protocols.mipv6.sockets", 4),
    ("appliance.protocols.mipv6.quiet", 4),
    ("appliance.protocols.mipv6.datagrams", 4),
    ("appliance.protocols.socket_reader", 4),
    ("appliance.protocols.mipv6.addresses", 4),
    ("appliance.protocols.mipv6.link_socket", 4),
    ("appliance.protocols.mipv6.home_link_driver", 4),
    ("appliance.protocols.mipv6.*", 2),
    ("appliance.protocols.driver", 4),
    ("appliance.protocols.*.driver", 4),
    ("appliance.protocols.mn.driver", 4),
    ("appliance.protocols.mn.ends", 4),
    ("appliance.protocols.mn.homelink", 4),
    ("appliance.protocols.mn.hoststate", 4),
    ("appliance.protocols.mn.links", 4),
    ("appliance.protocols.mn.traffic", 4),
    ("appliance.protocols.mn.*", 2),
    ("appliance.protocols.pmipv6.*", 2),
    ("appliance.protocols.access.*", 2),
    ("appliance.tun.forwarding*", 2),
    ("appliance.tun.homeward", 2),
    ("appliance.tun.session", 2),
    ("appliance.tun.flows", 2),
    ("appliance.protocols.access.dhcpv6", 1),
    ("appliance.protocols.access.dhcp6_server", 2),
    ("appliance.tun.groups", 2),
    ("appliance.config*", 3),
    ("appliance.management", 3),
    ("appliance.tun.*", 4),
    ("appliance.cli.script", 6),
    ("appliance.cli.control", 6),
    ("appliance.cli.terminal", 6),
    ("appliance.cli.client", 6),
    ("appliance.cli.console", 6),
    ("appliance.cli.editor", 6),
    ("appliance.cli.keys", 6),
    ("appliance.cli.pager", 6),
    ("appliance.cli.peer", 6),
    ("appliance.cli.plainline", 6),
    ("appliance.cli.screen", 6),
    ("appliance.cli.operators", 6),
    ("appliance.cli.ssh*", 6),
    ("appliance.cli.users", 6),
    ("appliance.cli.*", 5),
    ("appliance.service", 6),
    ("appliance.lma_service", 6),
    ("appliance.mag_service", 6),
    ("appliance.mn_*", 6),
    ("appliance.mipv6ha_service", 6),
    ("appliance.diameter_service", 6),
    ("appliance.system", 6),
    ("appliance.diameter_*", 6),
    ("appliance.aaa_*", 6),
    ("appliance.audit", 6),
    ("appliance.desk", 6),
    ("appliance.system_change", 6),
    ("appliance.facts*", 3),
    ("appliance.record", 6),
    ("appliance.restarts", 6),
    ("appliance.watch*", 6),
    ("appliance.capture", 6),
    ("appliance.log", 6),
    ("appliance.views", 6),
    ("appliance.host", 6),
    ("appliance.host_orders", 6),
    ("appliance.programs", 6),
    ("appliance.routes", 6),
    ("appliance.files", 6),
    ("appliance.app", 7),
    ("appliance.__main__", 7),
)

#: What a layer may import, beside itself: highest layer, and for layer 5 exactly 0 and 3.
ALLOWED: dict[int, frozenset[int]] = {
    0: frozenset({0}),
    1: frozenset({0, 1}),
    2: frozenset({0, 1, 2}),
    3: frozenset({0, 1, 2, 3}),
    4: frozenset({0, 1, 2, 4}),
    5: frozenset({0, 3, 5}),
    6: frozenset(range(7)),
    7: frozenset(range(8)),
}

#: The grammar is what the configuration is read with, so layer 3 may use these of layer 5.
GRAMMAR = ("appliance.cli.grammar", "appliance.cli.match", "appliance.cli.commands*", "appliance.cli.shell")

#: Modules of the standard library that read a clock, a network or chance.
IMPURE = {"socket", "time", "random", "os", "secrets", "select", "signal", "ssl"} | {
    "asyncio",
    "threading",
    "subprocess",
}
TWISTED = {"twisted", "zope"}
TERMINAL_USERS = {
    f"appliance.cli.{name}" for name in ("terminal", "editor", "keys", "pager", "plainline", "screen")
}
#: What another protocol package may read: events, settings, a codec, the MAG's subscribers; and what
#: delegates prefixes both to mobile routers and on access links.
SHARED = ("events", "settings", "mag_policy", "ndp", "dhcpv6", "dhcp6_server")
#: Host bindings stand on the anchor's binding cache and on its way of counting; a mobile node limits by the
#: same rules what it says about messages that it cannot use.
BUILT_ON = {"mipv6": "pmipv6", "mn": "pmipv6"}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its dotted name; packages' own files under the package's name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def layer(module: str) -> int | None:
    """The layer of a module; ``None`` when the table does not know it."""
    return next((number for pattern, number in LAYERS if fnmatch.fnmatchcase(module, pattern)), None)


def imports(path: Path, module: str) -> Iterator[tuple[str, int]]:
    """Absolute names that a file imports, with their lines."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                stem = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*stem, base] if base else stem)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def resolve(name: str, known: set[str]) -> str:
    """The module behind an imported name: the longest known prefix, or the name's first word."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in known:
            return ".".join(parts[:end])
    return parts[0]


def foreign(module: str, number: int, top: str) -> str:
    """Why a module may not import a package that is not ours; empty when it may."""
    if top in TWISTED and number not in (4, 6, 7):
        return f"layer {number} may not use {top}"
    if top == "prompt_toolkit" and module not in TERMINAL_USERS:
        return "only the modules of the terminal may use prompt_toolkit"
    if number <= 2 and top in IMPURE:
        return f"layer {number} may not use {top}: it is passed in"
    return ""


def violations(module: str, path: Path, known: set[str]) -> Iterator[str]:
    """One line for every import of a file that the rule forbids."""
    number = layer(module)
    if path.name == "__init__.py":
        number = 0 if number is None else number
    if number is None:
        yield f"{module}: belongs to no layer; add it to the table"
        return
    for name, line in imports(path, module):
        target = resolve(name, known)
        where = f"{path.relative_to(ROOT)}:{line}: {name}"
        if not target.startswith("appliance"):
            reason = foreign(module, number, target)
            if reason:
                yield f"{where}: {reason}"
            continue
        other = layer(target)
        if other is None or other in ALLOWED[number]:
            continue
        if number == 3 and any(fnmatch.fnmatchcase(target, pattern) for pattern in GRAMMAR):
            continue
        yield f"{where}: layer {number} may not use layer {other}"


class ImportRuleTests(SynchronousTestCase):
    """A layer imports only what its row of the table allows."""

    def test_every_import_obeys_the_table(self) -> None:
        """No module of the package imports from a layer that its own may not use."""
        found = dict(modules())
        wrong = [line for module, path in found.items() for line in violations(module, path, set(found))]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_the_rule_finds_a_wrong_import(self) -> None:
        """A core that reads the clock, and a shell that imports Twisted, would be reported."""
        known = {"appliance.tun.engine", "appliance.errors"}
        for module, source, part in (
            ("appliance.protocols.pmipv6.lma", "def f():\n    import time\n", "may not use time"),
            ("appliance.protocols.pmipv6.bce", "from os import path\n", "may not use os"),
            ("appliance.cli.shell", "from twisted.internet import defer\n", "may not use twisted"),
            ("appliance.cli.shell", "import prompt_toolkit\n", "prompt_toolkit"),
            ("appliance.protocols.pmipv6.lma", "from appliance.tun import engine\n", "may not use layer 4"),
            ("appliance.protocols.mobility.codec", "from ...tun.engine import Engine\n", "use layer 4"),
            ("appliance.surprise", "", "belongs to no layer"),
        ):
            path = ROOT / self.mktemp() / "made_up.py"
            path.parent.mkdir(parents=True)
            path.write_text(source)
            self.assertIn(part, " ".join(violations(module, path, known)), module)

    def test_protocols_meet_only_through_events(self) -> None:
        """Two protocol packages know of each other only events, settings and codecs, save in drivers."""
        found = dict(modules())
        wrong = []
        for module, path in found.items():
            parts = module.split(".")
            if parts[:2] != ["appliance", "protocols"] or len(parts) < 4 or parts[-1] == "driver":
                continue
            for name, line in imports(path, module):
                target = resolve(name, set(found)).split(".")
                if target[:2] != ["appliance", "protocols"] or len(target) < 4:
                    continue
                known = (parts[2], "mobility", BUILT_ON.get(parts[2]))
                if target[2] not in known and target[3] not in SHARED:
                    wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
        self.assertEqual(wrong, [])


class SizeTests(SynchronousTestCase):
    """Files stay small enough to be read in one sitting."""

    def test_no_file_is_longer_than_the_limit(self) -> None:
        """No Python file of package, tests and scripts has 500 lines or more."""
        long = [
            f"{path.relative_to(ROOT)}: {count} lines"
            for folder in ("appliance", "test", "scripts")
            for path in sorted((ROOT / folder).rglob("*.py"))
            if (count := len(path.read_text().splitlines())) >= LIMIT
        ]
        self.assertEqual(long, [])

    def test_every_module_says_what_it_is(self) -> None:
        """Every module of the package that has code has a docstring."""
        silent = [
            module
            for module, path in modules()
            if (tree := ast.parse(path.read_text())).body and not ast.get_docstring(tree)
        ]
        self.assertEqual(silent, [])
