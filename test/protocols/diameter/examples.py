"""A value for every AVP, and a message of every command with everything that its grammar has."""

from typing import Any

from appliance.protocols.diameter.message.codec import frame
from appliance.protocols.diameter.message.definitions import ANY, AvpDef, CommandDef, Rule
from appliance.protocols.diameter.message.dictionary import ANSWER_MESSAGE, Dictionary

#: A value of each type; some AVPs need another, because readers look inside.
VALUES: dict[str, Any] = {
    "OctetString": b"\1\2\3",
    "OctetString/address": bytes((192, 0, 2, 1)),
    "OctetString/prefix": bytes.fromhex("4020010db8000100020000000000000000"),
    "OctetString/text": b"text",
    "OctetString/secret": b"\xff\xfe\xfd",
    "UTF8String": "mn1@home.example",
    "DiameterIdentity": "host.example",
    "DiameterURI": "aaa://host.example;transport=tcp",
    "IPFilterRule": "permit in ip from any to any",
    "QoSFilterRule": "tag in ip from any to any",
    "Integer32": -5,
    "Integer64": -5,
    "Unsigned32": 7,
    "Unsigned64": 1 << 40,
    "Float32": 1.5,
    "Float64": 2.5,
    "Enumerated": 1,
    "Address": bytes.fromhex("20010db8000100000000000000000001"),
    "Time": 1795417200,
}
SPECIAL: dict[str, Any] = {
    "EAP-Payload": bytes.fromhex("0201000501"),
    "EAP-Reissued-Payload": bytes.fromhex("0201000501"),
    "MIP-Feature-Vector": 0x110,
    "Result-Code": 2001,
    "Auth-Request-Type": 3,
}


def value(avp: AvpDef) -> Any:
    """A value of an AVP that is not Grouped."""
    if avp.name in SPECIAL:
        return SPECIAL[avp.name]
    if avp.values and avp.type.name == "Enumerated":
        return next(iter(avp.values))
    return VALUES[avp.type.name]


def example(avp: AvpDef, dictionary: Dictionary, depth: int = 0) -> bytes:
    """The AVP, with every member that its grammar has if it is Grouped."""
    if avp.grouped:
        # Groups of anything have something.
        return avp.encode(members(avp.rules, dictionary, depth + 1) or [dictionary["Bandwidth"].encode(2.0)])
    return avp.encode(value(avp))


def members(rules: tuple[Rule, ...], dictionary: Dictionary, depth: int = 0) -> list[bytes]:
    """An AVP for each rule; at the depth where it becomes too much only for those that are required."""
    made = []
    for rule in rules:
        if rule.name == ANY or not rule.high or (depth > 3 and not rule.low):
            continue
        if (
            rule.name == "Acct-Application-Id"
            and any(each.name == "Auth-Application-Id" for each in rules)
            and depth
        ):
            continue  # Vendor-Specific-Application-Id has one of the two.
        made.append(example(dictionary[rule.name], dictionary, depth))
    return made


def message(command: CommandDef, dictionary: Dictionary) -> bytes:
    """A message with everything in it."""
    application = command.application
    if application is None:
        application = {271: 3, 265: 1, 268: 5}.get(command.code, 1 if command.proxiable else 0)
    body = members(command.rules, dictionary)
    for index, avp in enumerate(body):
        if avp[:4] in (b"\0\0\1\2", b"\0\0\1\3") and command.proxiable:
            body[index] = avp[:8] + application.to_bytes(4, "big")
    code = 257 if command.name == ANSWER_MESSAGE else command.code
    flags = (0x80 if command.request else 0) | (0x40 if command.proxiable else 0)
    flags = 0x20 if command.name == ANSWER_MESSAGE else flags
    return frame(code, application, flags, 0x01020304, 0x05060708, b"".join(body))


def all_messages(dictionary: Dictionary) -> dict[str, bytes]:
    """One of each command and application."""
    made = {}
    for application in (None, *dictionary.applications):
        for command in dictionary.commands.values():
            code, request = command.code, command.request
            found = command if application is None else dictionary.command(code, request, application)
            if found is not None and found.application == application:
                made[f"{found.name} {application or ''}".strip()] = message(found, dictionary)
    return made
