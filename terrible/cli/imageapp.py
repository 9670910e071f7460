"""The options of `terrible image`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from terrible.storage.images.owner import Init

app = typer.Typer(help="Images of cards: look, take boot files out, make a node's.", no_args_is_help=True)

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image, or one packed as .xz, .gz or .zst.")]


@app.command()
def inspect(
    image: Image, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> int:
    """Show what an image is, which Pis it boots, and how it is told who it is."""
    from terrible.cli import image as commands

    return commands.inspect(image, as_json=as_json)


@app.command()
def boot(
    image: Image,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
) -> int:
    """Take the boot partition out of an image, as boot files for the nodes."""
    from terrible.cli import image as commands

    return commands.boot(image, directory)


@app.command()
def prepare(
    image: Image,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new image.")],
    ssh_key: Annotated[list[Path], typer.Option(help="A file of public keys; may be given again.")],
    user: Annotated[str, typer.Option(help="Who may log in with them, and become root.")] = "pi",
    locale: Annotated[
        str | None, typer.Option(help="en_GB.UTF-8, say; default: as the image has it.")
    ] = None,
    init: Annotated[Init | None, typer.Option(help="How the image is told; default: found out.")] = None,
) -> int:
    """Make a node's image from a stock one: boots over USB, networks over USB, takes these keys."""
    from terrible.cli import image as commands

    return commands.prepare(image, out, commands.Asked(user, ssh_key, locale, init))
