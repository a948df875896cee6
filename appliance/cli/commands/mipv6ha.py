"""Exec commands of ``mipv6ha-service``: statistics, settings and bindings of the home agents."""

from appliance.cli.commands.pmipv6 import declare

declare("mipv6ha")
