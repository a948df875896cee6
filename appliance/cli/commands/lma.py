"""Exec commands of ``lma-service``: statistics, settings and sessions of the anchors."""

from appliance.cli.commands.pmipv6 import declare

declare("lma")
