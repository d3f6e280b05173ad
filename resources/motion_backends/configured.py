"""Which backends are asked, in which order: as configured, then HY-Motion's command, then ourselves.

Belongs here: the order. Does not belong here: any one backend, and what happens when one fails (resources.clips).
"""

from pathlib import Path

from configs.backends import BackendsConfig, load_backends
from resources.motion_backends import MotionBackend
from resources.motion_backends.hymotion_cli import HyMotionCli
from resources.motion_backends.hymotion_rest import HyMotionRest
from resources.motion_backends.mmcp import MmcpBackend
from resources.settings import Settings


def rest(environment: Settings, config: BackendsConfig) -> HyMotionRest:
    """HY-Motion's server of the environment."""
    return HyMotionRest(environment.hy_motion_api_url, environment.hy_motion_api_key, config)


def cli(environment: Settings, config: BackendsConfig) -> HyMotionCli:
    """HY-Motion's command of the environment."""
    home, model = (
        None if not path else Path(path) for path in (environment.hy_motion_home, environment.hy_motion_model)
    )
    return HyMotionCli(home, model, environment.hy_motion_python, config)


def mmcp(environment: Settings, config: BackendsConfig) -> MmcpBackend:
    """The MMCP server of the environment."""
    return MmcpBackend(environment.mmcp_url, environment.mmcp_token, config)


def preferred(environment: Settings, config: BackendsConfig | None = None) -> tuple[MotionBackend, ...]:
    """Backends that are asked before the local synthesizer, in order; none where it is the configured one.

    HY-Motion's command follows another backend wherever it is set up and its licence is accepted.

    Args:
        environment: addresses, keys, folders.
        config: defaults to `configs/backends.yaml`.
    """
    config = config or load_backends()
    if config.backend == "local":
        return ()
    command = cli(environment, config)
    if config.backend == "hymotion_cli":
        return (command,)
    first = mmcp(environment, config) if config.backend == "mmcp" else rest(environment, config)
    return (first, command) if command.is_set_up and config.licence.refusal is None else (first,)
