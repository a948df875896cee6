"""The statuses that ``scripts/lab counters`` shows are those that the home agent's code can answer with."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MIPV6HA
from appliance.protocols import mipv6
from appliance.protocols.mipv6 import dsmip, several
from appliance.protocols.mobility import status as codes
from appliance.protocols.pmipv6 import lma_checks, lma_sessions
from appliance.protocols.pmipv6.lma_request import Verdict
from scripts.counting import statuses, wire
from scripts.counting.cases import CASES
from scripts.counting.runner import LABS
from scripts.counting.table import AGENT_COUNTERS, AGENT_WAITING, STAGES

#: Where an anchor and a home agent decide by the same code, and the functions of it that hosts get to.
SHARED = ((lma_sessions, ("room", "_judge")), (lma_checks, ("_no_gateways",)))
#: Functions that decide about single Binding Identifier options.
OPTIONS = ("_register", "_in_ipv4", "_removed")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(module: ModuleType) -> ast.Module:
    """The syntax tree of a module."""
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


def functions(module: ModuleType) -> Iterator[Function]:
    """All functions and methods of a module."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, Function):
            yield node


def used(module: ModuleType, function: Function) -> Iterator[tuple[str, Any]]:
    """Names that a function uses, with what they mean in its module."""
    space = vars(module)
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            yield node.id, space.get(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = space.get(node.value.id)
            if isinstance(owner, ModuleType):
                yield f"{owner.__name__}.{node.attr}", getattr(owner, node.attr, None)


def refusals(value: Any) -> set[int]:
    """Statuses of a verdict, or of the verdicts of a table; silence is none."""
    found = value.values() if isinstance(value, dict) else (value,)
    return {each.status for each in found if isinstance(each, Verdict) and each.status > 0}


def modules() -> Iterator[ModuleType]:
    """Those of the home agent."""
    for each in pkgutil.iter_modules(mipv6.__path__):
        yield importlib.import_module(f"{mipv6.__name__}.{each.name}")


def acknowledged() -> set[int]:
    """Statuses of acknowledgements in the code."""
    found = {codes.ACCEPTED}
    for module in modules():
        for function in functions(module):
            single = module is several and function.name in OPTIONS
            for name, value in used(module, function):
                found |= refusals(value)
                if name.startswith(f"{codes.__name__}.") and not single:
                    found.add(value)
    for module, names in SHARED:
        chosen = [each for each in functions(module) if each.name in names]
        assert len(chosen) == len(names), (module, names)
        for function in chosen:
            for _, value in used(module, function):
                found |= refusals(value)
    return found


def of_options() -> set[int]:
    """Statuses of Binding Identifier options in the code."""
    found = {several.FINE}
    for function in functions(several):
        if function.name in OPTIONS:
            names = used(several, function)
            found |= {value for name, value in names if name.startswith(f"{codes.__name__}.")}
    return found


def of_addresses() -> set[int]:
    """Statuses of IPv4 Address Acknowledgement options in the code."""
    tuples = [
        node.targets[0].elts
        for node in parsed(dsmip).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    ]
    known = {name.id for names in tuples for name in names if isinstance(name, ast.Name)}
    return {
        value for function in functions(dsmip) for name, value in used(dsmip, function) if name in known
    }


def of_errors() -> set[int]:
    """Statuses of the Binding Error in the code."""
    return {
        value
        for module in modules()
        for function in functions(module)
        for name, value in used(module, function)
        if name.startswith("BE_")
    }


class StatusTests(SynchronousTestCase):
    """One list, the code, and the cases."""

    def test_the_list_is_the_codes(self) -> None:
        """The code has no verdict that is not in the list, and the list none that the code has not."""
        for kind, there in (
            (statuses.ACK, acknowledged()),
            (statuses.BINDING, of_options()),
            (statuses.IPV4, of_addresses()),
            (statuses.ERROR, of_errors()),
        ):
            listed = {
                int(key.partition("/")[2]) for key in statuses.STATUSES if key.startswith(f"{kind}/")
            }
            self.assertEqual(listed, there, kind)

    def test_each_is_shown(self) -> None:
        """Each is shown by a case, or says why it cannot be."""
        shown = {status for case in CASES for status in case.statuses}
        self.assertEqual(shown | set(statuses.IMPOSSIBLE), set(statuses.STATUSES))
        self.assertEqual(shown & set(statuses.IMPOSSIBLE), set())

    def test_said(self) -> None:
        """What a message says, read by hand."""
        options = [(wire.BID, b"\0\1\xa4\0"), (wire.IPV4_ACK, b"\x82\0" + bytes(4))]
        mh = wire.message(wire.ACKNOWLEDGEMENT, b"\4\0\0\1\0\2", options)
        wanted = [f"{statuses.ACK}/4", f"{statuses.BINDING}/164", f"{statuses.IPV4}/130"]
        self.assertEqual(statuses.said(mh), wanted)
        error = wire.message(wire.ERROR, b"\2\0" + bytes(16))
        self.assertEqual(statuses.said(error), [f"{statuses.ERROR}/2"])
        self.assertEqual(statuses.silent(wanted, [mh]), "")
        self.assertIn("no answer", statuses.silent(["binding-error/1"], [mh]))


class LabTests(SynchronousTestCase):
    """The laboratories that stand side by side."""

    def test_all_stages(self) -> None:
        """Each stage is done in one of them."""
        found = [name for names in LABS.values() for name in names]
        self.assertEqual(sorted(found), sorted(stage.name for stage in STAGES))


class AgentTableTests(SynchronousTestCase):
    """The counters of a home agent."""

    def test_keys(self) -> None:
        """They are those of the home agent's own table; of its further rows those about hosts."""
        rows = {row.key: row for row in MIPV6HA.rows}
        self.assertLessEqual(set(AGENT_COUNTERS), set(rows))
        self.assertEqual(
            [key for key in AGENT_COUNTERS if not rows[key].extra],
            [row.key for row in MIPV6HA.rows if not row.extra],
        )
        of_hosts = ("home-agent-discovery/", "mobile-prefix-discovery/", "messages-to-hosts/")
        self.assertEqual(
            [key for key in AGENT_COUNTERS if key.startswith(of_hosts)],
            [key for key in rows if key.startswith(of_hosts)],
        )

    def test_each_is_moved(self) -> None:
        """Each is moved by a case, or says why it cannot be."""
        kinds = {stage.name: stage.kind for stage in STAGES}
        moved = {key for case in CASES if kinds[case.stage] == "mipv6ha" for key in case.counters}
        self.assertEqual(set(AGENT_COUNTERS) - moved, set(AGENT_WAITING))
