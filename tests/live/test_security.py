"""The users that docs/security.md gives a server: each can do its part, and no more."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis.asyncio as redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from redis.exceptions import NoPermissionError

from configs.live import load_agent, load_live
from pipeline.live.motion import Wish
from pipeline.live.signals import from_json
from resources import run_counts
from resources.agent import Agent
from resources.connection import NoStreams, connect
from resources.motion_queue import MotionQueue
from resources.replay import replay
from resources.settings import Settings
from resources.shard_worker import Models
from resources.stream import DLQ, EVENT, EVENTS, SIGNALS, Checkpoint, Shard, Streams, StreamUnreachable

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
AGENT = load_agent().model_copy(update={"block_ms": 20, "commit_ms": 100, "renew_ms": 100})
LIVE = load_live().model_copy(update={"idle_flush_ms": 300})


def users():
    """Name and rules of every user in the document."""
    lines = [line.split() for line in DOCUMENT.read_text().splitlines() if line.startswith("ACL SETUSER")]
    return {name: [rule.replace("…", "secret") for rule in rules] for _, _, name, *rules in lines}


@pytest.fixture
def as_user(redis_server):
    """A client of each user, on an empty server that knows them; they are gone afterwards."""

    def as_user(work):
        async def connected():
            root = redis.from_url(redis_server)
            await root.flushall()
            for name, rules in users().items():
                await root.execute_command("ACL", "SETUSER", name, "reset", *rules)
            url = redis_server.replace("unix://", "unix://{}:secret@")
            clients = {name: redis.from_url(url.format(name)) for name in users()}
            try:
                return await work(root=root, **clients)
            finally:
                for client in clients.values():
                    await client.aclose()
                await root.execute_command("ACL", "DELUSER", *users())
                await root.aclose()

        return asyncio.run(connected())

    return as_user


async def refused(answer):
    with pytest.raises(NoPermissionError):
        await answer


def test_each_user_can_do_its_part_and_no_more(as_user, leaning, simulated, as_segments):
    async def work(root, producer, agent, reader):
        await replay(
            Streams(producer, AGENT), [(0, simulated.match_id, line) for line in simulated.lines], shards=1, speed=None
        )
        await producer.xadd(EVENTS, {EVENT: b"no event"})
        resident = Agent(agent, Models(leaning, None), 0.6, AGENT, LIVE)
        task = asyncio.create_task(resident.run())
        async with asyncio.timeout(60):
            while not (found := await reader.xrange(SIGNALS)) or from_json(found[-1][1][b"signal"]).kind != "ended":
                await asyncio.sleep(0.05)
        resident.stop()
        await task
        letters = await Streams(agent, AGENT).letters()
        await refused(producer.xadd(SIGNALS, {"signal": "x"}))
        for stream in (DLQ, f"{EVENTS}:x", f"{EVENTS}x"):
            await refused(producer.xadd(stream, {EVENT: b"x"}))
        await producer.xadd(Shard(1, 2).stream, {EVENT: b"x"})
        await refused(producer.xrange(SIGNALS))
        await refused(producer.get(Shard(0, 1).key("token")))
        await refused(reader.xadd(SIGNALS, {"signal": "x"}))
        await refused(reader.xrange(EVENTS))
        await refused(reader.xrange(DLQ))
        queue = MotionQueue(Streams(agent, AGENT), AGENT)  # runs of Dagster are the same user
        told, _ = await queue.news(Checkpoint(), 1000)
        (final, *_) = await queue.finals([entry for entry, data, _ in told.entries if b'"kind":"final"' in data][:1])
        assert await queue.tell(final, None, {"infeasible": 1}) and not await queue.tell(final, None, {"infeasible": 1})
        await queue.shed([Wish("1-0", "s", "m", 0, 1.0)] * 2, "stale")
        assert await queue.figures() == {"infeasible": 1, "shed:stale": 1}
        await run_counts.add(agent, resident.metrics)
        assert {count.name for count in await run_counts.read(agent)} >= {"live_events", "intents_predicted"}
        for denied in (agent.flushall(), agent.config_get("*"), agent.keys("*"), agent.set("other", 1)):
            await refused(denied)
        return [from_json(fields[b"signal"]) for _, fields in found], letters

    signals, letters = as_user(work)
    assert as_segments(signals).equals(simulated.segments) and len(letters) == 1


@pytest.mark.parametrize(
    "url",
    [
        None,
        "htp://user:secret@host/0",
        "redis://host:secret/0",
        "redis://host/0?secret=1",
        "rediss://u:secret@host/0?ssl_cert_reqs=x",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated(url):
    with pytest.raises(NoStreams) as error:
        connect(Settings(redis_url=SecretStr(url) if url else None), AGENT)
    assert "secret" not in str(error.value)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Files of a certificate for `localhost` that proves itself, of another one, and of the key of the first."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "other"):
        key, subject = (
            ec.generate_private_key(ec.SECP256R1()),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        )
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        words = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{name}.key").write_bytes(key.private_bytes(*words))
    return folder


@asynccontextmanager
async def tls_before(redis_server, certificates):
    """The server behind TLS: where it listens, and all that it was told in clear."""
    told = bytearray()

    async def pump(reader, writer, kept=None):
        with suppress(OSError):
            while data := await reader.read(65536):
                if kept is not None:
                    kept += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader, writer):
        up_reader, up_writer = await asyncio.open_unix_connection(urlsplit(redis_server).path)
        await asyncio.gather(pump(reader, up_writer, told), pump(up_reader, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "own.pem", certificates / "own.key")
    listening = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1], told
    finally:
        listening.close()


def asked_over_tls(redis_server, certificates, host, authority, user="agent:secret"):
    """How the shard of an address stands, by the program's own client, and what the server was told."""

    async def work():
        root = redis.from_url(redis_server)
        for name, rules in users().items():
            await root.execute_command("ACL", "SETUSER", name, "reset", *rules)
        try:
            async with tls_before(redis_server, certificates) as (port, told):
                query = f"?ssl_ca_certs={certificates / authority}" if authority else ""
                url = f"rediss://{user}@{host}:{port}/0{query}"
                client = connect(Settings(redis_url=SecretStr(url)), AGENT)
                try:
                    return (await Streams(client, AGENT).standing(Shard(0, 1))).owner, bytes(told)
                except StreamUnreachable as error:
                    return str(error), bytes(told)
                finally:
                    await client.aclose()
        finally:
            await root.execute_command("ACL", "DELUSER", *users())
            await root.aclose()

    return asyncio.run(work())


def test_a_user_of_the_acl_is_served_over_tls(redis_server, certificates):
    found, told = asked_over_tls(redis_server, certificates, "localhost", "own.pem")
    assert found == "" and b"agent" in told
    found, _ = asked_over_tls(redis_server, certificates, "localhost", "own.pem", user="agent:hunter2")
    assert "WRONGPASS" in found or "Authentication" in found, found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("host", "authority"), [("localhost", "other.pem"), ("localhost", ""), ("127.0.0.1", "own.pem")]
)
def test_a_server_that_can_not_prove_its_name_is_told_nothing(redis_server, certificates, host, authority):
    found, told = asked_over_tls(redis_server, certificates, host, authority)
    assert "certificate verify failed" in found and "secret" not in found and told == b""
