"""Locations: a layer and a token class at which a connection is read or edited; and the three
locations that are studied.
"""

from dataclasses import dataclass
from pathlib import Path

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass
from mazewm.model.sites import Place, Site


@dataclass(frozen=True)
class Location:
    """A layer, and one of the four token classes that encode a connection.

    >>> str(PAPER_LOCATION)
    '0.resid_post at ;'
    """

    layer: int
    token_class: TokenClass

    @property
    def place(self) -> Place:
        """The residual stream after the layer."""
        return Place(self.layer, Site.RESID_POST)

    def __str__(self) -> str:
        return f"{self.place} at {self.token_class}"

    def save(self, path: Path) -> None:
        """Write the location as JSON."""
        files.write_json(path, {"layer": self.layer, "token_class": str(self.token_class)})

    @classmethod
    def load(cls, path: Path) -> "Location":
        """Read a location that ``save`` wrote; BadInput if the file is missing or broken."""
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


# where the paper reads connections (docs/science.md#papers-site)
PAPER_LOCATION = Location(0, TokenClass.DELIMITER)


@dataclass(frozen=True)
class Locations:
    """The locations of one transformer: ``reading`` is its consolidation site, where a probe reads
    connections, and ``writing`` its writing site, where edits change them."""

    reading: Location
    writing: Location

    @property
    def studied(self) -> list[Location]:
        """The two locations and the paper's, without repetition."""
        return list(dict.fromkeys([self.reading, self.writing, PAPER_LOCATION]))

    def save(self, folder: Path) -> None:
        """Write ``site.json`` and ``writing_site.json``."""
        self.reading.save(folder / "site.json")
        self.writing.save(folder / "writing_site.json")

    @classmethod
    def load(cls, folder: Path, n_layers: int) -> "Locations":
        """Read locations that ``save`` wrote. BadInput if a file is missing or broken, or for a
        layer that a transformer of ``n_layers`` does not have."""
        found = []
        for path in (folder / "site.json", folder / "writing_site.json"):
            site = Location.load(path)
            if site.layer >= n_layers:
                raise BadInput(f"{path}: layer: expected one below {n_layers}, found {site.layer}.")
            found.append(site)
        return cls(*found)
