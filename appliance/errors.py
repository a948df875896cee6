"""The base errors of the appliance.

An error names what happened, where, and what to do about it. Everything that is
raised on purpose inherits from :class:`ApplianceError`, so that one place can turn
it into a ``Failure:`` line.
"""


class ApplianceError(Exception):
    """Something an operator or a peer has to be told about, in one line of text."""


class ConfigurationError(ApplianceError):
    """A configuration line or tree that cannot be accepted."""


class ResourceError(ApplianceError):
    """Something of the host is missing: a capability, a device, an address, a port.

    The text says what is missing and how to give it.
    """
