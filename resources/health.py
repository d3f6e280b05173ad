"""What is configured, what answers, and what is used instead: the probes behind `gridmotion doctor`.

Belongs here: one short probe per service. Does not belong here: use of those services. A probe never prints a secret:
addresses are shown without their user and password.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from configs.backends import load_backends
from configs.encoders import load_encoders
from configs.grid import load_grid
from configs.review import load_review
from resources.addresses import without_secrets
from resources.encoders import Encoders
from resources.errors import ResourceError
from resources.grid_api import GridApi, GridError, NotFound
from resources.motion_backends import configured as motion_backends
from resources.motion_backends.errors import BackendError
from resources.registry import ModelRegistry
from resources.reviews import Reviews
from resources.settings import Settings
from resources.store import Store

State = Literal["ok", "fallback", "failed"]
_TIMEOUT_S = 3.0
_PROBE_PATH = "doctor/probe.txt"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        service: what was looked at.
        configured: its setting, secrets left out.
        state: whether it answers, something else is used instead, or it is set and doesn't answer.
        detail: what answered, what is used instead, or what failed and what to do.
    """

    service: str
    configured: str
    state: State
    detail: str


def examine(environment: Settings, store: Store, registry: ModelRegistry) -> Iterator[Finding]:
    """Looks at each service in turn; a service that fails never keeps the next from being looked at."""
    yield _guarded("store", without_secrets(store.url), lambda: _store(store))
    yield _guarded("model registry", without_secrets(environment.tracking_uri), lambda: _registry(registry))
    yield _motion(environment)
    yield _motion_server(environment)
    yield _redis(environment)
    yield _database(environment)
    yield _grid(environment)
    yield _encoder(environment)


def _guarded(service: str, configured: str, probe: Callable[[], tuple[State, str]]) -> Finding:
    try:
        return Finding(service, configured, *probe())
    except (ResourceError, OSError) as error:
        return Finding(service, configured, "failed", str(error))


def _store(store: Store) -> tuple[State, str]:
    store.write(_PROBE_PATH, b"written by the doctor")
    store.read(_PROBE_PATH)
    store.delete(_PROBE_PATH)
    matches = len(store.keys("matches"))
    return "ok", f"writes and reads; {matches} match{'' if matches == 1 else 'es'}"


def _registry(registry: ModelRegistry) -> tuple[State, str]:
    model = registry.champion()
    if model.version.startswith("prior"):
        return "fallback", f"no trained model: the prior decides ({model.version}); train one with `gridmotion train`"
    return "ok", f"champion {model.version}"


def _motion(environment: Settings) -> Finding:
    """The backend of `backends.yaml`, asked who it is; no clip is made."""
    config = load_backends()
    urls = {"mmcp": environment.mmcp_url, "hymotion_rest": environment.hy_motion_api_url}
    names = {"mmcp": "MMCP_URL", "hymotion_rest": "HY_MOTION_API_URL"}
    if config.backend == "local":
        idle = [f"{names[name]} is set but backends.yaml names local" for name, url in urls.items() if url]
        return Finding("motion backend", "local", "ok", "; ".join(["the synthesizer of this program", *idle]))
    url = urls.get(config.backend)
    configured = f"{config.backend}, {without_secrets(url)}" if url else config.backend

    def ask() -> tuple[State, str]:
        try:
            if config.backend == "mmcp":
                mmcp = motion_backends.mmcp(environment, config)
                mmcp.check()
                model = mmcp.model(seconds=_TIMEOUT_S)
                if not config.mmcp.model:
                    return "failed", f"answers with model {model.get('id')}; mmcp.model of backends.yaml names none"
                return "ok", f"answers; model {model.get('id')}, MMCP {model.get('protocol_version')}"
            if config.backend == "hymotion_rest":
                rest = motion_backends.rest(environment, config)
                rest.check()
                return "ok", f"answers; the {rest.style(seconds=_TIMEOUT_S)} server"
            motion_backends.cli(environment, config).check()
            return "ok", "its folders are there; it was not run"
        except BackendError as error:
            return "failed", f"{error.kind}: {error}; clips come from the next backend, in the end from the local one"

    return _guarded("motion backend", configured, ask)


def _motion_server(environment: Settings) -> Finding:
    """What `gridmotion motion-server` would do; it is not started."""
    config = load_backends().server
    token = "set" if environment.motion_server_token else "not set"
    open_to = "any host that has the token" if environment.motion_server_token else "this machine alone"
    return Finding(
        "motion server", f"MOTION_SERVER_TOKEN {token}", "ok", f"would serve MMCP on port {config.port} to {open_to}"
    )


def _redis(environment: Settings) -> Finding:
    secret = environment.redis_url
    if secret is None:
        return Finding("Redis", "REDIS_URL not set", "fallback", "batch only: no match is followed live (docs/live.md)")

    url = secret.get_secret_value()

    def ping() -> tuple[State, str]:
        import redis

        try:
            with redis.Redis.from_url(url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S) as client:
                version = client.info("server")["redis_version"]
        except (redis.RedisError, ValueError) as error:
            return "failed", f"{type(error).__name__}: check that the server runs and REDIS_URL names it"
        return "ok", f"answers, speaks Redis {version}"

    return _guarded("Redis", without_secrets(url), ping)


def _database(environment: Settings) -> Finding:
    config = load_review()
    patience = config.queue.model_copy(update={"wait_s": _TIMEOUT_S})
    reviews = Reviews(environment.review_url, config.model_copy(update={"queue": patience}))
    named = environment.database_url is not None

    def count() -> tuple[State, str]:
        jobs = {} if reviews.is_unwritten else reviews.counts()
        told = ", ".join(f"{number:,} {state}" for state, number in jobs.items()) or "no review jobs yet"
        return ("ok", f"answers; {told}") if named else ("fallback", f"{told}; in {reviews}")

    return _guarded("database", without_secrets(str(reviews)) if named else "DATABASE_URL not set", count)


def _grid(environment: Settings) -> Finding:
    url = without_secrets(environment.grid_api_url)
    if environment.grid_api_key is None:
        return Finding("GRID", "GRID_API_KEY not set", "fallback", "logs are taken from the landing folder only")

    config = load_grid()
    patience = {
        "timeouts": config.timeouts.model_copy(update={"connect": _TIMEOUT_S, "read": _TIMEOUT_S}),
        "retries": config.retries.model_copy(update={"attempts": 1}),
    }
    grid = GridApi(
        environment.grid_api_key,
        environment.grid_api_url,
        environment.grid_central_data_url,
        config.model_copy(update=patience),
    )

    def files() -> None:
        """Asks for a series that nobody has: an allowed key is told just that."""
        with suppress(NotFound):
            grid.listed("0")

    def ask() -> tuple[State, str]:
        troubles = []
        for probe in (grid.count, files):
            try:
                probe()
            except GridError as error:
                troubles.append(str(error))
        return ("failed", "; ".join(troubles)) if troubles else ("ok", "answers; both APIs allow the key")

    with grid.connected():
        return _guarded("GRID", f"GRID_API_KEY set, {url}", ask)


def _encoder(environment: Settings) -> Finding:
    """The encoder of texts: whether its files or its key are there; no text is embedded."""
    named = environment.embedding_encoder

    def look() -> tuple[State, str]:
        encoder = Encoders(environment).open(say=lambda _: None)
        identity = encoder.identity
        if identity.name in _served() and environment.gemini_api_key is None:
            return "failed", "GEMINI_API_KEY is not set: put a key there, or choose another encoder"
        told = f"{identity.model}, {identity.dimension} values, {identity.licence}"
        return ("ok", told) if named else ("fallback", f"{told}: it comes with the installation")

    return _guarded("text encoder", f"EMBEDDING_ENCODER {named or 'not set'}", look)


def _served() -> set[str]:
    return {name for name, spec in load_encoders().encoders.items() if spec.kind == "gemini"}
