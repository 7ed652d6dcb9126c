"""The runs that the page can show."""

from pathlib import Path

from mazewm.explore.answers import Explorer
from mazewm.io.errors import BadInput
from mazewm.loaded import load


class Explorers:
    """The runs of a folder, each loaded when it is first chosen, and kept."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts, self._loaded = artifacts, dict[str, Explorer]()
        self.names = sorted(
            file.parent.name for file in (artifacts / "models").glob("*/transformer.safetensors")
        )
        if not self.names:
            raise BadInput(
                f"{artifacts / 'models'}: expected at least one run, found none. `make pull` "
                "brings released ones, `make repro` makes them."
            )

    def __getitem__(self, name: str) -> Explorer:
        """BadInput if the name is not that of a run, or its model is broken."""
        if name not in self._loaded:
            one = load(name, self.artifacts)
            _ = one.model, one.locations
            self._loaded[name] = Explorer(one)
        return self._loaded[name]
