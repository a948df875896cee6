"""Counter tables against the published list, sums, clearing, and codes on the wire."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet, denied_by_lma_key, deny_key, slug
from appliance.counters_table import Table, event, extra, group, total

GOLDEN = Path(__file__).parent / "golden" / "lma-service-statistics.tsv"


def golden() -> list[tuple[str, ...]]:
    """Group, sub-group and field of every published row, in order."""
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines[1:]]

#: Groups of the anchor's table that are not in the published list as a whole.
OUR_GROUPS = (
    "Path Management Messages",
    "Update Notifications",
    "Home Agent Discovery",
    "Mobile Prefix Discovery",
    "Messages To Hosts",
)


class PublishedListTest(SynchronousTestCase):
    """The LMA table is the published list."""

    def test_rows_in_order(self) -> None:
        """The rows that are not extra are the 161 published ones, letter by letter, in order."""
        mine = [(row.heading, row.subheading, row.label) for row in LMA.rows if not row.extra]
        self.assertEqual(len(mine), 161)
        self.assertEqual(mine, golden())

    def test_extra_rows(self) -> None:
        """The rows beyond the list are those that make totals balance and the other messages."""
        self.assertEqual(
            [row.key for row in LMA.rows if row.extra and row.heading not in OUR_GROUPS],
            [
                "binding-updates-received/pending",
                "binding-update-deny-reasons/other",
                "update-denied-insufficient-resource-reasons/other",
                "update-denied-admin-prohibited-reasons/other",
                "update-denied-unspecified-reason/other",
                "binding-updates-discard-reasons/other",
                "binding-revocation/discarded",
                "tunnel-data-received/total-packets/ipv4-gre",
                "tunnel-data-received/total-bytes/ipv4-gre",
                "tunnel-data-sent/total-packets/ipv4-gre",
                "tunnel-data-sent/total-bytes/ipv4-gre",
                "other-mobility-messages/received",
                "other-mobility-messages/ignored",
                "other-mobility-messages/unknown-type",
                "other-mobility-messages/binding-error-sent",
                "other-mobility-messages/parameter-problem-sent",
                "runtime-lma-assignment/assigned",
                "runtime-lma-assignment/not-assigned",
                "runtime-lma-assignment/served-for-others",
            ],
        )

    def test_keys_are_mechanical(self) -> None:
        """Every key of both tables follows from heading, sub-heading and label."""
        for table in (LMA, MAG):
            for row in table.rows:
                parts = [slug(part) for part in (row.heading, row.subheading, row.label) if part]
                self.assertEqual(row.key, "/".join(parts))

    def test_keys_by_example(self) -> None:
        """Keys that code and scripts rely on keep their spelling."""
        for key in (
            "tunnel-data-received/total-packets/ipv6-gre-ipv4",
            "binding-updates-discard-reasons/checksum-error",
            "tunnel-icmpv6-packets/packet-too-big-rcvd",
            "tunnel-data-received/errors/no-session-found",
            "received-revocation-ack-status/no-ipv4-hoa-bind",
        ):
            self.assertEqual(LMA.rows[LMA.index(key)].key, key)

    def test_help(self) -> None:
        """Every row of both tables says what increments it, in a sentence of its own."""
        for table in (LMA, MAG):
            for row in table.rows:
                self.assertTrue(row.help.endswith(".") and len(row.help) > 8, row.key)

    def test_nested_headings_exist(self) -> None:
        """Headings that a screen indents are headings of the table."""
        self.assertLessEqual(LMA.nested, {row.heading for row in LMA.rows})

    def test_mag_groups(self) -> None:
        """The MAG table begins with the published groups and shares the tunnel rows with the LMA."""
        headings = list(dict.fromkeys(row.heading for row in MAG.rows))
        published = ["Binding Update Sent", "Binding Acknowledgement Rcvd", "Denied by LMA"]
        self.assertEqual(headings[:3], published)
        tunnel = [row.key for row in LMA.rows if row.key.startswith("tunnel-")]
        self.assertEqual([row.key for row in MAG.rows if row.key.startswith("tunnel-")], tunnel)
        self.assertEqual(len(tunnel), 46)


class SumTest(SynchronousTestCase):
    """Totals are made of what was counted."""

    def setUp(self) -> None:
        """Start with a fresh set."""
        self.counters = CounterSet(LMA)

    def count(self, key: str, times: int = 1) -> None:
        """Count an event as hot code does."""
        self.counters.values[LMA.index(key)] += times

    def test_updates_received(self) -> None:
        """Total Received is accepted, denied, discarded and still pending ones."""
        self.count("initial-binding-update-requests/accepted", 1)
        self.count("handoff-requests/accepted", 2)
        self.count("refresh-binding-update-requests/denied", 4)
        self.count("binding-updates-discard-reasons/decode-failure", 8)
        self.count("binding-updates-discard-reasons/other", 16)
        self.count("binding-updates-received/pending", 32)
        value = self.counters.value
        self.assertEqual(value("binding-updates-received/total-accepted"), 3)
        self.assertEqual(value("binding-updates-received/total-denied"), 4)
        self.assertEqual(value("binding-updates-received/total-discarded"), 24)
        self.assertEqual(value("binding-updates-received/total-received"), 63)

    def test_acknowledgements(self) -> None:
        """Total of the acknowledgements leaves out Send Error and Accepted Init Reg, which overlap."""
        for row in LMA.rows:
            if row.heading == "Binding Acknowledgements Sent" and row.kind == "event":
                self.count(row.key)
        self.assertEqual(self.counters.value("binding-acknowledgements-sent/total"), 3)

    def test_sub_reasons(self) -> None:
        """Statuses 128, 129 and 130 are the sums of their sub-reasons, other ones included."""
        self.count("update-denied-insufficient-resource-reasons/address-alloc-failed")
        self.count("update-denied-insufficient-resource-reasons/other", 2)
        self.count("update-denied-admin-prohibited-reasons/bad-request", 4)
        self.count("update-denied-unspecified-reason/newer-session-detected-by-pcs", 8)
        value = self.counters.value
        self.assertEqual(value("binding-update-deny-reasons/insufficient-resources"), 3)
        self.assertEqual(value("binding-update-deny-reasons/admin-prohibited"), 4)
        self.assertEqual(value("binding-update-deny-reasons/unspecified-reason"), 8)

    def test_authentication_and_revocation(self) -> None:
        """The two failure rows of AAA and the discarded acknowledgements are sums."""
        self.count("mip-aaa-authentication/actual-auth-failures")
        self.count("mip-aaa-authentication/misc-auth-failures", 2)
        self.count("binding-revocation-ack-discarded/decode-error", 4)
        self.assertEqual(self.counters.value("mip-aaa-authentication/total-failures"), 3)
        self.assertEqual(self.counters.value("mip-aaa-authentication/failures"), 3)
        self.assertEqual(self.counters.value("binding-revocation-ack-discarded/total"), 4)

    def test_tunnel_totals(self) -> None:
        """Each tunnel total is the sum of nine encapsulations of its own direction and unit."""
        for direction in ("received", "sent"):
            for unit in ("packets", "bytes"):
                prefix = f"tunnel-data-{direction}/total-{unit}"
                leaves = LMA.leaves[LMA.index(prefix)]
                self.assertEqual(len(leaves), 9)
                self.assertTrue(all(LMA.rows[leaf].key.startswith(prefix + "/") for leaf in leaves))

    def test_sum_ignores_own_value(self) -> None:
        """What somebody adds to a sum by hand is not shown."""
        self.count("binding-updates-received/total-received", 9)
        self.assertEqual(self.counters.value("binding-updates-received/total-received"), 0)

    def test_mag_totals(self) -> None:
        """MAG totals follow what was sent, received and dropped."""
        counters = CounterSet(MAG)
        for key, times in (
            ("binding-update-sent/init-request-xmit", 1),
            ("binding-update-sent/dereg-request-re-xmit", 2),
            ("binding-acknowledgement-rcvd/accepted", 4),
            ("binding-acknowledgement-rcvd/denied", 8),
            ("binding-acknowledgement-rcvd/init-reply-rcvd", 100),
            ("binding-acknowledgement-errors/no-matching-request", 16),
            ("path-management-messages/heartbeat-request/retrans-tx", 32),
            ("path-management-messages/reasons-for-path-failure/restart-counter-change", 64),
        ):
            counters.values[MAG.index(key)] += times
        self.assertEqual(counters.value("binding-update-sent/total"), 3)
        self.assertEqual(counters.value("binding-acknowledgement-rcvd/errors"), 16)
        self.assertEqual(counters.value("binding-acknowledgement-rcvd/total"), 28)
        self.assertEqual(counters.value("path-management-messages/heartbeat-request/total-tx"), 32)
        self.assertEqual(counters.value("path-management-messages/total-path-failures-detected"), 64)

    def test_unknown_key(self) -> None:
        """A key that is no row is an error, not a zero."""
        self.assertRaises(KeyError, self.counters.value, "binding-updates-received/nothing")
        self.assertRaises(KeyError, LMA.index, "binding-updates-received")


class ClearTest(SynchronousTestCase):
    """Clearing moves the baseline and touches nothing that counts."""

    def test_clear(self) -> None:
        """After a clear events and sums start at zero while the counted values stay."""
        counters = CounterSet(LMA)
        index = LMA.index("dereg-requests/accepted")
        values = counters.values
        counters.values[index] += 5
        counters.clear()
        self.assertEqual(counters.snapshot(), [0] * len(LMA.rows))
        self.assertIs(counters.values, values)
        counters.values[index] += 2
        self.assertEqual(counters.value(index), 2)
        self.assertEqual(counters.value("binding-updates-received/total-accepted"), 2)
        self.assertEqual(counters.values[index], 7)

    def test_gauge_survives(self) -> None:
        """A gauge says how many there are, so a clear leaves it and sums with it alone."""
        counters = CounterSet(LMA)
        pending = LMA.index("binding-updates-received/pending")
        counters.values[pending] += 3
        counters.clear()
        self.assertEqual(counters.value(pending), 3)
        counters.values[pending] -= 2
        self.assertEqual(counters.value("binding-updates-received/total-received"), 1)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, len(LMA.rows) - 1), st.integers(1, 2**64))), st.data())
    def test_totals_add_up(self, events: list[tuple[int, int]], data: st.DataObject) -> None:
        """Whatever is counted, before and after a clear at any point, total = accepted + denied + ..."""
        counters = CounterSet(LMA)
        cut = data.draw(st.integers(0, len(events)))
        for position, (index, times) in enumerate(events):
            if position == cut:
                counters.clear()
            counters.values[index] += times
        snapshot = dict(zip((row.key for row in LMA.rows), counters.snapshot(), strict=True))
        prefix = "binding-updates-received/"
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(snapshot[prefix + "total-received"], sum(snapshot[prefix + part] for part in parts))
        self.assertTrue(all(value >= 0 for value in snapshot.values()))


class StatusTest(SynchronousTestCase):
    """Rows are found from codes on the wire."""

    #: RFC 6275 6.1.8, RFC 4285, RFC 5213 8.9, RFC 5845, RFC 5648: code and slug of its row.
    CODES = (
        (132, "not-home-subnet"), (134, "dad-failed"), (135, "sequence-out-of-window"),
        (139, "reg-type-change-disallowed"), (144, "mismatched-id"), (145, "msg-id-required"),
        (146, "mn-auth-failure"), (151, "service-authorization-failed"), (152, "proxy-reg-not-enabled"),
        (153, "not-lma-for-mobile"), (154, "not-authorized-for-proxy-reg"), (155, "not-authorized-for-hnp"),
        (156, "timestamp-mismatch"), (157, "timestamp-lower-than-expected"), (158, "missing-hnp-option"),
        (159, "bce-prefix-do-not-match"), (160, "missing-mn-id-option"), (161, "missing-handoff-ind-option"),
        (162, "missing-access-tech-option"), (163, "gre-key-option-required"), (167, "mcoa-unknown-coa"),
    )

    def test_deny_reasons(self) -> None:
        """Each status with a row of its own is counted there, at LMA and MAG."""
        for status, name in self.CODES:
            self.assertEqual(deny_key(status), f"binding-update-deny-reasons/{name}")
            self.assertEqual(denied_by_lma_key(status), f"denied-by-lma/{name}")

    def test_sums(self) -> None:
        """128 to 130 are counted in "other" of their sub-reasons at the LMA, and directly at the MAG."""
        self.assertEqual(deny_key(128), "update-denied-unspecified-reason/other")
        self.assertEqual(deny_key(129), "update-denied-admin-prohibited-reasons/other")
        self.assertEqual(deny_key(130), "update-denied-insufficient-resource-reasons/other")
        self.assertEqual(denied_by_lma_key(129), "denied-by-lma/admin-prohibited")

    def test_every_denial_is_counted_once(self) -> None:
        """Any status from 128 to 255 makes the sum of the deny reasons grow by exactly one."""
        reasons = [row.key for row in LMA.rows if row.heading == "Binding Update Deny Reasons"]
        for status in range(128, 256):
            counters = CounterSet(LMA)
            counters.values[LMA.index(deny_key(status))] += 1
            self.assertEqual(sum(counters.value(key) for key in reasons), 1, status)
            self.assertEqual(MAG.rows[MAG.index(denied_by_lma_key(status))].kind, "event")

    def test_revocation(self) -> None:
        """RFC 5846 sections 5.1 and 5.2: triggers and statuses of a revocation have their rows."""
        triggers = ("unspecified", "administrative-reason", "inter-mag-handoff-same-att",
                    "inter-mag-handoff-diff-att", "inter-mag-unknown-handoff", "user-initiated-session-term",
                    "access-network-session-term", "out-of-sync-bce-state")  # fmt: skip
        policies = ((128, "per-peer-policy"), (129, "revoking-node-local-policy"))
        heading = "sent-revocation-trigger-reasons"
        for code, name in (*enumerate(triggers), *policies):
            self.assertEqual(LMA.status_key(heading, code), f"{heading}/{name}")
        statuses = ("binding-does-not-exist", "no-ipv4-hoa-bind", "global-revoc-not-authorized",
                    "revoc-mn-id-required", "revoc-failed-mn-attached", "trigger-not-supported",
                    "revoc-func-not-supported", "proxy-bind-rev-not-supported")  # fmt: skip
        heading = "received-revocation-ack-status"
        for code, name in ((0, "success"), (1, "partial-success"), *enumerate(statuses, 128)):
            self.assertEqual(LMA.status_key(heading, code), f"{heading}/{name}")
        self.assertIsNone(LMA.status_key("received-revocation-ack-status", 77))


class TableTest(SynchronousTestCase):
    """A table that is written down wrongly does not come into being."""

    def test_repeated_key(self) -> None:
        """Two rows with the same key are refused."""
        self.assertRaises(ValueError, Table, group("One", event("Same", "A."), event("same", "B.")))

    def test_unknown_part(self) -> None:
        """A sum of something that is no row is refused."""
        self.assertRaises(KeyError, Table, group("One", total("Sum", "A.", "one/other")))
        self.assertRaises(KeyError, Table, group("One", total("Sum", "A.", "two/*")))

    def test_nested_sum(self) -> None:
        """A sum of a sum counts what is below once."""
        rows = (
            *group("Top", total("All", "A.", "low/sum", "top/else"), event("Else", "B.")),
            *group("Low", total("Sum", "C.", "low/*"), event("One", "D."), extra("Two", "E.")),
        )
        counters = CounterSet(Table(rows))
        counters.values[:] = [100, 1, 100, 2, 4]
        self.assertEqual(counters.snapshot(), [7, 1, 6, 2, 4])
