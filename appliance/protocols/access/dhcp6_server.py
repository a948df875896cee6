"""A delegating router (RFC 8415 sections 6.3 and 18.3), without any I/O: prefixes for requesting routers.

::

    Solicit ─▶ Advertise, or with Rapid Commit ─▶ Reply
    Request, Renew, Rebind, Release ─▶ Reply          each alone, or inside Relay-forward ─▶ Relay-reply

Where prefixes come from, and who has which, is the business of a :class:`Source`; it is made for one asker at
one moment. There are no addresses here: who asks for them is told so.
"""

from collections.abc import Callable
from typing import Protocol

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcpv6 import Association, Leased, Message, Prefix, Relayed
from appliance.protocols.bits import DecodeError

#: Associations that are looked at in one message.
ASSOCIATIONS = 8
#: Prefixes of one association that are looked at; each may cost a search.
WISHES = 4
_ADDRESSES = {dhcp.IA_NA: 12, dhcp.IA_TA: 4}


class Source(Protocol):
    """The prefixes of one asker; ``client`` is its DUID, ``iaid`` names one set of its prefixes."""

    valid: int
    """Seconds for which a prefix is leased."""

    def held(self, client: bytes, iaid: int) -> tuple[Prefix, ...]:
        """What is leased now."""

    def offer(self, client: bytes, iaid: int, wanted: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
        """What :meth:`lease` would give; nothing is kept for the asker."""

    def lease(
        self, client: bytes, iaid: int, wanted: tuple[Prefix, ...], exactly: bool
    ) -> tuple[Prefix, ...]:
        """Lease prefixes, or extend what is leased; ``exactly``: those that are wanted, or none."""

    def release(self, client: bytes, iaid: int) -> bool:
        """Take back what is leased; False: nothing is."""


class PrefixServer:
    """Answers messages; ``duid`` is the server's own."""

    __slots__ = ("_duid",)

    def __init__(self, duid: bytes) -> None:
        self._duid = duid

    def answer(self, data: bytes, source: Source) -> bytes | None:
        """The message that answers one; ``None``: it gets none (RFC 8415 section 16).

        Raises DecodeError for octets that are wrong.
        """
        return self._answer(data, source, dhcp.HOPS)

    def _answer(self, data: bytes, source: Source, hops: int) -> bytes | None:
        message = dhcp.decode(data)
        if isinstance(message, Message):
            reply = self._reply(message, source)
            return None if reply is None else dhcp.encode(reply)
        # Section 19.3: the way back is what each relay agent has written down.
        inner = message.first(dhcp.RELAY_MESSAGE)
        if message.kind != dhcp.RELAY_FORWARD or inner is None or not hops:
            return None
        answer = self._answer(inner, source, hops - 1)
        if answer is None:
            return None
        options = [(dhcp.RELAY_MESSAGE, answer)]
        link = message.first(dhcp.INTERFACE_ID)
        if link is not None:
            options.insert(0, (dhcp.INTERFACE_ID, link))
        return dhcp.encode(Relayed(dhcp.RELAY_REPLY, message.hops, message.link, message.peer, options))

    def _reply(self, message: Message, source: Source) -> Message | None:
        handler = _HANDLERS.get(message.kind)
        if handler is None:
            # Section 18.3: the rest is about addresses, or not for servers.
            return None
        answer, names_server, wants_client = handler
        client, server = message.first(dhcp.CLIENT_ID), message.first(dhcp.SERVER_ID)
        # Section 16: who must name the server names this one, and who asks all of them names none.
        if (names_server is not False and server not in (None, self._duid)) or (
            names_server is not None and (server is not None) != names_server
        ):
            return None
        if client is None and wants_client:
            return None
        if client is not None and not dhcp.SHORTEST_DUID <= len(client) <= dhcp.LONGEST_DUID:
            return None
        reply = Message(dhcp.REPLY, message.transaction, [(dhcp.SERVER_ID, self._duid)])
        if client is not None:
            reply.options.append((dhcp.CLIENT_ID, client))
        return reply if answer(message, client or b"", reply, source) else None


def _associations(message: Message) -> list[Association]:
    found = [dhcp.association(data) for code, data in message.options if code == dhcp.IA_PD]
    return found[:ASSOCIATIONS]


def _wanted(asked: Association) -> tuple[Prefix, ...]:
    """The prefixes that a client names; one that is all zero only says how long it should be."""
    return tuple((each.prefix, each.length) for each in asked.prefixes[:WISHES] if any(each.prefix))


def _given(asked: Association, prefixes: tuple[Prefix, ...], source: Source) -> Association:
    """Section 14.2: T1 and T2 are half and four fifths of the shortest preferred lifetime."""
    valid = source.valid
    leased = [Leased(prefix, length, valid, valid) for prefix, length in prefixes]
    if not leased:
        return Association(asked.iaid, status=dhcp.NO_PREFIXES)
    return Association(asked.iaid, valid // 2, valid * 4 // 5, leased)


def _no_addresses(message: Message, reply: Message, code: int) -> None:
    for kind, data in message.options:
        size = _ADDRESSES.get(kind)
        if size is None:
            continue
        if len(data) < size:
            raise DecodeError("identity association cut short")
        head = data[:4] + bytes(size - 4)
        reply.options.append((kind, head + dhcp.pack([dhcp.status(code)])))


def _solicit(message: Message, client: bytes, reply: Message, source: Source) -> bool:
    """Section 18.3.1."""
    rapid = message.first(dhcp.RAPID_COMMIT) is not None
    if rapid:
        reply.options.append((dhcp.RAPID_COMMIT, b""))
    else:
        reply.kind = dhcp.ADVERTISE
    for asked in _associations(message):
        wanted = _wanted(asked)
        if rapid:
            prefixes = source.lease(client, asked.iaid, wanted, exactly=False)
        else:
            prefixes = source.offer(client, asked.iaid, wanted)
        reply.options.append(dhcp.pack_association(_given(asked, prefixes, source)))
    _no_addresses(message, reply, dhcp.NO_ADDRESSES)
    return True


def _request(message: Message, client: bytes, reply: Message, source: Source) -> bool:
    """Section 18.3.2."""
    for asked in _associations(message):
        prefixes = source.lease(client, asked.iaid, _wanted(asked), exactly=False)
        reply.options.append(dhcp.pack_association(_given(asked, prefixes, source)))
    _no_addresses(message, reply, dhcp.NO_ADDRESSES)
    return True


def _renew(message: Message, client: bytes, reply: Message, source: Source) -> bool:
    """Sections 18.3.4 and 18.3.5: a binding that is not known is made again if its prefixes are free.

    So that requesting routers keep their prefixes when the server has started anew.
    """
    for asked in _associations(message):
        known = source.held(client, asked.iaid)
        prefixes = source.lease(client, asked.iaid, _wanted(asked), exactly=not known)
        if prefixes:
            made = _given(asked, prefixes, source)
            # What the client has and may not keep gets lifetimes of zero.
            made.prefixes += [Leased(*pair) for pair in _wanted(asked) if pair not in prefixes]
        else:
            made = Association(asked.iaid, status=dhcp.NO_BINDING)
        reply.options.append(dhcp.pack_association(made))
    _no_addresses(message, reply, dhcp.NO_BINDING)
    return True


def _release(message: Message, client: bytes, reply: Message, source: Source) -> bool:
    """Section 18.3.7."""
    reply.options.append(dhcp.status(dhcp.SUCCESS))
    for asked in _associations(message):
        if not source.release(client, asked.iaid):
            unknown = Association(asked.iaid, status=dhcp.NO_BINDING)
            reply.options.append(dhcp.pack_association(unknown))
    _no_addresses(message, reply, dhcp.NO_BINDING)
    return True


def _inform(message: Message, client: bytes, reply: Message, source: Source) -> bool:
    """Section 18.3.6: there is nothing to tell; a message with associations is discarded (16.12)."""
    return not any(code in (dhcp.IA_NA, dhcp.IA_TA, dhcp.IA_PD) for code, _ in message.options)


Handler = Callable[[Message, bytes, Message, Source], bool]
#: By message type: who answers, whether the message names the server (``None``: it may), whether it needs a
#: client's DUID.
_HANDLERS: dict[int, tuple[Handler, bool | None, bool]] = {
    dhcp.SOLICIT: (_solicit, False, True),
    dhcp.REQUEST: (_request, True, True),
    dhcp.RENEW: (_renew, True, True),
    dhcp.REBIND: (_renew, False, True),
    dhcp.RELEASE: (_release, True, True),
    dhcp.INFORMATION_REQUEST: (_inform, None, False),
}
