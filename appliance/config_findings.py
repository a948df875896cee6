"""What an audit of a configuration finds: one line each."""

from attrs import frozen

ERROR, WARNING, INFO = "Error", "Warning", "Info"


@frozen
class Finding:
    """One line of the audit."""

    section: str
    severity: str
    text: str
