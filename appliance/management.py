"""Who may manage the appliance and how they reach it, as the configuration says. Data only.

Numbers carry their default, range and unit as in ``protocols/pmipv6/settings.py``. The words of
``local-user`` are the StarOS command reference's; those of ``server sshd`` are ours.
"""

from attrs import define

from appliance.protocols.setting_fields import number

#: Privilege levels, least first.
RIGHTS = ("inspector", "operator", "administrator", "security-administrator")

#: What ``local-user ... authorization-level`` calls them.
LEVELS = {
    "inspector": "inspector",
    "operator": "operator",
    "administrator": "administrator",
    "security-admin": "security-administrator",
}


@define(slots=True, kw_only=True, frozen=True)
class User:
    """``local-user username NAME``: one administrative user."""

    username: str
    rights: str = "operator"
    """One of ``RIGHTS``."""
    password: str = ""
    """Hash as ``cli/passwords.py`` writes it; empty: no log-in by password."""
    timeout_min_absolute: int = number(0, 0, 525_600, "minutes")
    """Longest session; 0: no limit."""
    timeout_min_idle: int = number(60, 0, 525_600, "minutes")
    """Longest time without a key or a command; 0: no limit."""
    lockout: bool = True
    """False (``no-lockout-login-failure``): failed log-ins never lock this user out."""
    keys: tuple[str, ...] = ()
    """``authorized-key`` lines of this user: ``TYPE BASE64``, as OpenSSH writes public keys."""


@define(slots=True, kw_only=True, frozen=True)
class SshServer:
    """``server sshd`` of the context ``local``."""

    listeners: tuple[tuple[str, int], ...] = (("::", 22),)
    """Address as text and TCP port of each ``listen`` line; ``::`` takes IPv4 too."""
    max_servers: int = number(32, 1, 128)
    """Most SSH sessions at a time."""


@define(slots=True, kw_only=True, frozen=True)
class Management:
    """Everything about operators."""

    users: tuple[User, ...] = ()
    ssh: SshServer | None = None
    """``None``: no SSH server."""
    max_failed_logins: int = number(5, 2, 500)
    """Failed log-ins in a row that lock a user (and a source address) out."""
    lockout_time: int = number(60, 1, 10_080, "minutes")
    banner: str = ""
    """``banner motd``: shown after log-in."""
    banner_pre_login: str = ""
    """``banner pre-login``: shown before authentication."""

    def user(self, name: str) -> User | None:
        """The user of that name (names are case sensitive)."""
        return next((user for user in self.users if user.username == name), None)
