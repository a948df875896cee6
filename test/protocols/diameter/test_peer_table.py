"""The peer state machine: every cell of the table of RFC 6733 section 5.6, and the cells it leaves out."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import peer_states as st
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    avp,
    cea,
    cer,
    of,
    origin,
    peer,
    request,
    result,
    sent,
    settings,
)

HIGH, LOW = "z.home.example", "a.home.example"
US = "m.home.example"


class Machine:
    """A node with one peer, brought into any state by what a network would do."""

    def __init__(self, name: str, **more: Any) -> None:
        self.name = name
        self.node = Endpoint(settings(US, peer(name, "10.0.0.1", **more)))
        self.node.tick(0)
        connect = of(self.node.effects, ev.Connect)
        self.initiator = connect[0].connection
        self.responder = 0
        self.cer: Message | None = None

    @property
    def peer(self) -> Any:
        return self.node.core.table.get(self.name)

    @property
    def state(self) -> str:
        return str(self.peer.state)

    # Events, as the transport or the peer makes them; each returns the effects.

    def connected(self) -> list[Any]:
        found = self.node.feed(ev.Connected(self.initiator, b"\x0a\0\0\1", 3868))
        self.cer = sent(found, self.initiator)[0]
        return found

    def refused(self) -> list[Any]:
        return self.node.feed(ev.ConnectFailed(self.initiator, "refused"))

    def r_cer(self) -> list[Any]:
        number = self.node.accept()
        self.responder = self.responder or number
        self.newest = number
        return self.node.said(number, cer(self.name))

    def i_cea(self, code: int = 2001, **more: Any) -> list[Any]:
        assert self.cer is not None
        return self.node.said(self.initiator, cea(self.name, self.cer, code, **more))

    def i_other(self) -> list[Any]:
        return self.node.said(self.initiator, request(280, 0, origin(self.name), flags=0x80))

    def r_other(self) -> list[Any]:
        return self.node.said(self.responder, request(280, 0, origin(self.name), flags=0x80))

    def i_gone(self) -> list[Any]:
        return self.node.feed(ev.Disconnected(self.initiator))

    def r_gone(self) -> list[Any]:
        return self.node.feed(ev.Disconnected(self.responder))

    def timeout(self) -> list[Any]:
        return self.node.tick(self.peer.until - self.node.mono + 0.001)

    def stop(self) -> list[Any]:
        return self.node.feed(ev.Command("disable", self.name))

    @property
    def used(self) -> int:
        number: int = self.peer.link.number
        return number

    def on_used(self, data: bytes) -> list[Any]:
        return self.node.said(self.used, data)

    def dwr(self) -> list[Any]:
        return self.on_used(request(280, 0, origin(self.name), hop=7, flags=0x80))

    def dwa(self) -> list[Any]:
        self.node.tick(self.peer.watchdog.due - self.node.mono + 0.001)
        last = sent(self.node.effects, self.used)[-1]
        return self.on_used(last.answer(2001, self.name, REALM))

    def dpr(self, cause: int = 0) -> list[Any]:
        body = (origin(self.name), avp("Disconnect-Cause", cause))
        return self.on_used(request(282, 0, *body, hop=8, flags=0x80))

    def dpa(self) -> list[Any]:
        last = [each for each in sent(self.node.effects, self.used) if each.code == 282 and each.is_request]
        return self.on_used(last[-1].answer(2001, self.name, REALM))

    def used_gone(self) -> list[Any]:
        return self.node.feed(ev.Disconnected(self.used))


#: How a network brings the machine from Wait-Conn-Ack into each state, with a peer that wins elections.
WAYS: dict[str, tuple[str, ...]] = {
    st.WAIT_CONN_ACK: (),
    st.CLOSED: ("refused",),
    st.WAIT_I_CEA: ("connected",),
    st.WAIT_ELECT: ("r_cer",),
    st.WAIT_RETURNS: ("connected", "r_cer"),
    st.I_OPEN: ("connected", "i_cea"),
    st.R_OPEN: ("refused", "r_cer"),
    "I-Closing": ("connected", "i_cea", "stop"),
    "R-Closing": ("refused", "r_cer", "stop"),
}

#: State, event, next state; what is transmitted (command, R flag, connection), and what is closed.
CELLS: tuple[tuple[str, str, str, tuple[Any, ...], tuple[str, ...]], ...] = (
    (st.CLOSED, "timeout", st.WAIT_CONN_ACK, (), ()),
    (st.CLOSED, "r_cer", st.R_OPEN, ((257, False, "r"),), ()),
    (st.WAIT_CONN_ACK, "connected", st.WAIT_I_CEA, ((257, True, "i"),), ()),
    (st.WAIT_CONN_ACK, "refused", st.CLOSED, (), ()),
    (st.WAIT_CONN_ACK, "r_cer", st.WAIT_ELECT, (), ()),
    (st.WAIT_CONN_ACK, "timeout", st.CLOSED, (), ("i",)),
    (st.WAIT_CONN_ACK, "stop", st.CLOSED, (), ("i",)),
    (st.WAIT_I_CEA, "i_cea", st.I_OPEN, (), ()),
    (st.WAIT_I_CEA, "r_cer", st.WAIT_RETURNS, (), ()),
    (st.WAIT_I_CEA, "i_gone", st.CLOSED, (), ()),
    (st.WAIT_I_CEA, "i_other", st.CLOSED, (), ("i",)),
    (st.WAIT_I_CEA, "timeout", st.CLOSED, (), ("i",)),
    (st.WAIT_I_CEA, "stop", st.CLOSED, (), ("i",)),
    (st.WAIT_ELECT, "connected", st.WAIT_RETURNS, ((257, True, "i"),), ()),
    (st.WAIT_ELECT, "refused", st.R_OPEN, ((257, False, "r"),), ()),
    (st.WAIT_ELECT, "r_gone", st.WAIT_CONN_ACK, (), ()),
    (st.WAIT_ELECT, "r_other", st.WAIT_CONN_ACK, (), ("r",)),
    (st.WAIT_ELECT, "r_cer", st.WAIT_ELECT, ((257, False, "n"),), ("n",)),
    (st.WAIT_ELECT, "timeout", st.CLOSED, (), ("i", "r")),
    (st.WAIT_ELECT, "stop", st.CLOSED, (), ("i", "r")),
    (st.WAIT_RETURNS, "i_gone", st.R_OPEN, ((257, False, "r"),), ()),
    (st.WAIT_RETURNS, "i_cea", st.I_OPEN, (), ("r",)),
    (st.WAIT_RETURNS, "i_other", st.R_OPEN, ((257, False, "r"),), ("i",)),
    (st.WAIT_RETURNS, "r_gone", st.WAIT_I_CEA, (), ()),
    (st.WAIT_RETURNS, "r_other", st.WAIT_I_CEA, (), ("r",)),
    (st.WAIT_RETURNS, "r_cer", st.WAIT_RETURNS, ((257, False, "n"),), ("n",)),
    (st.WAIT_RETURNS, "timeout", st.CLOSED, (), ("i", "r")),
    (st.WAIT_RETURNS, "stop", st.CLOSED, (), ("i", "r")),
    (st.I_OPEN, "dwr", st.I_OPEN, ((280, False, "i"),), ()),
    (st.I_OPEN, "dwa", st.I_OPEN, (), ()),
    (st.I_OPEN, "r_cer", st.I_OPEN, ((257, False, "r"), (280, True, "i")), ("r",)),
    (st.I_OPEN, "stop", st.CLOSING, ((282, True, "i"),), ()),
    (st.I_OPEN, "dpr", st.CLOSING, ((282, False, "i"),), ()),
    (st.I_OPEN, "i_gone", st.CLOSED, (), ()),
    (st.R_OPEN, "dwr", st.R_OPEN, ((280, False, "r"),), ()),
    (st.R_OPEN, "dwa", st.R_OPEN, (), ()),
    (st.R_OPEN, "r_cer", st.R_OPEN, ((257, False, "n"), (280, True, "r")), ("n",)),
    (st.R_OPEN, "stop", st.CLOSING, ((282, True, "r"),), ()),
    (st.R_OPEN, "dpr", st.CLOSING, ((282, False, "r"),), ()),
    (st.R_OPEN, "r_gone", st.CLOSED, (), ()),
    ("I-Closing", "dpa", st.CLOSED, (), ("i",)),
    ("I-Closing", "timeout", st.CLOSED, (), ("i",)),
    ("I-Closing", "i_gone", st.CLOSED, (), ()),
    ("I-Closing", "dpr", st.CLOSING, ((282, False, "i"),), ()),
    ("I-Closing", "dwr", st.CLOSING, ((280, False, "i"),), ()),
    ("R-Closing", "dpa", st.CLOSED, (), ("r",)),
    ("R-Closing", "timeout", st.CLOSED, (), ("r",)),
    ("R-Closing", "r_gone", st.CLOSED, (), ()),
    ("R-Closing", "dpr", st.CLOSING, ((282, False, "r"),), ()),
)

#: Events of the table that the steps above are.
EVENTS = {
    "timeout": st.TIMEOUT, "r_cer": st.R_CONN_CER, "connected": st.I_CONN_ACK, "refused": st.I_CONN_NACK,
    "stop": st.STOP, "i_cea": st.I_CEA, "i_gone": st.I_DISC, "r_gone": st.R_DISC, "i_other": st.I_NON_CEA,
    "r_other": st.R_EARLY, "dwr": st.DWR, "dwa": st.DWA, "dpr": st.DPR, "dpa": st.DPA,
}  # fmt: skip


class TableTests(SynchronousTestCase):
    def bring(self, state: str, name: str = HIGH) -> Machine:
        machine = Machine(name)
        for step in WAYS[state]:
            getattr(machine, step)()
        self.assertEqual(machine.state, st.CLOSING if "Closing" in state else state)
        return machine

    def test_every_cell(self) -> None:
        """Each event in each state leads where the RFC says, with its messages and closed connections."""
        for state, event, target, messages, closed in CELLS:
            machine = self.bring(state)
            machine.newest = -1
            found = getattr(machine, event)()
            names = {machine.initiator: "i", machine.responder: "r"}
            names.setdefault(machine.newest, "n")
            where = (state, event)
            self.assertEqual(machine.state, target, where)
            self.assertEqual(
                tuple(
                    (message.code, message.is_request, names[each.connection])
                    for each in of(found, ev.Transmit)
                    for message in (Message(each.data),)
                ),
                messages,
                where,
            )
            self.assertEqual(tuple(names[each.connection] for each in of(found, ev.Close)), closed, where)

    def test_no_cell_is_left_out(self) -> None:
        """The cells here are those of the table; Win-Election has tests of its own."""
        tried = {
            (state.partition("-")[2] if "Closing" in state else state, EVENTS[event])
            for state, event, *_ in CELLS
        }
        tried |= {(st.CLOSED, st.START), (st.WAIT_RETURNS, st.WIN)}
        self.assertEqual(set(st.TABLE) - tried, set())

    def test_events_that_a_state_does_not_have(self) -> None:
        """What cannot happen in a state changes nothing."""
        machine = self.bring(st.CLOSED)
        for event in (st.I_CONN_ACK, st.I_CEA, st.DWR, st.DPA, st.TIMEOUT, st.WIN, st.STOP):
            machine.peer.event(event, machine.node.now)
            self.assertEqual(machine.state, st.CLOSED, event)

    def test_election_won(self) -> None:
        """The greater identity closes the connection that it opened and answers on the other one."""
        for order in (("connected", "r_cer"), ("r_cer", "connected")):
            machine = Machine(LOW)
            for step in order:
                found = getattr(machine, step)()
            self.assertEqual(machine.state, st.R_OPEN)
            self.assertEqual([each.connection for each in of(found, ev.Close)], [machine.initiator])
            self.assertEqual(result(sent(found, machine.responder)[-1]), 2001)
            self.assertEqual(machine.peer.statistics.elections_won, 1)

    def test_election_lost(self) -> None:
        """The other one waits for the CEA, and then drops the connection of the peer."""
        machine = self.bring(st.WAIT_RETURNS)
        self.assertEqual(machine.peer.statistics.elections_lost, 1)
        found = machine.i_cea()
        self.assertEqual([each.connection for each in of(found, ev.Close)], [machine.responder])

    def test_election_is_without_case(self) -> None:
        """Octets from a to z equal those from A to Z (RFC 6733 section 5.6.4)."""
        machine = Machine("A.HOME.EXAMPLE")
        machine.connected()
        machine.r_cer()
        self.assertEqual(machine.state, st.R_OPEN)

    def test_election_lost_by_cea(self) -> None:
        """CEA 4003 on our connection: the peer's own one is used (as freeDiameter does it)."""
        machine = self.bring(st.WAIT_RETURNS)
        found = machine.i_cea(4003)
        self.assertEqual(machine.state, st.R_OPEN)
        self.assertEqual(result(sent(found, machine.responder)[0]), 2001)

    def test_a_refusing_cea_leaves_the_other_connection(self) -> None:
        """CEA 5010 on our connection does not end the one that the peer opened."""
        machine = self.bring(st.WAIT_RETURNS)
        machine.i_cea(5010)
        self.assertEqual(machine.state, st.R_OPEN)

    def test_second_connection_while_closing(self) -> None:
        """While good-byes are said, a new connection is refused."""
        machine = Machine(HIGH)
        machine.connected()
        machine.i_cea()
        machine.dpr()
        found = machine.r_cer()
        self.assertEqual(result(sent(found, machine.newest)[0]), 5012)
        self.assertEqual(machine.state, st.CLOSING)


class TlsTests(SynchronousTestCase):
    """TLS in the old way: after CER and CEA (RFC 3588, RFC 6733 section 5.3)."""

    INBAND = avp("Inband-Security-Id", 1)

    def machine(self) -> Machine:
        machine = Machine(HIGH, transport="tls-inband")
        found = machine.connected()
        self.assertEqual(sent(found)[0].first(D["Inband-Security-Id"]), 1)
        return machine

    def test_initiator(self) -> None:
        """CEA with TLS: the handshake begins, then the peer is open."""
        machine = self.machine()
        found = machine.i_cea(more=self.INBAND)
        self.assertEqual(machine.state, st.WAIT_TLS)
        self.assertEqual(of(found, ev.Secure), [ev.Secure(machine.initiator, False)])
        self.assertEqual(of(found, ev.Usable), [])
        found = machine.node.feed(ev.Secured(machine.initiator, (HIGH,)))
        self.assertEqual(machine.state, st.I_OPEN)
        self.assertEqual(of(found, ev.Usable), [ev.Usable(HIGH)])

    def test_initiator_without_tls(self) -> None:
        """A CEA that does not want TLS is no use."""
        machine = self.machine()
        machine.i_cea()
        self.assertEqual(machine.state, st.CLOSED)
        self.assertIn("TLS", machine.peer.last_error)

    def test_wrong_name(self) -> None:
        """The certificate has to be the peer's."""
        machine = self.machine()
        machine.i_cea(more=self.INBAND)
        found = machine.node.feed(ev.Secured(machine.initiator, ("evil.example",)))
        self.assertEqual(machine.state, st.CLOSED)
        self.assertEqual(len(of(found, ev.Close)), 1)
        self.assertEqual(machine.node.core.statistics.bad_certificates, 1)
        self.assertIn("evil.example", of(found, ev.Notify)[0].text)

    def test_other_ends(self) -> None:
        """Hand-shake that fails or takes too long, the operator, a message in clear text: all end it."""
        for event in ("i_gone", "timeout", "stop", "i_other"):
            machine = self.machine()
            machine.i_cea(more=self.INBAND)
            getattr(machine, event)()
            self.assertEqual(machine.state, st.CLOSED, event)

    def test_second_connection(self) -> None:
        """While the handshake goes on, another connection is refused."""
        machine = self.machine()
        machine.i_cea(more=self.INBAND)
        number = machine.node.accept()
        machine.node.said(number, cer(HIGH, more=self.INBAND))
        self.assertEqual(machine.state, st.WAIT_TLS)
