"""The verb `web`: the management page by itself, for whoever is at this machine."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from backupkit.cli.choosing import Choice, Chosen
from backupkit.cli.options import grouped
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.errors import ConfigurationError, told
from backupkit.zones import machine_zone

USER = "backupkit"
_HERE = "127.0.0.1"
_OPEN_ENDS = 3  # seconds for what is still being sent when it stops


@grouped
def web(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any that is free.")] = 8765,
    restore_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="A folder that restores may go to, under this name. Repeatable."
        ),
    ] = None,
    password_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its first line is the password of the page.")
    ] = None,
    password_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable that holds the password of the page."),
    ] = None,
    choice: Choice,
) -> None:
    """Serve the management page to browsers of this machine, until Ctrl-C.

    It listens on 127.0.0.1 only, asks for the name backupkit and a password, and lets who knows it do everything.
    The password is a new one at each start, shown at the terminal once, unless it is given. Restores go to a new
    folder among temporary files, or to one of --restore-to.

    \b
    Examples:
      backupkit web --app shop.backups:pipeline
      backupkit web --config /etc/backupkit.toml --restore-to old=/srv/restored --port 9000
    From another machine:
      ssh -L 8765:127.0.0.1:8765 server    and then open http://127.0.0.1:8765/ there
    """
    output = Output()
    with output.ending():
        places = _places(restore_to or ())
        password = _given(password_file, password_env)
        if password is None and not sys.stdout.isatty():
            raise ConfigurationError(
                "There is no terminal to show a new password at: give --password-file or --password-env."
            )
        _serve(choice.scheduled(), port, places, password)


def _places(said: Sequence[str]) -> Mapping[str, str]:
    places: dict[str, str] = {}
    for one in said:
        name, _, folder = one.partition("=")
        if not name or not folder or name in places:
            raise ConfigurationError(
                f"--restore-to {one!r} is not possible: write NAME=FOLDER, and each name once."
            )
        places[name] = os.path.abspath(folder)
    return places


def _given(file: str | None, variable: str | None) -> str | None:
    """The password that an option names; None if none does."""
    if file is not None and variable is not None:
        raise ConfigurationError("The password is said to be in two places: give one of the options.")
    if variable is not None:
        return os.environ.get(variable, "")
    if file is None:
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.readline().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The password cannot be read from {file!r}: {told(error)}.") from error


def _serve(chosen: Sequence[Chosen], port: int, places: Mapping[str, str], password: str | None) -> None:
    try:
        import uvicorn

        from backupkit.integrations.asgi import EVERYTHING, BackupManager, by_password
        from backupkit.integrations.asgi.access.headers import on_this_machine
    except ModuleNotFoundError as error:
        if "pip install " in str(error):
            raise
        raise ModuleNotFoundError(
            f"backupkit web needs {error.name}: pip install 'backupkit[web]'", name=error.name
        ) from error

    shown = secrets.token_urlsafe(16) if password is None else None
    with _listening(port) as listening, cancelled_by_signals() as cancel:
        manager = BackupManager(
            {str(one.pipeline.name): one.pipeline for one in chosen},
            authorize=by_password({USER: (shown or password or "", EVERYTHING)}),
            schedule={str(one.pipeline.name): one.schedule for one in chosen if one.schedule is not None},
            places=places,
            secret=secrets.token_bytes(32),  # there is no other process that it would be shared with
            time_zone=machine_zone(),
        )

        async def heed() -> None:  # a signal that came before the server took them over
            server.should_exit = server.should_exit or cancel.is_set()

        class Server(uvicorn.Server):
            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                # What is under way is cancelled at once, and who follows it sees that.
                threading.Thread(target=manager.close, name="backupkit-closing", daemon=True).start()
                await super().shutdown(sockets)

        server = Server(
            uvicorn.Config(
                on_this_machine(manager),
                access_log=False,
                log_level="warning",
                lifespan="off",
                proxy_headers=False,  # nobody is to choose the address that attempts are counted by
                server_header=False,
                timeout_graceful_shutdown=_OPEN_ENDS,
                callback_notify=heed,
                timeout_notify=1,
            )
        )
        # What is cut off because it ends is no error that anybody could mend.
        logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
        try:
            _tell(listening.getsockname()[1], shown)
            server.run(sockets=[listening])  # when a signal has ended it, it passes that on
        finally:
            manager.close()


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((_HERE, port))
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} of {_HERE} cannot be used ({os.strerror(error.errno or 0)}): give another one, or "
            "--port 0 for any."
        ) from error


def _tell(port: int, password: str | None) -> None:
    print(f"The page is at http://{_HERE}:{port}/ and for browsers of this machine only.")
    if password is None:
        print(f"Log in as {USER}, with the password that was given.")
    else:
        print(f"Log in as {USER}, with the password {password}")
    print(f"From another machine: ssh -L {port}:{_HERE}:{port} {socket.gethostname()}")
    print("Ctrl-C ends it.", flush=True)
