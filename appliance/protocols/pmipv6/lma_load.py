"""The load that an anchor tells its gateways (RFC 6463 section 4.3): real figures, a second old at most."""

from appliance.counters import CounterSet
from appliance.protocols.mobility.options import LoadInformation
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Seconds over which the throughput is taken.
SPAN = 1.0
MOST = 0xFFFF_FFFF


class Load(Feature):
    """Puts a Load Information option into every acknowledgement."""

    def __init__(self, settings: LmaSettings, counters: CounterSet, sessions: Sessions) -> None:
        self._sessions = sessions
        self._values = counters.values
        self._rows = [
            place
            for place, row in enumerate(counters.table.rows)
            if row.key.startswith(("tunnel-data-received/total-bytes/", "tunnel-data-sent/total-bytes/"))
            and row.kind != "sum"
        ]
        self._since: float | None = None
        self._octets = 0
        self._rate = 0
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._settings = settings
        self.watches = settings.load_information

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Tell it, or do not, from now on."""
        self._take(settings)

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Any acknowledgement may have it."""
        if self.watches:
            request.answer_options.append(self.option(now))

    def option(self, now: Now) -> LoadInformation:
        """The load as it is."""
        settings = self._settings
        return LoadInformation(
            settings.load_priority,
            len(self._sessions.cache),
            settings.max_subscribers,
            self._throughput(now),
            settings.load_capacity,
        )

    def _throughput(self, now: Now) -> int:
        """Kilobytes a second in both directions, outer headers included, since the figure before this one."""
        since = self._since
        if since is None or now.mono - since >= SPAN:
            octets = sum(self._values[place] for place in self._rows)
            if since is not None:
                # Counters may have been cleared.
                rate = max(0, octets - self._octets) / (now.mono - since) / 1000
                self._rate = min(MOST, round(rate))
            self._since, self._octets = now.mono, octets
        return self._rate
