"""Changing the running configuration from a shell."""

import asyncio
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.shell import Shell
from appliance.config_text import parse, show
from test.cli.shells import HASH, MemorySystem, Recorder, make_shell, run

TEXT = """\
config
  system hostname lma1
  context anchor
    ipv6 pool HOME prefix 2001:db8:1::/48
    subscriber default
      exit
    lma-service lma1
      bind address 2001:db8:ffff::1
      exit
    exit
end
"""


class ConfigureCase(SynchronousTestCase):
    """A shell of a security administrator on a running anchor."""

    def setUp(self) -> None:
        """Boot it."""
        self.system = MemorySystem(TEXT)
        self.shell = make_shell(self.system)
        self.face = Recorder()

    def does(self, *lines: str, shell: Shell | None = None, **face: Any) -> list[str]:
        """Expect that all lines work; returns what they print."""
        self.face = Recorder(**face)
        for line in lines:
            status = run(shell or self.shell, line, self.face).status
            self.assertEqual((status, self.face.failures), (0, []), line)
        return self.face.written

    def fails(self, line: str, shell: Shell | None = None, **face: Any) -> str:
        """Expect that a line fails and changes nothing; returns the failure."""
        before = self.system.configuration
        self.face = Recorder(**face)
        self.assertEqual(run(shell or self.shell, line, self.face).status, 1)
        self.assertIs(self.system.configuration, before)
        return "\n".join(self.face.failures)

    def running(self) -> list[str]:
        """The running configuration without indentation."""
        return [line.strip() for line in show(self.system.configuration.tree)]


class NewcallTests(ConfigureCase):
    """New-call policies from the Exec mode."""

    def test_policies(self) -> None:
        """They are configuration lines, and the service follows at once."""
        self.does("newcall policy lma-service all reject")
        self.assertIn("newcall policy reject", self.running())
        self.assertEqual(self.system.configuration.lma_services[0].newcall_policy, "reject")
        self.does("newcall policy lma-service name lma1 busyout")
        self.assertIn("newcall policy busyout", self.running())
        self.does("no newcall policy lma-service name lma1")
        self.assertEqual([line for line in self.running() if "newcall" in line], [])
        self.assertIn("lma9", self.fails("newcall policy lma-service name lma9 reject"))


class ModeTests(ConfigureCase):
    """Moving between modes."""

    def test_prompts(self) -> None:
        """Each mode has the prompt of the digest, section 1.1."""
        for line, prompt in (
            ("conf", "[local]lma1(config)# "),
            ("context anchor", "[anchor]lma1(config-ctx)# "),
            ("lma-service lma1", "[anchor]lma1(config-lma-service)# "),
            ("exit", "[anchor]lma1(config-ctx)# "),
            ("interface eth0", "[anchor]lma1(config-if-eth)# "),
            ("exit", "[anchor]lma1(config-ctx)# "),
            ("exit", "[local]lma1(config)# "),
            ("context local", "[local]lma1(config-ctx)# "),
            ("server sshd", "[local]lma1(config-sshd)# "),
            ("end", "[local]lma1# "),
        ):
            self.does(line)
            self.assertEqual(self.shell.prompt, prompt)

    def test_entering_what_is_there_changes_nothing(self) -> None:
        """No change is made, and none is audited."""
        self.does("configure", "context anchor", "lma-service lma1", "end")
        self.assertEqual(self.system.applied, 0)
        self.assertEqual([each[1:] for each in self.system.noted], [("command", "configure", "ok")])

    def test_do(self) -> None:
        """Exec commands from a configuration mode, but none that moves the session."""
        self.does("configure", "context anchor")
        self.assertEqual(self.does("do show system uptime | grep -v x"), ["System uptime: 1D 1H 34M"])
        self.assertEqual(self.fails("do configure"), "Failure: 'configure' does not follow 'do'")
        self.assertEqual(
            self.fails("show clock"),
            "Failure: Unknown command 'show'; in Exec mode it is a command: 'do' before it runs it from here",
        )
        self.assertNotIn("Exec mode", self.fails("shaw clock"))
        self.assertIn("a pipe has no place", self.fails("subscriber default | more"))

    def test_help_of_the_mode(self) -> None:
        """``?`` lists what the mode knows, with ``do``; whole commands may end in -noconfirm."""
        self.does("configure", "context anchor", "lma-service lma1")
        texts = [each.text for each in self.shell.candidates("")]
        self.assertIn("do", texts)
        self.assertIn("reg-lifetime", texts)
        self.assertNotIn("show", texts)
        self.assertEqual([each.text for each in self.shell.candidates("do sh")], ["show"])
        self.assertEqual([each.text for each in self.shell.candidates("reg-lifetime ")], ["<1-262140>"])
        self.assertEqual(
            [each.text for each in self.shell.candidates("reg-lifetime 5 ")], ["-noconfirm", "<cr>"]
        )
        self.assertEqual([each.text for each in self.shell.candidates("reg-lifetime 5 -n")], ["-noconfirm"])
        help_line = next(line for line in self.does("refresh-interval-percent ?") if "<1-99>" in line)
        self.assertTrue(help_line.startswith("  <1-99>  1 to 99 percent"))

    def test_rights(self) -> None:
        """Operators do not enter; administrators do not touch users; neither sees it in the help."""
        operator = make_shell(self.system, "operator")
        self.assertIn("needs the privilege administrator", self.fails("configure", operator))
        self.assertNotIn("configure", [each.text for each in operator.candidates("")])
        administrator = make_shell(self.system, "administrator")
        self.does("configure", shell=administrator)
        self.assertIn("needs the privilege security-administrator",
                      self.fails("local-user max-failed-logins 3", administrator))  # fmt: skip
        self.assertNotIn("local-user", [each.text for each in administrator.candidates("")])
        self.system.files["/f"] = "config\nlocal-user max-failed-logins 3\nend\n"
        self.does("end", shell=administrator)
        self.assertIn("this would change 'local-user", self.fails("configure /f", administrator))


class ChangeTests(ConfigureCase):
    """Lines that change something."""

    def test_at_once(self) -> None:
        """A value, its default, a switch and its no, a new and a removed section."""
        self.does("configure", "context anchor", "lma-service lma1", "reg-lifetime 900", "no aaa accounting")
        settings = self.system.configuration.lma_services[0]
        self.assertEqual((settings.reg_lifetime, settings.aaa_accounting), (900, False))
        self.does("default reg-lifetime", "default aaa accounting", "exit", "lma-service lma2", "exit")
        self.assertEqual([each.name for each in self.system.configuration.lma_services], ["lma1", "lma2"])
        self.does("no lma-service lma2", "end")
        self.assertEqual(self.running(), [line.strip() for line in TEXT.splitlines()])

    def test_text_like_the_keyword(self) -> None:
        """A text that reads -noconfirm is set in quotes, and shown so that it can be read again."""
        self.does("configure", 'banner motd "-noconfirm"', "end")
        self.assertIn('banner motd "-noconfirm"', self.running())
        lines = show(self.system.configuration.tree)
        self.assertEqual(show(parse("\n".join(lines), "x")), lines)

    def test_refused(self) -> None:
        """What contradicts the rest, and what the host refuses, leaves everything as it was."""
        self.does("configure", "context anchor")
        self.assertIn("overlaps", self.fails("ipv6 pool B prefix 2001:db8:1:1::/64"))
        self.assertEqual(self.shell.mode, "context")
        self.system.refusal = "bind address ::5 is not on this host"
        self.assertEqual(self.fails("lma-service lma3"), "Failure: bind address ::5 is not on this host")
        self.assertEqual(self.shell.mode, "context")
        self.assertEqual(
            self.system.noted[-1],
            ("alice", "configure", "lma-service lma3", "bind address ::5 is not on this host"),
        )

    def test_question_before_sessions_end(self) -> None:
        """A person is asked; a script has to say -noconfirm or autoconfirm."""
        self.system.ends = 3
        self.does("configure", "context anchor")
        text = self.fails("no lma-service lma1")
        self.assertEqual(
            text,
            "Failure: lma-service lma1 starts anew; 3 sessions end by this change; "
            "nobody is there to confirm it: end the line with -noconfirm, or set autoconfirm",
        )
        self.fails("no lma-service lma1", interactive=True, answers=["", "what", "no"])
        self.assertEqual(self.face.asked, ["Are you sure? [Yes|No]: "] * 3)
        self.assertEqual(self.face.failures, ["Failure: not confirmed; nothing was done"])
        self.assertIn("Warning: 3 sessions end by this change", self.face.written)
        self.fails("no lma-service lma1", interactive=True)
        self.assertEqual(self.face.failures, [])
        self.does("no lma-service lma1", interactive=True, answers=["YES"])
        self.does("lma-service lma4 -noconfirm", "exit", "do autoconfirm", "no lma-service lma4")
        self.does("do no autoconfirm")
        self.fails("lma-service lma5")

    def test_change_by_another_operator(self) -> None:
        """A change that was made meanwhile is kept: the line is done again on top of it."""
        other = make_shell(self.system, user="bob")
        self.does("configure", "context anchor", shell=other)
        self.does("configure", "context anchor", "lma-service lma1")
        self.system.meanwhile = [lambda: self.other_change(other)]
        self.does("reg-lifetime 900")
        self.assertIn("reg-lifetime 900", self.running())
        self.assertIn("ip pool V4 192.0.2.0/24", self.running())

    def other_change(self, other: Shell) -> None:
        """Somebody else adds a pool, without the interplay of two event loops."""
        editor = other._editor()
        editor.execute("ip pool V4 192.0.2.0/24")
        plan = self.system.plan(editor.tree)
        try:
            plan.send(None)
        except StopIteration as done:
            self.system.configuration = done.value.configuration

    def test_section_goes_under_ones_feet(self) -> None:
        """Who is in a section that another removes is told, and stands one mode up."""
        self.does("configure", "context anchor", "lma-service lma1")
        self.does("configure", "context anchor", "no lma-service lma1", shell=make_shell(self.system))
        self.assertEqual(self.fails("reg-lifetime 5"), "Failure: lma-service lma1 is not there any more")
        self.assertEqual(self.shell.prompt, "[anchor]lma1(config-ctx)# ")
        self.does("lma-service lma1")

    def test_broken_off(self) -> None:
        """Who goes away while a change is made, or a command runs, is in the audit log all the same."""
        before = self.system.apply

        async def slow(plan: Any) -> bool:
            done = await before(plan)
            await asyncio.sleep(10)
            return done

        self.patch(self.system, "apply", slow)
        self.does("configure")

        async def gone() -> None:
            task = asyncio.ensure_future(self.shell.execute("system hostname other", Recorder()))
            await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(gone())
        text = "broken off (CancelledError); it may have been done"
        self.assertIn("system hostname other", self.running())
        self.assertEqual(self.system.noted[-1], ("alice", "configure", "system hostname other", text))
        self.does("end")
        self.assertEqual(run(self.shell, "show configuration", Recorder(patience=0)).status, 1)
        self.assertEqual(self.system.noted[-1][2], "system hostname other")
        self.assertEqual(run(self.shell, "save configuration /a", Recorder(patience=0)).status, 1)
        text = "broken off (Interrupted); it may have been done"
        self.assertEqual(self.system.noted[-1], ("alice", "command", "save configuration /a", text))
        self.assertIn("/a", self.system.files)

    def test_secrets(self) -> None:
        """A password is never kept, shown or audited in clear, whether the line works or not."""
        self.does("configure", "local-user username root1 password Geheim-1")
        self.assertIn(f"local-user username root1 encrypted password {HASH}", self.running())
        self.fails("local-user username root2 passwrd Geheim-1")
        self.does('local-user username root3 password "Geheim-1 auch Geheim-1"')
        self.fails('local-user username root2 password "Geheim-1" x')
        self.fails("local-user username root2 password ganz Geheim-1")
        self.does("local-user username root4 pas Geheim-1")
        self.does("l u root4 no-lockout-login-failure p Geheim-1")
        self.fails("l u root5 p ganz Geheim-1")
        self.fails("local-user username root2 encrypted password Geheim-1")
        for each in self.system.noted:
            self.assertNotIn("Geheim", "".join(each))
        typed = [each[2] for each in self.system.noted]
        self.assertIn("local-user username root1 password ********", typed)
        user = self.system.configuration.management.user("root1")
        assert user is not None
        self.assertEqual((user.password, user.rights), (HASH, "operator"))

    def test_audit_log(self) -> None:
        """A security administrator reads what was noted; nobody else does."""
        self.does("configure", "context anchor", "ip pool V4 192.0.2.0/24", "end")
        lines = self.does("show audit log last 1")
        self.assertEqual(lines, [" alice from -: configure ip pool V4 192.0.2.0/24: ok"])
        self.assertIn("needs the privilege security-administrator",
                      self.fails("show audit log", make_shell(self.system, "administrator")))  # fmt: skip

    def test_secrets_in_odd_lines(self) -> None:
        """Abbreviated, misspelled, quoted, in the wrong place: no word of a password is audited."""
        for line in (
            'local-user username root1 password "Geheim eins"',
            "local-user username root1 p Geheim-1",
            "lo us root1 authorization-level inspector pas Geheim-1",
            "local-user username root1 timeout-min-idle 5 passw Geheim-1 -noconfirm",
        ):
            self.does("configure", line, "end")
        for line in (
            "local-user username root2 p Geheim ganz-Geheim",
            "local-user username root2 pasword Geheim-1",
            "local-user username root2 Geheim-1",
            "local-user username root2 authorization-level Geheim-1",
            "local-user username root2 timeout-min-idle Geheim-1",
            "locl-user username root2 p Geheim-1",
            "local-user username root2 password 'Geheim-1",
        ):
            self.does("configure")
            self.fails(line)
            self.does("end")
        for each in self.system.noted:
            self.assertNotIn("Geheim", "".join(each))
        typed = [each[2] for each in self.system.noted]
        self.assertIn("local-user username root1 timeout-min-idle 5 passw ******** -noconfirm", typed)
        self.assertIn("lo us root1 authorization-level inspector pas ********", typed)
        self.does("configure", "local-user username root3 authorization-level operator nopassword")
        self.assertEqual(
            self.system.noted[-1][2], "local-user username root3 authorization-level operator nopassword"
        )

    def test_hashes_are_for_who_may_type_them(self) -> None:
        """Everybody else sees that there is a password."""
        self.does("configure", "local-user username root1 password Geheim-1", "end")
        line = "  local-user username root1 encrypted password "
        self.assertIn(line + HASH, self.does("show configuration"))
        for rights in ("operator", "administrator"):
            shown = self.does("show configuration", shell=make_shell(self.system, rights))
            self.assertIn(line + "********", shown)
            self.assertNotIn("$scrypt", "".join(shown))

    def test_what_others_may_change(self) -> None:
        """An administrator changes all around users and the SSH server, and never removes them."""
        key = "authorized-key username root1 type ssh-ed25519 key AAAAC3NzaC1lZDI1NTE5AAAAIJ0="
        user = "local-user username root1 password Geheim-1"
        self.does("configure", user, "context local", "server sshd", key, "end")
        administrator = make_shell(self.system, "administrator")
        self.does("configure", "context local", "interface eth0", "end", shell=administrator)
        self.does("configure", shell=administrator)
        text = self.fails("no context local", shell=administrator)
        self.assertEqual(
            text,
            "Failure: this would change 'context local / server sshd', "
            "which a user who is administrator may not",
        )
        self.does("end", shell=administrator)
        self.system.files["/a"] = "config\ncontext local\nexit\nend\n"
        text = self.fails("configure /a replace", shell=administrator)
        self.assertIn("which a user who is administrator may not", text)
        self.does("save configuration /b", "configure /b replace", "configure /b", shell=administrator)
        self.does("configure /a replace")
        self.assertEqual(self.system.configuration.management.users, ())

    def test_control_characters(self) -> None:
        """Nothing that steers a terminal is taken, and it is not repeated raw."""
        for line in ("show clock \x1b[2J", "show\x00clock", "show clock \u202e", "context \udcff"):
            text = self.fails(line)
            self.assertIn("has no place in a command", text)
            self.assertTrue(text.isprintable())
        # An octet that is no UTF-8, as Python reads it.
        self.assertIn("octet 0xFF has no place", self.fails("banner motd \udcff"))
        self.assertIn("longer than 8192", self.fails("x" * 9000))

    def test_caret(self) -> None:
        """A person sees which word is meant; a script does not; it can be switched off."""
        self.fails("show clocc", interactive=True)
        self.assertEqual(self.face.failures[1], " " * len("[local]lma1# show ") + "^" * 5)
        self.fails("show clocc")
        self.assertEqual(len(self.face.failures), 1)
        self.does("no terminal caret")
        self.fails("show clocc", interactive=True)
        self.assertEqual(len(self.face.failures), 1)


class FileTests(ConfigureCase):
    """save, configure FILE, checksum, errors."""

    def test_save_and_boot(self) -> None:
        """What is saved is what runs; an existing configuration is replaced after a question only."""
        self.assertIn("booted from standard input", self.fails("save configuration"))
        self.does("save configuration /etc/a.conf")
        self.assertEqual(self.system.files["/etc/a.conf"], TEXT)
        self.assertIn("exists and is replaced", self.fails("save configuration /etc/a.conf"))
        self.does("save conf /etc/a.conf -noconfirm")
        self.system.boot_file = "/etc/a.conf"
        self.does("save configuration", interactive=True, answers=["y"])
        self.system.files["/etc/passwd"] = "root:x:0:0"
        self.assertIn("is no configuration file", self.fails("save configuration /etc/passwd -noconfirm"))

    def test_load(self) -> None:
        """All lines of a file or none; it adds to what runs, or replaces it."""
        self.system.files["/a"] = "config\ncontext anchor\nip pool V4 192.0.2.0/24\nexit\nend\n"
        self.does("configure /a")
        self.assertIn("ip pool V4 192.0.2.0/24", self.running())
        self.assertIn("lma-service lma1", self.running())
        self.does("configure /a replace")
        self.assertNotIn("lma-service lma1", self.running())
        self.system.files["/b"] = "config\ncontext b\nexit\ncontext c\nbogus\nip pol\nexit\nend\n"
        text = self.fails("configure /b")
        self.assertEqual(
            text.split("\n"),
            ["Failure: /b:5: Unknown command 'bogus'",
             "Failure: /b:6: Unknown keyword 'pol' after 'ip': pool",
             "Failure: nothing of the file was applied"])  # fmt: skip
        self.assertIn("No such file", self.fails("configure /c"))
        self.system.files["/etc/shadow"] = "root:$6$abc"
        self.assertEqual(
            self.fails("configure /etc/shadow"),
            "Failure: /etc/shadow is no configuration file: it does not begin with 'config'",
        )

    def test_load_while_others_work(self) -> None:
        """What somebody else changes while a file is read stays: the file is read once more."""
        lines = ["config", "context anchor", *["# remark"] * 60, "ip pool V4 192.0.2.0/24", "exit", "end"]
        self.system.files["/a"] = "\n".join(lines)
        other = make_shell(self.system)
        changed: list[int] = []

        class Meanwhile(Recorder):
            async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
                if not changed and not lines:
                    for line in ("configure", "system hostname other", "end"):
                        changed.append(await other.execute(line, Recorder()))

        self.assertEqual(run(self.shell, "configure /a", Meanwhile()).status, 0)
        self.assertEqual(changed, [0, 0, 0])
        self.assertIn("ip pool V4 192.0.2.0/24", self.running())
        self.assertIn("system hostname other", self.running())

    def test_much_is_put_together_in_slices(self) -> None:
        """Others have their turn while a long configuration is printed, summed up or saved."""
        for number in range(200):
            self.does("configure", f"context c{number}", "end")
        for line in ("show configuration", "show configuration checksum", "save configuration /x"):
            face = Recorder(patience=1000)
            run(self.shell, line, face)
            self.assertLess(face.patience, 997, line)

    def test_checksum(self) -> None:
        """It changes with the configuration and comes back with it."""
        one = self.does("show configuration checksum")
        self.does("configure", "system hostname x", "end")
        self.assertNotEqual(self.does("show config checksum"), one)
        self.does("configure", "system hostname lma1", "end")
        self.assertEqual(self.does("show config checksum"), one)

    def test_errors(self) -> None:
        """The audit in the layout of the digest, section 4.7."""
        lines = self.does("show configuration errors verbose")
        self.assertEqual(lines[:6], [
            "#" * 86,
            "#                   Displaying LMA-service system errors",
            "#" * 86,
            "Error   : lma-service lma1 has no mag-peer, so it refuses every gateway",
            "Total 1 error(s) in this section !",
            "",
        ])  # fmt: skip
        self.assertEqual(lines[6], "Total 0 warning(s) in this section!")
        self.assertNotIn("Error   : lma-service", "".join(self.does("show configuration errors")))
