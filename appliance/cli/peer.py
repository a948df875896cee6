"""Who is at the other end of the control socket, and what that user of this host may do."""

import grp
import os
import pwd
import socket
import struct

GROUP = "appliance"
"""Its members may attach."""


def identity(connection: socket.socket) -> tuple[int, int]:
    """Numbers of user and group of the process at the other end of a UNIX socket."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, gid = struct.unpack("3i", credentials)
    return uid, gid


def group_id() -> int | None:
    """Number of the group whose members may attach; ``None`` if this host has no such group."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def rights_of(uid: int, gid: int) -> str:
    """Privilege level of a user: root and whoever runs this process, members of the group; empty: none."""
    if uid in (0, os.geteuid()):
        return "security-administrator"
    wanted = group_id()
    if wanted is None:
        return ""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        member = gid == wanted
    else:
        member = wanted == gid or wanted in os.getgrouplist(user.pw_name, user.pw_gid)
    return "administrator" if member else ""


def user_name(uid: int) -> str:
    """Name of a user of this host, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
