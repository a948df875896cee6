"""Keys of the SSH server: the host key in the state directory, and the public keys of users."""

import base64
import binascii
import contextlib
import os
import stat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh import keys
from twisted.conch.ssh.common import getNS

from appliance.errors import ApplianceError, ResourceError

HOST_KEY = "ssh_host_ed25519_key"
FILE_LIMIT = 16_384
RSA_BITS = 2048, 8192
"""Shortest and longest RSA key of a user."""

#: Signature algorithms that users may log in with, in order of preference, and the type of key of each.
USER_ALGORITHMS: dict[bytes, bytes] = {
    b"ssh-ed25519": b"ssh-ed25519",
    b"ecdsa-sha2-nistp256": b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384": b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521": b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512": b"ssh-rsa",
    b"rsa-sha2-256": b"ssh-rsa",
}


def host_key(directory: str | Path) -> Any:
    """The host key of this state directory, made at the first call.

    It reads or writes a file and makes a key: call it in a thread. Raises :class:`ResourceError` for
    a file that is damaged, that others than its owner can read, or that cannot be written.
    """
    path = Path(directory) / HOST_KEY
    advice = "remove it and a new one is made at the next start, with which clients will not be familiar"
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path)
            return _read(path)
    except OSError as error:
        raise ResourceError(f"SSH host key {path}: {error.strerror}; {advice}") from error
    except ResourceError as error:
        raise ResourceError(f"SSH host key {path}: {error}") from error
    except (keys.BadKeyError, keys.EncryptedKeyError, ValueError, TypeError, IndexError) as error:
        raise ResourceError(
            f"SSH host key {path}: not an Ed25519 private key as OpenSSH writes it, without a pass phrase; "
            f"restore it, or {advice}"
        ) from error


def _read(path: Path) -> Any:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(file, "rb") as stream:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ResourceError("not a plain file; remove it")
        if status.st_uid not in (0, os.geteuid()):
            raise ResourceError(f"it belongs to user {status.st_uid}; give it to who runs the appliance")
        if status.st_mode & 0o077:
            raise ResourceError(f"mode {status.st_mode & 0o777:04o} is too open; chmod 600 it")
        key = keys.Key.fromString(stream.read(FILE_LIMIT))
    if key.type() != "Ed25519" or key.isPublic():
        raise ValueError("wrong type of key")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all."""
    text = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(file)
    os.rename(new, path)


def fingerprint(key: Any) -> str:
    """``SHA256:...``, as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + str(key.fingerprint(keys.FingerprintFormats.SHA256_BASE64)).rstrip("=")


def public_key(line: str) -> tuple[str, str]:
    """Type and base64 of a public key line as OpenSSH writes it, options in front and remarks behind cut off.

    Raises :class:`ApplianceError` for a key that is damaged, or that the server would not accept.
    """
    words = line.split()
    known = {kind.decode() for kind in USER_ALGORITHMS.values()}
    for kind, text in zip(words, words[1:], strict=False):
        if kind in known:
            load_public_key(f"{kind} {text}")
            return kind, text
    raise ApplianceError(f"not a public key of type {', '.join(sorted(known))}")


def blob_of(line: str) -> bytes:
    """The octets of a ``TYPE BASE64`` line; empty if it is damaged."""
    try:
        return base64.b64decode(line.split()[1], validate=True)
    except (binascii.Error, IndexError, ValueError):
        return b""


def load_public_key(line: str) -> Any:
    """The key of a ``TYPE BASE64`` line.

    Raises :class:`ApplianceError`: damaged, of a type that is not accepted, or RSA of the wrong length.
    """
    kind, blob = line.split(" ", 1)[0].encode(), blob_of(line)
    if kind not in USER_ALGORITHMS.values():
        raise ApplianceError(f"keys of type {kind.decode(errors='replace')} are not accepted")
    try:
        if getNS(blob)[0] != kind:
            raise ValueError("another type")
        key = keys.Key.fromString(blob, "blob")
        size = key.size()
    except Exception as error:
        # Conch raises whatever its parts raise.
        raise ApplianceError(f"the {kind.decode()} key is damaged") from error
    if kind == b"ssh-rsa" and not RSA_BITS[0] <= size <= RSA_BITS[1]:
        raise ApplianceError(f"RSA keys of {RSA_BITS[0]} to {RSA_BITS[1]} bits are accepted, not of {size}")
    return key


def is_signed(line: str, algorithm: bytes, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` (type and octets) of ``data`` was made with the key of a line by an algorithm.

    The signature has to name the algorithm that was announced: an RSA key must not slip in a SHA-1 one.
    """
    try:
        if getNS(signature)[0] != algorithm:
            return False
        return bool(load_public_key(line).verify(signature, data))
    except Exception:  # noqa: BLE001 - a stranger's octets; any way in which they are wrong is a no
        return False
