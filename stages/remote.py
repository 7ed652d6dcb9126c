"""The DVC remote through which the machines of a cluster give each other results."""

import configparser
import io
import uuid
from collections.abc import Mapping
from typing import Any

from mazewm.io.errors import BadInput
from stages.opened import opened

NAME = "shared"
HOW = f"dvc remote add --local --default {NAME} URL"


def config() -> str:
    """DVC's configuration for a node, with the remote and its credentials, once something could be
    written there. BadInput if the remote is missing, not the default or cannot be reached."""
    with opened() as repo:
        known: dict[str, Any] = repo.config["remote"]
        default = repo.config["core"].get("remote")
        if NAME not in known or default != NAME:
            found = f"the default {default}" if default else "no default"
            raise BadInput(
                f".dvc/config: expected a remote {NAME} that is the default (`{HOW}`), found "
                f"{found} among {', '.join(known) or 'none'}."
            )
        try:
            odb = repo.cloud.get_remote_odb(NAME)
            beside = odb.fs.join(odb.path, f"mazewm-{uuid.uuid4().hex}")
            odb.fs.makedirs(odb.path, exist_ok=True)
            odb.fs.pipe_file(beside, b"")
            odb.fs.remove(beside)
        except Exception as error:  # each kind of remote has its own
            why = " ".join(str(error).split()).rstrip(".")
            raise BadInput(
                f".dvc/config: expected a remote {NAME} that can be written, found {why}."
            ) from None
        return _text(known[NAME], repo.config["cache"].get("type"))


def _text(remote: Mapping[str, Any], types: Any) -> str:
    """The configuration as DVC writes it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser["core"] = {
        "analytics": "false",
        "check_update": "false",
        "no_scm": "true",
        "remote": NAME,
    }
    if types:
        parser["cache"] = {"type": ",".join(types) if isinstance(types, list) else str(types)}
    parser[f"'remote \"{NAME}\"'"] = {name: str(value) for name, value in remote.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
