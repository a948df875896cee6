"""``appliance cli`` for a person, on a real pseudo-terminal."""

import os
import signal
import subprocess
import sys
import threading

from test.cli.control_case import ControlCase
from test.cli.fake_shell import FakeShell
from test.cli.person import Person

PROMPT = "[local]node1# "


class ConsoleTests(ControlCase):
    """What a person sees."""

    def setUp(self) -> None:
        """With the shell of the fakes."""
        super().setUp()
        self.shell = FakeShell()
        self.shell.length = 0
        self.operators.make = lambda _: self.shell

    def person(self, term: str = "xterm") -> Person:
        """Somebody at the prompt."""
        # Relative, because the name of a socket is at most 108 octets long.
        person = Person(self.server.path, term)
        self.addCleanup(person.close)
        person.read(PROMPT)
        return person

    def test_session(self) -> None:
        """Help without Enter, completion, output, and the end with status 0."""
        person = self.person()
        self.assertIn("clock   Tells the time", person.type("show ?", "<name>  A name"))
        person.type("cl\t", "ock ")
        person.type("\x15echo gr\u00fcn\r", "\r\ngr\u00fcn\r\n")
        person.read(PROMPT)
        # Whatever a command gave, a person who leaves has succeeded.
        person.type("fail\r", PROMPT)
        person.type("exit\r", "exit")
        self.assertEqual(person.end(), 0)

    def test_keys_go_to_the_appliance(self) -> None:
        """^C, ^Z and ^D are the session's, not the local terminal's."""
        person = self.person()
        person.type("wait\r", "waiting")
        person.type("\x03", PROMPT)
        self.assertEqual(self.shell.log, ["cancelled"])
        person.type("config\r", "(config)# ")
        person.type("\x1a", PROMPT)
        person.type("\x04", "exit")
        self.assertEqual(person.end(), 0)

    def test_size(self) -> None:
        """The appliance learns the size of the window, at the begin and when it changes."""
        person = self.person()
        person.resize(40, 100)
        self.wait(lambda: self.shell.sizes == [(24, 80), (40, 100)])

    def test_simple_terminal(self) -> None:
        """TERM=dumb is not steered."""
        person = self.person("dumb")
        os.write(person.master, b"shx\x7f\t")
        person.read("shutdown")
        person.type("\x15exit\r", "exit")
        self.assertEqual(person.end(), 0)

    def test_appliance_gone(self) -> None:
        """One line, status 2, and a terminal as before."""
        people = [self.person() for _ in range(2)]
        self.stop()
        for person in people:
            person.read("the appliance stops")
            self.assertEqual(person.end(), 0)
        person = Person(self.server.path)
        self.addCleanup(person.close)
        person.read("Failure: ")
        self.assertEqual(person.end(), 2)

    def test_killed_appliance(self) -> None:
        """A connection that ends without a word gives status 2."""
        person = self.person()
        self.on_loop(self.server._drop_all)
        person.read("Failure: the appliance has closed the connection")
        self.assertEqual(person.end(), 2)

    def test_refused(self) -> None:
        """The registry's refusal is told, with status 2."""
        self.operators.full = True
        person = Person(self.server.path)
        self.addCleanup(person.close)
        person.read("Failure: all 0 console sessions are in use")
        self.assertEqual(person.end(), 2)

    def test_signals(self) -> None:
        """The terminal is as before when the client is told to go, and its session ends."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            person = self.person()
            person.type("ec", "ec")
            person.process.send_signal(number)
            self.assertEqual(person.end(), 128 + number)
            self.wait(lambda: self.operators.sessions[-1].left == 1)

    def test_output_elsewhere(self) -> None:
        """A person who sends the output to a file gets it without what steers a terminal."""
        person = self.person()
        path = os.path.join(self.directory, "out")
        code = "import sys; from appliance.cli.client import main; sys.exit(main(sys.argv[1:]))"
        with open(path, "wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", code, "--socket", self.server.path], stdin=person.slave, stdout=file
            )
        self.wait(lambda: len(self.operators.sessions) == 2)
        os.write(person.master, b"exit\r")
        # Whoever of the two gets the keys, both leave.
        threading.Timer(0.5, os.write, (person.master, b"exit\r")).start()
        self.assertEqual(process.wait(10), 0)
        with open(path, "rb") as file:
            self.assertNotIn(b"\x1b", file.read())
