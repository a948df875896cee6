"""How ``scripts/lab counters`` judges, and the octets that it writes by itself."""

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA
from appliance.protocols.mobility import codec, messages, options, rfc4285
from scripts.counting import wire
from scripts.counting.cases import CASES, SUMS, Case, accepted, denied, dropped, expected, plus, times
from scripts.counting.runner import Outcome, rows
from scripts.counting.table import COUNTERS, STAGES, WAITING

MAG, ANCHOR = (ip_address(f"2001:db8:ffff::{end}").packed for end in ("a1", "1"))
INITIAL = "initial-binding-update-requests"


def nothing(world):
    """Nothing is done."""
    yield


class TableTests(SynchronousTestCase):
    """The table of cases against the published list."""

    def test_keys(self) -> None:
        """The keys are those of the anchor's own table, in its order."""
        self.assertEqual(COUNTERS, [row.key for row in LMA.rows if not row.extra])

    def test_cases(self) -> None:
        """Cases are of known stages, name known counters, and say what they do in a line."""
        known = {row.key for row in LMA.rows}
        stages = {stage.name for stage in STAGES}
        for case in CASES:
            self.assertIn(case.stage, stages)
            self.assertLessEqual(set(case.counters), known, case.name)
            self.assertTrue(5 < len(case.what) < 110, case.what)
        self.assertEqual(WAITING, {})
        names = [case.name for case in CASES]
        self.assertEqual(len(names), len(set(names)))

    def test_sums_are_the_anchors(self) -> None:
        """What a total is the sum of, written down here by itself, is what the anchor adds up."""
        for row in LMA.rows:
            if row.extra or row.kind != "sum":
                self.assertNotIn(row.key, SUMS)
                continue
            leaves = {LMA.rows[index].key for index in LMA.leaves[LMA.index(row.key)]}
            self.assertEqual({key for key in leaves if expected({key: 1}).get(row.key)}, leaves, row.key)


class JudgementTests(SynchronousTestCase):
    """Exactly what is wanted, and nothing else."""

    def outcome(self, wanted: dict[str, int], moved: dict[str, int]) -> Outcome:
        """How a case has gone that wanted one thing and saw another."""
        outcome = Outcome(Case("plain", wanted, nothing, ()))
        outcome.wanted = expected(wanted)
        outcome.before = dict.fromkeys(COUNTERS, 5)
        outcome.after = {key: 5 + moved.get(key, 0) for key in COUNTERS}
        outcome.judge()
        return outcome

    def test_totals_follow(self) -> None:
        """An accepted update moves the totals too."""
        moves = expected(accepted("initial"))
        self.assertEqual(moves["binding-updates-received/total-received"], 1)
        self.assertEqual(moves["binding-acknowledgements-sent/total"], 1)
        self.assertEqual(len(moves), 7)
        self.assertEqual(expected(dropped("checksum-error")), {
            "binding-updates-discard-reasons/checksum-error": 1,
            "binding-updates-received/total-discarded": 1,
            "binding-updates-received/total-received": 1,
        })  # fmt: skip

    def test_arithmetic(self) -> None:
        """Moves add up and multiply."""
        self.assertEqual(plus({"a": 1}, {"a": 2, "b": 1}), {"a": 3, "b": 1})
        self.assertEqual(times(3, {"a": 2}), {"a": 6})

    def test_as_it_should_be(self) -> None:
        """All that is wanted, and no more."""
        moves = accepted("refresh")
        outcome = self.outcome(moves, expected(moves))
        self.assertEqual(outcome.problem, "")
        shown = {row["counter"]: row for row in rows([outcome])}
        row = shown["refresh-binding-update-requests/accepted"]
        self.assertEqual((row["before"], row["after"], row["ok"]), (5, 6, True))
        self.assertIsNone(shown[f"{INITIAL}/denied"]["ok"])

    def test_too_little_and_too_much(self) -> None:
        """A counter that stays, one that rises twice, and one that nobody asked for."""
        moves = denied("initial", "binding-update-deny-reasons/missing-hnp-option")
        good = expected(moves)
        changes = {f"{INITIAL}/denied": 0}, {f"{INITIAL}/denied": 2}, {"total-disconnects/admin-drops": 1}
        for change in changes:
            outcome = self.outcome(moves, good | change)
            self.assertEqual(outcome.wrong, list(change))
            shown = {row["counter"]: row for row in rows([outcome])}
            self.assertFalse(shown["binding-update-deny-reasons/missing-hnp-option"]["ok"])


class WireTests(SynchronousTestCase):
    """The hand-written octets, read by the appliance's codec: neither is made from the other."""

    def test_update(self) -> None:
        """An update with options of every alignment."""
        mh = wire.update(
            7,
            wire.A | wire.P,
            600,
            [
                wire.nai("a@b.c"),
                wire.prefix_option("2001:db8:1::", 64),
                (wire.INDICATOR, b"\0\1"),
                (wire.LINK_LAYER, b"\0\0\2\0\x5e\x10\0\1"),
                wire.ipv4_request("203.0.113.7", 24),
                (wire.GRE_KEY, b"\0\0\0\0\x10\1"),
                (wire.TIMESTAMP, bytes(8)),
            ],
        )
        mh = wire.sealed(mh, MAG, ANCHOR)
        self.assertTrue(codec.verify(mh, MAG, ANCHOR))
        message, faults = codec.decode(mh)
        self.assertEqual(faults, ())
        assert isinstance(message, messages.BindingUpdate)
        self.assertEqual((message.sequence, message.lifetime), (7, 150))
        self.assertEqual(wire.sealed(codec.encode(message), MAG, ANCHOR), mh)

    def test_revocation(self) -> None:
        """Both messages of RFC 5846."""
        for kind in (1, 2):
            mh = wire.sealed(wire.revocation(kind, 0, 9, 0x8000, [wire.nai("a@b.c")]), MAG, ANCHOR)
            message, faults = codec.decode(mh)
            self.assertEqual((faults, codec.seal(codec.encode(message), MAG, ANCHOR)), ((), mh))

    def test_authenticated(self) -> None:
        """Both options of RFC 4285, in one message."""
        care_of, home, key = MAG, ip_address("2001:db8:100::5").packed, bytes(range(16))
        mh = wire.update(1, wire.A | wire.H, 60, [wire.nai("host@example.org")])
        mh = wire.authenticated(mh, [(1, 256, key), (2, 3, key)], care_of, home)
        message, faults = codec.decode(wire.sealed(mh, home, ANCHOR))
        self.assertEqual(faults, ())
        found = [each for each in message.options if isinstance(each, options.Authentication)]
        self.assertEqual([each.subtype for each in found], [1, 2])
        at = mh.index(bytes((9, 17, 1)))
        data = rfc4285.covered(mh, at)
        self.assertEqual(found[0].authenticator, rfc4285.mn_ha_authenticator(key, care_of, home, data))
        digest = rfc4285.mac_mobility_data(care_of, home, rfc4285.covered(mh, len(mh) - 27))
        self.assertEqual(found[1].authenticator, rfc4285.mn_aaa_authenticator(key, digest))
