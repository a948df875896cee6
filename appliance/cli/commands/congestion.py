"""``show congestion-control``: whether there is too much to do, of what, since when."""

from collections.abc import Iterator
from typing import Any

from attrs import asdict, define

from appliance.cli import ours
from appliance.cli.commands.base import date_line
from appliance.cli.grammar import command
from appliance.cli.render import Column, PairsScreen, Screen, TableScreen, TextScreen
from appliance.ports_load import CongestionView

HELP = {"congestion-control": "Whether the anchors have too much to do"}


@define(slots=True)
class CongestionScreen:
    """Pairs and a table of thresholds for each anchor."""

    views: list[CongestionView]

    def lines(self, width: int) -> Iterator[str]:
        """Yield each anchor's lines."""
        for number, view in enumerate(self.views):
            if number:
                yield ""
            yield from PairsScreen(_pairs(view)).lines(width)
            yield ""
            yield from _table(view).lines(width)

    def data(self) -> list[dict[str, Any]]:
        """Return one object for each anchor."""
        return [{**asdict(view), "congested": _congested(view)} for view in self.views]


def _congested(view: CongestionView) -> bool:
    return any(figure.since is not None for figure in view.figures)


def _pairs(view: CongestionView) -> list[tuple[str, str]]:
    return [
        (f"{ours.TITLES[view.kind]} Service", view.service),
        ("Congestion Control", "Enabled" if view.enabled else "Disabled"),
        ("Policy Action", view.action),
        ("State", "Congested" if _congested(view) else "Cleared"),
        ("Tolerance", f"{view.tolerance} %"),
        ("Message Queue Wait Time", f"{view.wait_time} ms"),
        ("Messages Dropped", str(view.dropped)),
        ("Messages Refused", str(view.refused)),
    ]


def _table(view: CongestionView) -> TableScreen:
    return TableScreen(
        (
            Column("Of", "name"), Column("Now", "value", right=True),
            Column("Threshold", "threshold", right=True), Column("Entered", "entered", right=True),
            Column("Congested Since", "since"),
        ),
        [
            (
                each.name, f"{each.value} {each.unit}",
                f"{each.threshold} {each.unit}" if each.threshold else "none", each.entered,
                "" if each.since is None else date_line(each.since),
            )
            for each in view.figures
        ],
        empty="",
    )  # fmt: skip


@command("exec", "show congestion-control", help=HELP)
def _show(shell: Any, _args: dict[str, Any]) -> Screen:
    found = [view for service in shell.system.services() if (view := service.congestion()) is not None]
    if found:
        return CongestionScreen(found)
    return TextScreen(["No lma-service and no mipv6ha-service is configured"], [])
