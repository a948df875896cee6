"""Configuration commands about operators: users, log-in, the SSH server, banners.

``local-user username`` follows the StarOS command reference. Its other two commands, ``server sshd``,
``listen``, ``max servers``, ``authorized-key`` and ``banner pre-login`` are named from general knowledge
of StarOS or by us; no manual page of them was read.
"""

from appliance.cli.commands.configuration import CONTEXT, ROOT, SSHD
from appliance.cli.grammar import setting
from appliance.config_tree import factory_value, limits
from appliance.management import LEVELS, Management, SshServer, User

#: What only a security administrator may change.
SECURITY = "security-administrator"

#: Types of public keys, as OpenSSH writes them.
KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


def _users() -> None:
    words = {
        "local-user": "Administrative users and their log-in",
        "username": "Name of the user, case sensitive",
        "authorization-level": "What the user may do; factory value operator",
        "level": "inspector: a few views; operator: all views; administrator: configuration; "
        "security-admin: users too",
        "timeout-min-absolute": "Longest session",
        "timeout_min_absolute": "Minutes; factory value 0: no limit",
        "timeout-min-idle": "Longest time without a key",
        "timeout_min_idle": f"Minutes; 0: no limit; factory value {factory_value(User, 'timeout_min_idle')}",
        "no-lockout-login-failure": "Failed log-ins never lock this user out",
        "encrypted": "The password is given as the hash that 'show configuration' prints",
        "password": "Password of the user; it is kept as a hash only",
        "encrypted_password": "Hash of a password",
        "nopassword": "No log-in by password, only by an authorized key",
        "max-failed-logins": "Failed log-ins in a row that lock a user out",
        "max_failed_logins": f"Log-ins; factory value {factory_value(Management, 'max_failed_logins')}",
        "lockout-time": "How long a user is locked out",
        "lockout_time": f"Minutes; factory value {factory_value(Management, 'lockout_time')}",
    }
    setting(
        ROOT,
        "local-user",
        "local-user username <username:NAME 3-16>"
        f" [ authorization-level <level:{'|'.join(LEVELS)}> ]"
        " [ timeout-min-absolute <timeout_min_absolute:NUMBER> ]"
        " [ timeout-min-idle <timeout_min_idle:NUMBER> ] [ no-lockout-login-failure ]"
        " { password <password:SECRET> | encrypted password <encrypted_password:SECRET 1-255> | nopassword }",
        keys=("username",),
        no="local-user username <username:NAME 3-16>",
        help=words,
        ranges=limits(User),
        rights=SECURITY,
    )
    for word in ("max-failed-logins", "lockout-time"):
        path = word.replace("-", "_")
        setting(
            ROOT,
            path,
            f"local-user {word} <{path}:NUMBER>",
            default=f"local-user {word}",
            help=words,
            ranges=limits(Management),
            rights=SECURITY,
        )


def _banners() -> None:
    for word, path, text in (
        ("motd", "banner", "Text shown after log-in"),
        ("pre-login", "banner_pre_login", "Text shown before an SSH client is asked who it is"),
    ):
        setting(
            ROOT,
            path,
            f"banner {word} <{path}:STRING 1-255>",
            no=f"banner {word}",
            default=f"banner {word}",
            help={"banner": "Texts for whoever logs in", word: text, path: "The text, in double quotes"},
        )


def _sshd() -> None:
    setting(
        CONTEXT,
        "server sshd",
        "server sshd",
        enters=SSHD,
        no="server sshd",
        help={"server": "Servers for operators", "sshd": "SSH log-in; only in the context local"},
        rights=SECURITY,
    )
    syntax = "listen <address:ADDRESS> [ port <port:NUMBER 1-65535> ]"
    setting(
        SSHD,
        "listen",
        syntax,
        keys=("address", "port"),
        no=syntax,
        help={
            "listen": "Address to take log-ins at; without any such line :: (all addresses)",
            "address": "IPv4 or IPv6 address of this host, 0.0.0.0 or ::",
            "port": "TCP port; factory value 22",
        },
        rights=SECURITY,
    )
    setting(
        SSHD,
        "max_servers",
        "max servers <max_servers:NUMBER>",
        default="max servers",
        help={
            "max": "Limits",
            "servers": "Most SSH sessions at a time",
            "max_servers": f"1 to 128; factory value {factory_value(SshServer, 'max_servers')}",
        },
        ranges=limits(SshServer),
        rights=SECURITY,
    )
    setting(
        SSHD,
        "authorized-key",
        f"authorized-key username <username:NAME 3-16> type <type:{'|'.join(KEY_TYPES)}>"
        " key <key:STRING 16-4000>",
        keys=("username", "key"),
        no="authorized-key username <username:NAME 3-16> key <key:STRING 16-4000>",
        help={
            "authorized-key": "Public key that a user logs in with",
            "username": "Name of a local-user",
            "type": "First word of the public key file",
            "key": "The public key in base64: second word of the public key file",
        },
        rights=SECURITY,
    )


for _declare in (_users, _banners, _sshd):
    _declare()
