"""``python -m mazewm.explore``: serve the explorer to this machine, and open it in a browser."""

import socket
from pathlib import Path
from typing import Annotated

import typer

from mazewm.io import program
from mazewm.io.errors import BadInput
from mazewm.run import ARTIFACTS

PORT = 8137


def main(
    artifacts: Annotated[Path, typer.Option(help="The folder that the pipeline wrote to.")] = (
        ARTIFACTS
    ),
    port: Annotated[int, typer.Option(help="On 127.0.0.1.", min=1, max=65535)] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Explore the runs of a folder on a page. Stop it with Ctrl-C."""
    try:
        from mazewm.explore.page import HOST, serve
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{error.name}: the package is missing; `make explore` installs it, and so does `pip "
            "install 'mazewm[explore]'`."
        ) from None
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise BadInput(f"--port: expected a free port, found that {port} is in use.")
    typer.echo(f"http://{HOST}:{port}/ shows the explorer; Ctrl-C stops it.")
    serve(artifacts, port, browser)


if __name__ == "__main__":
    program.run(lambda: typer.run(main))
