"""Messages with faults, and what is found in them."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Avp, Message, cut, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import Fault, check

D = standard()
AAA, LMA, REALM = "aaa1.home.example", "lma1.home.example", "home.example"
R, P, E, T = 0x80, 0x40, 0x20, 0x10


def avp(name: str, value: object) -> bytes:
    return D[name].encode(value)


def raw(code: int, flags: int, data: bytes, vendor: int = 0, size: int | None = None) -> bytes:
    """An AVP with any header."""
    head = 12 if flags & 0x80 else 8
    size = head + len(data) if size is None else size
    front = code.to_bytes(4, "big") + (flags << 24 | size).to_bytes(4, "big")
    return front + (vendor.to_bytes(4, "big") if head == 12 else b"") + data + b"\0" * (-len(data) & 3)


ORIGIN = (avp("Origin-Host", LMA), avp("Origin-Realm", REALM))
CER = (
    *ORIGIN, avp("Host-IP-Address", bytes((10, 0, 0, 1))), avp("Vendor-Id", 0), avp("Product-Name", "test"),
)  # fmt: skip
ACR = (
    avp("Session-Id", "lma1.home.example;3973075200;1"), *ORIGIN, avp("Destination-Realm", REALM),
    avp("Accounting-Record-Type", 2), avp("Accounting-Record-Number", 0), avp("Acct-Application-Id", 3),
)  # fmt: skip


def message(code: int, *avps: bytes, flags: int = R, application: int = 0) -> Message:
    return Message(frame(code, application, flags, 1, 2, b"".join(avps)))


def acr(*avps: bytes, flags: int = R | P, application: int = 3) -> Message:
    return message(271, *avps, flags=flags, application=application)


class Case(SynchronousTestCase):
    def failed(self, fault: Fault) -> list[Avp]:
        """What is in the Failed-AVP."""
        outside = cut(fault.failed)
        self.assertEqual([each.code for each in outside], [279])
        return cut(outside[0].data)

    def found(self, faulty: Message, result: int, *failed: bytes, strict_bits: bool = False) -> Fault:
        fault = check(faulty, D, strict_bits)
        assert fault is not None, "nothing was found"
        self.assertEqual(fault.result, result, fault.text)
        self.assertTrue(fault.text)
        if failed:
            self.assertEqual(fault.failed.hex(), D["Failed-AVP"].encode(failed).hex(), fault.text)
        else:
            self.assertEqual(fault.failed, b"")
        return fault
