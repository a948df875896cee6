"""Exec commands of ``mag-service``: statistics, settings and sessions of the gateways."""

from appliance.cli.commands.pmipv6 import declare

declare("mag")
