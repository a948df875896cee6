"""Drives an appliance with Cisco's automation plugin for StarOS; run by the Python that has it.

``unicon_session.py HOSTNAME COMMAND``: COMMAND logs in, for example ``ssh -tt ... user@host``. Prints one
JSON object. What the plugin expects of prompts, failures and the monitor's screen is its own.
"""

import json
import logging
import sys

from unicon import Connection
from unicon.core.errors import SubCommandFailure


def main(hostname: str, command: str) -> None:
    """Log in, show, configure, fail, monitor, and log out."""
    device = Connection(hostname=hostname, start=[command], os="staros", log_stdout=False, log_buffer=True)
    logging.getLogger(device.log.name).setLevel(logging.CRITICAL)
    device.connect()
    found = {"statistics": device.execute("show lma-service statistics")}
    try:
        device.execute("show nonsense")
        found["failure"] = ""
    except SubCommandFailure as error:
        found["failure"] = str(error)
    found["configure"] = device.configure(["context anchor", "lma-service lma1", "reg-lifetime 1234"])
    try:
        device.configure(["context anchor", "lma-service lma1", "reg-lifetime 0"])
        found["refused"] = ""
    except SubCommandFailure as error:
        found["refused"] = str(error)
    found["configuration"] = device.execute("show configuration")
    device.monitor("monitor protocol")
    states = device.monitor.monitor_state
    found["monitor"] = {name: each["state"] for name, each in states.items() if "state" in each}
    device.monitor("", verbosity_level=3)
    found["verbosity"] = states["verbosity_level"]["state"]
    device.monitor.stop()
    found["clock"] = device.execute("show clock")
    device.disconnect()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
