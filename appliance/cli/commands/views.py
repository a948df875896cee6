"""Everything that shows and does not configure: importing this registers all of its commands."""

from appliance.cli.commands import health, logs, network, probes, subscribers, system

__all__ = ["health", "logs", "network", "probes", "subscribers", "system"]
