"""A location: a layer and a token at which a transformer knows a connection; and those that are
studied.
"""

from dataclasses import dataclass
from pathlib import Path

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass
from mazewm.model.sites import Place, Site


@dataclass(frozen=True)
class Location:
    """A layer and one of the four tokens that spell a connection."""

    layer: int
    token_class: TokenClass

    @property
    def place(self) -> Place:
        """The residual stream after the layer."""
        return Place(self.layer, Site.RESID_POST)

    def __str__(self) -> str:
        return f"{self.place} at {self.token_class}"

    def save(self, path: Path) -> None:
        """Write the site as JSON."""
        files.write_json(path, {"layer": self.layer, "token_class": str(self.token_class)})

    @classmethod
    def load(cls, path: Path) -> "Location":
        """Read what ``save`` wrote."""
        content = files.read_json(path, "a spelling site")
        try:
            site = cls(int(content["layer"]), TokenClass(content["token_class"]))
        except (KeyError, ValueError, TypeError):
            raise BadInput(
                f"{path}: expected a layer and a token_class, found {content!r}."
            ) from None
        if site.layer < 0 or site.token_class not in CONNECTION_CLASSES:
            raise BadInput(
                f"{path}: expected a layer from 0 and one of "
                f"{[str(c) for c in CONNECTION_CLASSES]}, found {content!r}."
            )
        return site


PAPER_LOCATION = Location(0, TokenClass.DELIMITER)


@dataclass(frozen=True)
class Locations:
    """Where one transformer's connections are read, the consolidation site, and where they are
    written."""

    reading: Location
    writing: Location

    @property
    def studied(self) -> list[Location]:
        """Both and the paper's, each once."""
        return list(dict.fromkeys([self.reading, self.writing, PAPER_LOCATION]))

    def save(self, folder: Path) -> None:
        """Write ``site.json`` and ``writing_site.json``."""
        self.reading.save(folder / "site.json")
        self.writing.save(folder / "writing_site.json")

    @classmethod
    def load(cls, folder: Path, n_layers: int) -> "Locations":
        """Read what ``save`` wrote; BadInput for a layer that a transformer of ``n_layers`` does
        not have."""
        found = []
        for path in (folder / "site.json", folder / "writing_site.json"):
            site = Location.load(path)
            if site.layer >= n_layers:
                raise BadInput(f"{path}: layer: expected one below {n_layers}, found {site.layer}.")
            found.append(site)
        return cls(*found)
