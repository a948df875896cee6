"""``appliance user``: boot files that are edited and otherwise left alone."""

import io
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import users
from appliance.cli.passwords import verify
from appliance.cli.ssh_keys import public_key
from appliance.cli.users import Change, added, main, removed
from appliance.cli.users import read_management as read
from appliance.errors import ApplianceError
from appliance.management import User

BOOT = """# The anchor of the second floor.
config   # begins here
  system hostname lma1
  context anchor   # not local
    lma-service lma1
      bind address 2001:db8::1
      exit
    exit
end
# The end.
"""

HASH = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + 43 * "A"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmMRUoPbHCMbrFmjKyCdDWjQ0sDRDSB8cXaUbjSyl9v"


class TextTests(SynchronousTestCase):
    """Text in, text out."""

    def test_a_user_is_put_in_right_after_config(self) -> None:
        """The rest of the file stays as it is, remarks too."""
        text = added(BOOT, Change("alice", "security-admin", HASH, ()))
        line = f"  local-user username alice authorization-level security-admin encrypted password {HASH}"
        self.assertEqual(text.split("\n")[2], line)
        self.assertEqual(text.replace(line + "\n", ""), BOOT)
        self.assertEqual(removed(text, "alice"), BOOT)

    def test_a_key_brings_the_server(self) -> None:
        """Keys stand in ``server sshd`` of ``context local``: in the one that is there, or in a new one."""
        text = added(BOOT, Change("alice", "operator", "", (KEY,)))
        self.assertEqual([each.keys for each in read(text, "f").users], [(KEY,)])
        again = added(text, Change("bobby", "operator", "", (KEY,)))
        self.assertEqual(again.count("server sshd"), 1)
        self.assertEqual([each.keys for each in read(again, "f").users], [(KEY,), (KEY,)])
        self.assertEqual(read(removed(again, "alice"), "f").user("bobby"), read(again, "f").user("bobby"))

    def test_line_ends_of_the_file_are_kept(self) -> None:
        """A file from Windows has lines of its own kind put in; a mark in front does no harm."""
        text = added("\ufeff" + BOOT.replace("\n", "\r\n"), Change("alice", "operator", HASH, (KEY,)))
        self.assertNotIn("\n", text.replace("\r\n", ""))

    def test_only_lines_of_that_user_go(self) -> None:
        """Abbreviated lines go too; users whose name begins alike stay."""
        text = "config\nlocal-us user alice nopassword\nlocal-user username alice2 nopassword\nend"
        self.assertEqual(removed(text, "alice"), "config\nlocal-user username alice2 nopassword\nend")
        self.assertEqual(removed(text, "user"), text)

    def test_without_config_there_is_no_place(self) -> None:
        """A file without ``config`` is refused."""
        for text in ("", "# nothing\n", "context local\n"):
            self.assertRaises(ApplianceError, added, text, Change("alice", "operator", HASH, ()))


class CommandTests(SynchronousTestCase):
    """The command as it is typed."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "boot.conf"
        self.path.write_text(BOOT)
        self.path.chmod(0o640)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def run_it(self, *words: str, stdin: str = "") -> int:
        self.patch(sys, "stdin", io.StringIO(stdin))
        return main([*words, "-c", str(self.path)], read)

    def test_add_list_remove(self) -> None:
        """A password from standard input is hashed; the file keeps its mode; nothing else lies about."""
        words = ("add", "alice", "--level", "inspector", "--password-stdin")
        self.assertEqual(self.run_it(*words, stdin="sesam\n"), 0)
        user = read(self.path.read_text(), "f").user("alice")
        assert user is not None
        self.assertTrue(verify("sesam", user.password))
        self.assertEqual(user.rights, "inspector")
        self.assertNotIn("sesam", self.out.getvalue() + self.path.read_text())
        self.assertIn("restart it, or type", self.out.getvalue())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)
        self.assertEqual(os.listdir(self.directory), ["boot.conf"])
        self.assertEqual(self.run_it("list"), 0)
        self.assertIn("alice             inspector       yes       0", self.out.getvalue())
        self.assertEqual(self.run_it("remove", "alice"), 0)
        self.assertEqual(self.path.read_text(), BOOT)

    def test_keys(self) -> None:
        """A public key file, also with a remark, lets a user in without a password."""
        key = self.directory / "id.pub"
        key.write_text(f"{KEY} alice@example.org\n")
        self.assertEqual(self.run_it("add", "alice", "--no-password", "--key", str(key)), 0)
        self.assertEqual(read(self.path.read_text(), "f").users, (User(username="alice", keys=(KEY,)),))
        self.assertIn("will listen on :: port 22", self.out.getvalue())

    def test_refusals_leave_the_file_alone(self) -> None:
        """What cannot be done is said in a line, and the file is as before."""
        self.assertEqual(self.run_it("add", "alice", "--password-stdin", stdin="sesam\n"), 0)
        before = self.path.read_bytes()
        bad = self.directory / "bad.pub"
        for words, stdin, part in (
            (("add", "alice", "--password-stdin"), "x\n", "exists"),
            (("add", "al", "--password-stdin"), "x\n", "3 to 16"),
            (("add", "a b c", "--password-stdin"), "x\n", "3 to 16"),
            (("add", "bobby", "--password-stdin"), "\n", "empty"),
            (("add", "bobby", "--password-stdin"), "x\x07\n", "control"),
            (("add", "bobby", "--no-password"), "", "nobody can log in"),
            (("add", "bobby", "--no-password", "--key", str(self.directory / "none")), "", "No such file"),
            (("add", "bobby", "--no-password", "--key", str(bad)), "", "one public key"),
            (("remove", "bobby"), "", "no user bobby"),
        ):
            bad.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
            self.err.truncate(0)
            self.assertEqual(self.run_it(*words, stdin=stdin), 1, words)
            self.assertIn(part, self.err.getvalue())
            self.assertEqual(self.path.read_bytes(), before)

    def test_a_bad_file_is_not_touched(self) -> None:
        """A file that the appliance would not start with, is missing, or is no text."""
        for data, status in ((b"config\n'\nend\n", 1), (b"config\n", 1), (b"\xff\xfe", 2)):
            self.path.write_bytes(data)
            self.assertEqual(self.run_it("add", "alice", "--password-stdin", stdin="x\n"), status)
            self.assertEqual(self.path.read_bytes(), data)
        self.path.unlink()
        self.assertEqual(self.run_it("list"), 2)
        self.assertIn("name the boot file with -c", self.err.getvalue())

    def test_a_later_line_that_undoes_it_is_found(self) -> None:
        """The result is read, not hoped for."""
        text = BOOT.replace("end\n", "no local-user username alice\nend\n")
        self.path.write_text(text)
        self.assertEqual(self.run_it("add", "alice", "--password-stdin", stdin="x\n"), 1)
        self.assertIn("edit it by hand", self.err.getvalue())
        self.assertEqual(self.path.read_text(), text)

    def test_a_full_disk_changes_nothing(self) -> None:
        """When the new file cannot be written the old one stays and nothing is left over."""

        def refuse(_file: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", refuse)
        self.assertEqual(self.run_it("add", "alice", "--password-stdin", stdin="x\n"), 2)
        self.assertIn("nothing was changed", self.err.getvalue())
        self.assertEqual(self.path.read_text(), BOOT)
        self.assertEqual(os.listdir(self.directory), ["boot.conf"])

    def test_a_link_stays_a_link(self) -> None:
        """The file behind a link is replaced."""
        real = self.directory / "real.conf"
        self.path.rename(real)
        self.path.symlink_to("real.conf")
        self.assertEqual(self.run_it("add", "alice", "--password-stdin", stdin="x\n"), 0)
        self.assertTrue(self.path.is_symlink())
        self.assertIn("alice", real.read_text())

    def test_without_a_terminal_it_says_what_to_do(self) -> None:
        """Nobody is there to type a password."""

        def nobody(_prompt: str) -> str:
            raise EOFError

        self.patch(users.getpass, "getpass", nobody)
        self.assertEqual(self.run_it("add", "alice"), 1)
        self.assertIn("--password-stdin", self.err.getvalue())

    def test_two_passwords_have_to_be_the_same(self) -> None:
        """A slip is noticed."""
        typed = iter(("one", "two"))
        self.patch(users.getpass, "getpass", lambda _prompt: next(typed))
        self.assertEqual(self.run_it("add", "alice"), 1)
        self.assertIn("differ", self.err.getvalue())


class KeyTests(SynchronousTestCase):
    """Which public keys are taken."""

    def test_a_line_with_options_and_remark(self) -> None:
        """Only type and octets are kept."""
        self.assertEqual(" ".join(public_key(f'no-pty {KEY} "me" here')), KEY)

    def test_bad_keys(self) -> None:
        """Damaged keys, other types and what is none at all."""
        other = KEY.replace("ssh-ed25519", "ssh-rsa")
        for line in ("", "ssh-ed25519", "ssh-dss AAAA", KEY[:-8], other, "x y"):
            self.assertRaises(ApplianceError, public_key, line)

    def test_short_rsa_keys_are_refused(self) -> None:
        """1024 bits are not enough, 2048 are."""
        if shutil.which("ssh-keygen") is None:
            raise self.skipTest("ssh-keygen is not installed")
        directory = Path(self.mktemp())
        directory.mkdir()
        for bits in (1024, 2048):
            path = directory / str(bits)
            words = ["ssh-keygen", "-q", "-t", "rsa", "-b", str(bits), "-N", "", "-f", str(path)]
            subprocess.run(words, check=True)
            line = path.with_name(f"{bits}.pub").read_text()
            if bits < 2048:
                self.assertIn("2048", str(self.assertRaises(ApplianceError, public_key, line)))
            else:
                self.assertEqual(public_key(line)[0], "ssh-rsa")
