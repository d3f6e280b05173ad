"""What runs count where no agent does: the counters of `live_metrics`, added up on the server of the streams.

Belongs here: how counters of a process that ends are kept. Does not belong here: what is counted (`live_metrics`),
the page that shows it (`motion_figures`). Gauges and histograms are not kept: they say nothing once their process has
ended.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import redis.asyncio as redis

from resources.live_metrics import LiveMetrics
from resources.stream import KEYS, asked

COUNTS = f"{KEYS}:runs"
"""Hash of whole numbers; a field is JSON of a counter's name and labels."""


_ADD = """
for place = 1, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[place], ARGV[place + 1]) end
"""


class Count(NamedTuple):
    """A counter as it stands.

    Attributes:
        name: of the metric, without `_total`.
        labels: by name.
        value: how often.
    """

    name: str
    labels: dict[str, str]
    value: int


def counted(metrics: LiveMetrics) -> Iterator[Count]:
    """The counters of a process that are not 0."""
    for metric in metrics.registry.collect():
        for sample in metric.samples if metric.type == "counter" else ():
            if sample.name.endswith("_total") and sample.value:
                yield Count(metric.name, dict(sample.labels), int(sample.value))


async def add(client: "redis.Redis", metrics: LiveMetrics) -> None:
    """Adds what a process counted to what others did, all of it or nothing.

    Raises:
        StreamUnreachable: if the server does not answer.
    """
    words: list[bytes | int] = []
    for count in counted(metrics):
        words += [msgspec.json.encode((count.name, count.labels), order="sorted"), count.value]
    if words:
        await asked(client.register_script(_ADD)(keys=[COUNTS], args=words))


async def read(client: "redis.Redis") -> list[Count]:
    """What all runs counted so far.

    Raises:
        StreamUnreachable: if the server does not answer.
    """
    found: dict[bytes, bytes] = await asked(client.hgetall(COUNTS))
    told = ((msgspec.json.decode(field), int(value)) for field, value in sorted(found.items()))
    return [Count(name, labels, value) for (name, labels), value in told]
