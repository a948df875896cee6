"""python-diameter as our peer, both ways."""

import importlib.util
from typing import Any

from appliance.protocols.diameter.settings import Listener, PeerSettings, RouteSettings
from appliance.protocols.diameter.transport.link import packed
from test.real.diameter_case import ACCOUNTING, EVENT, REALM, SUCCESS, Accountant, NodeCase, free_port

ADDRESS = "127.0.0.1"


class PythonDiameterTests(NodeCase):
    """Their node runs in threads of this process."""

    skip = None if importlib.util.find_spec("diameter") else "python-diameter is not installed"

    def theirs(self, name: str, port: int | None = None) -> Any:
        """A node of theirs."""
        from diameter.node import Node

        listening = {"tcp_port": port} if port else {}
        node = Node(f"{name}.{REALM}", REALM, ip_addresses=[ADDRESS], **listening)
        self.addCleanup(node.stop, 2, True)
        return node

    def test_it_serves(self) -> None:
        """Our client connects, and its application answers."""
        from diameter.node.application import SimpleThreadingApplication

        port = free_port()
        got: list[Any] = []

        def answer(application: Any, message: Any) -> Any:
            got.append(message)
            made = application.generate_answer(message)
            made.result_code = SUCCESS
            made.accounting_record_type = message.accounting_record_type
            made.accounting_record_number = message.accounting_record_number
            made.acct_application_id = message.acct_application_id
            return made

        theirs = self.theirs("server", port)
        peer = theirs.add_peer(f"aaa://client.{REALM}", REALM)
        application = SimpleThreadingApplication(ACCOUNTING, is_acct_application=True, request_handler=answer)
        theirs.add_application(application, [peer])
        theirs.start()
        server = PeerSettings(name=f"server.{REALM}", addresses=(packed(ADDRESS),), port=port)
        routes = (RouteSettings(realm=REALM, peer=server.name),)
        ours = self.settings("client", addresses=(packed(ADDRESS),), peers=(server,), routes=routes)
        client = self.node(ours, Accountant(ours.identity, REALM, frozenset({"nobody"})))
        self.wait(lambda: client.usable(REALM, ACCOUNTING, True))
        for _ in range(5):
            self.assert_success(self.ask(client))
        self.assertEqual(len(got), 5)

    def test_it_asks(self) -> None:
        """It connects to our server, and our application answers."""
        from diameter.message.commands import AccountingRequest
        from diameter.node.application import SimpleThreadingApplication

        port = free_port()
        listener = Listener(address=packed(ADDRESS), port=port)
        ours = self.settings(
            "server",
            addresses=(packed(ADDRESS),),
            listeners=(listener,),
            peers=(PeerSettings(name=f"client.{REALM}"),),
        )
        accountant = Accountant(ours.identity, REALM)
        self.node(ours, accountant)
        theirs = self.theirs("client")
        peer = theirs.add_peer(
            f"aaa://server.{REALM}:{port};transport=tcp", REALM, ip_addresses=[ADDRESS], is_persistent=True
        )
        application = SimpleThreadingApplication(ACCOUNTING, is_acct_application=True)
        theirs.add_application(application, [peer])
        theirs.start()
        application.wait_for_ready(timeout=10)
        request = AccountingRequest()
        request.session_id = f"client.{REALM};1;2"
        request.origin_host = f"client.{REALM}".encode()
        request.origin_realm = request.destination_realm = REALM.encode()
        request.accounting_record_type = EVENT
        request.accounting_record_number = 0
        request.acct_application_id = ACCOUNTING
        answer = application.send_request(request, timeout=10)
        self.assertEqual(answer.result_code, SUCCESS)
        self.assertEqual(answer.origin_host, b"server.example")
        self.assertEqual(len(accountant.got), 1)
