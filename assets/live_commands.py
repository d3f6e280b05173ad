"""Commands of the live path: the agent, a log sent as if it happened now, and what was refused.

Belongs here: arguments, tables for people, the life of a process. Does not belong here: what the agent does
(`resources.agent`), when an event is sent (`resources.replay`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from resources.errors import ResourceError

console = Console(markup=False, highlight=False)
dlq = typer.Typer(no_args_is_help=True, help="Entries of the event streams that could not be taken.")

T = TypeVar("T")
Ids = Annotated[list[str] | None, typer.Argument(help="Ids in the dlq, as `list` prints them; or --all.")]
All = Annotated[bool, typer.Option("--all", help="Every entry there is now.")]


def agent(
    port: Annotated[
        int, typer.Option(help="Port of /metrics, /healthz, /readyz; 0 for none.", min=0, max=65535)
    ] = 9465,
    host: Annotated[str, typer.Option(help="Address of these pages; nobody is asked who reads them.")] = "127.0.0.1",
) -> None:
    """Turn canonical events into signals as they come, until SIGTERM."""
    from resources.agent import Agent
    from resources.logs import to_stderr
    from resources.registry import ModelRegistry
    from resources.settings import settings
    from resources.shard_worker import Models

    to_stderr()
    environment = settings()
    registry = ModelRegistry(environment.tracking_uri, artifact_root=environment.mlflow_home / "artifacts")
    models = Models(registry.champion, registry.of_version)

    async def work() -> None:
        client = _client()
        try:
            await Agent(client, models, environment.hitl_conf_threshold).run(host=host, port=port or None)
        finally:
            await client.aclose()

    _run(work)


def metrics(
    port: Annotated[int, typer.Option(help="Port of /metrics, /healthz, /readyz.", min=0, max=65535)] = 9466,
    host: Annotated[str, typer.Option(help="Address of these pages; nobody is asked who reads them.")] = "127.0.0.1",
) -> None:
    """Show what the runs of Dagster count of running matches to Prometheus, until SIGTERM."""
    from configs.live import load_agent
    from resources.logs import to_stderr
    from resources.motion_figures import show
    from resources.motion_queue import MotionQueue
    from resources.stream import Streams

    to_stderr()

    async def work() -> None:
        client = _client()
        try:
            await show(MotionQueue(Streams(client, load_agent()), load_agent()), host, port)
        finally:
            await client.aclose()

    _run(work)


def replay(
    log: Annotated[Path, typer.Argument(help="A recorded log of any format.", exists=True, dir_okay=False)],
    speed: Annotated[str, typer.Option(help="Times as fast as it was: 1, 10, …, or max.")] = "1",
    shuffle: Annotated[int, typer.Option(help="Each event comes up to so many ms late.", min=0)] = 0,
    duplicate: Annotated[float, typer.Option(help="Share of events that come twice.", min=0, max=1)] = 0.0,
    drop: Annotated[float, typer.Option(help="Share of events that never come.", min=0, max=1)] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed spoils the same events.", min=0)] = 0,
) -> None:
    """Send a recorded log to the event stream as if it happened now."""
    from configs.live import load_agent
    from pipeline.events.lines import UnusableLog
    from resources.replay import recorded, spoiled
    from resources.replay import replay as send
    from resources.stream import Streams

    factor = None if speed == "max" else _factor(speed)
    try:
        sent = spoiled(recorded(log), shuffle_ms=shuffle, duplicate=duplicate, drop=drop, seed=seed)
    except UnusableLog as error:
        raise _failed(str(error)) from error

    async def work() -> int:
        client = _client()
        try:
            return await send(Streams(client, load_agent()), sent, shards=load_agent().shards, speed=factor)
        finally:
            await client.aclose()

    matches = sorted({match_id for _, match_id, _ in sent})
    console.print(f"{_run(work):,} events of {', '.join(matches)} sent", soft_wrap=True)


@dlq.command(name="list")
def list_(count: Annotated[int, typer.Option(help="At most so many, oldest first.", min=1)] = 50) -> None:
    """Show what was refused, and why."""
    letters = _with_streams(lambda streams: streams.letters(count=count))
    view = Table("id", "original id", "match", "field", "reason", "event")
    for letter_id, about in letters:
        event = about["event"][:60].decode(errors="backslashreplace")
        told = (about["match_id"], about["field"], about["reason"], event)
        view.add_row(letter_id, f"{about['stream']} {about['id']}", *(_printable(text) for text in told))
    console.print(view)
    console.print(f"{len(letters)} shown")


@dlq.command(name="replay")
def replay_(ids: Ids = None, every: All = False) -> None:
    """Put refused entries back into their streams."""

    async def work(streams: Any) -> tuple[int, int]:
        chosen = await _chosen(streams, ids, every)
        return sum([await streams.replay(letter) for letter in chosen]), len(chosen)

    back, chosen = _with_streams(work)
    console.print(f"{back} of {chosen} sent again")
    if back < chosen:
        raise _failed(
            "the others are not in the dlq, name no shard's stream, or were too large to be kept and are gone from it"
        )


@dlq.command()
def drop(ids: Ids = None, every: All = False) -> None:
    """Forget refused entries."""

    async def work(streams: Any) -> int:
        return int(await streams.drop(await _chosen(streams, ids, every)))

    console.print(f"{_with_streams(work)} forgotten")


async def _chosen(streams: Any, ids: list[str] | None, every: bool) -> list[str]:
    if bool(ids) == every:
        raise _failed("name ids, or say --all")
    return [letter_id for letter_id, _ in await streams.letters()] if every else list(ids or ())


def _with_streams(work: Callable[[Any], Awaitable[T]]) -> T:
    from configs.live import load_agent
    from resources.stream import Streams

    async def connected() -> T:
        client = _client()
        try:
            return await work(Streams(client, load_agent()))
        finally:
            await client.aclose()

    return _run(connected)


def _run(work: Callable[[], Awaitable[T]]) -> T:
    async def awaited() -> T:
        return await work()

    try:
        return asyncio.run(awaited())
    except ResourceError as error:
        raise _failed(str(error)) from error


def _client() -> Any:
    from configs.live import load_agent
    from resources.connection import connect
    from resources.settings import settings

    return connect(settings(), load_agent())


def _factor(speed: str) -> float:
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise _failed(f"--speed is a number above 0 or max, not {speed}")
    return factor


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def _failed(why: str) -> typer.Exit:
    console.print(f"failed: {why}", style="red", soft_wrap=True)
    return typer.Exit(1)
