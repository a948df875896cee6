"""The users that a Mobile AAA server knows, from its configuration and from users files.

A user is looked for by the whole NAI, in the configuration first, then in the file of the realm; then the
default of the realm (``*@realm``) in the same order. Realms are compared without case, user parts with it.
"""

from appliance.aaa.settings import AaaServerSettings, User
from appliance.protocols.diameter.message.types import fold


def realm_of(nai: str) -> str:
    """The folded realm of an NAI, behind its last ``@`` (RFC 7542 section 2.2); empty: it has none."""
    return fold(nai.rpartition("@")[2]) if "@" in nai else ""


def fold_nai(nai: str) -> str:
    """The form in which NAIs are compared."""
    name, at, realm = nai.rpartition("@")
    return f"{name}@{fold(realm)}" if at else nai


class Users:
    """All users of one server."""

    def __init__(self, settings: AaaServerSettings) -> None:
        self._files: dict[str, dict[str, User]] = {}
        self.configure(settings)

    def configure(self, settings: AaaServerSettings) -> None:
        """Go on by other settings; what was loaded of realms that stay is kept."""
        self.realms = frozenset(fold(realm.name) for realm in settings.realms)
        self._configured = {fold_nai(user.nai): user for user in settings.users}
        files = {fold(realm.name) for realm in settings.realms if realm.users_file}
        self._files = {realm: users for realm, users in self._files.items() if realm in files}

    def load(self, realm: str, users: dict[str, User]) -> None:
        """Take the users of a realm's file, instead of those that it had."""
        self._files[fold(realm)] = users

    def find(self, nai: str) -> User | None:
        """The user with this NAI; ``None``: unknown, or not of one of our realms."""
        exact = self._configured.get(nai)
        if exact is not None and nai.rpartition("@")[2] in self.realms:
            return exact
        folded = fold_nai(nai)
        realm = folded.rpartition("@")[2] if "@" in folded else ""
        if realm not in self.realms:
            return None
        configured, loaded = self._configured, self._files.get(realm, {})
        for name in (folded, f"*@{realm}"):
            found = configured.get(name) or loaded.get(name)
            if found is not None:
                return found
        return None

    def configured(self, nai: str) -> bool:
        """Whether the configuration has an entry of that (folded) name."""
        return nai in self._configured

    def counts(self) -> dict[str, int]:
        """How many users each realm has."""
        counts = {realm: len(self._files.get(realm, {})) for realm in sorted(self.realms)}
        for name in self._configured:
            realm = realm_of(name)
            if realm in counts:
                counts[realm] += name not in self._files.get(realm, {})
        return counts

    def listed(self, realm: str = "") -> list[User]:
        """The users of one realm, or of all, in their order; the configuration's come first."""
        wanted = fold(realm)
        found = [user for name, user in self._configured.items() if not wanted or realm_of(name) == wanted]
        for each, users in self._files.items():
            if not wanted or each == wanted:
                found.extend(user for name, user in users.items() if name not in self._configured)
        return found
