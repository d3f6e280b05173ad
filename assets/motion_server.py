"""`gridmotion motion-server`: our synthesizer for Blender and any other client of MMCP.

Belongs here: arguments, and what is said at the start. Does not belong here: the server (`resources.motion_server`).
"""

from typing import Annotated

import typer
from rich.console import Console

console = Console(markup=False, highlight=False)


def motion_server(
    host: Annotated[str | None, typer.Option(help="Address to listen on; any but loopback needs a token.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = None,
) -> None:
    """Serve the local synthesizer over MMCP until interrupted; MOTION_SERVER_TOKEN sets a bearer token."""
    from configs.backends import load_backends
    from resources.motion_server import Unsafe, serve
    from resources.settings import settings

    config = load_backends().server
    token = settings().motion_server_token
    host, port = host or config.host, config.port if port is None else port
    asks = "asks for the token" if token else "asks for no token"
    console.print(
        f"MMCP on {host}, port {port or 'of its choice'}; {asks}; limits are in backends.yaml", soft_wrap=True
    )
    try:
        serve(host, port, token, config)
    except Unsafe as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error
