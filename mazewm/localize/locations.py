"""Where a connection is read (a layer and a token class) and where it is written (a layer and a
set of tokens); and the locations that are studied.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import (
    CONNECTION_CLASSES,
    TOKENS_PER_CONNECTION,
    TokenClass,
    connection_positions,
    list_length,
)
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
        content = files.read_json(path, "a consolidation site")
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
LIST_END = "<ADJLIST_END>"


@dataclass(frozen=True)
class WritingSite:
    """A layer and a set of tokens of the adjacency list at which a connection is written, and the
    token class at which the direction for it was read, in the same layer.

    >>> str(WritingSite(0, (";", LIST_END), TokenClass.C2))
    '0.resid_post at ; and <ADJLIST_END>'
    """

    layer: int
    tokens: tuple[str, ...]  # token classes of a connection, or LIST_END
    read_at: TokenClass

    @property
    def source(self) -> Location:
        """Where latents and directions are taken from."""
        return Location(self.layer, self.read_at)

    @property
    def place(self) -> Place:
        """The residual stream after the layer."""
        return Place(self.layer, Site.RESID_POST)

    def positions(self, n_connections: int) -> Int[np.ndarray, " pos"]:
        """The positions of the tokens in a list.

        >>> WritingSite(0, ("c1", LIST_END), TokenClass.C2).positions(3).tolist()
        [1, 5, 9, 13]
        """
        parts = [
            [list_length(n_connections) - 1]
            if name == LIST_END
            else connection_positions(n_connections, TokenClass(name))
            for name in self.tokens
        ]
        return np.sort(np.concatenate(parts))

    def turns(self, n_connections: int) -> Int[np.ndarray, " pos"]:
        """Whose turn it is at each of the positions, if they are given to many in turn: first all
        tokens of one class are dealt, then all of the next. So each of many gets tokens of every
        class, and of any class if there are more of them than connections.

        >>> WritingSite(0, ("c1", "<-->", LIST_END), TokenClass.C2).turns(3).tolist()
        [0, 3, 1, 4, 2, 5, 3]
        """
        nth = (self.positions(n_connections) - 1) // TOKENS_PER_CONNECTION
        which_class = np.arange(len(nth)) - np.searchsorted(nth, nth)
        return nth + which_class * n_connections

    def __str__(self) -> str:
        return f"{self.place} at {' and '.join(self.tokens)}"

    def save(self, path: Path) -> None:
        """Write the site as JSON."""
        content = {"layer": self.layer, "tokens": self.tokens, "read_at": str(self.read_at)}
        files.write_json(path, content)

    @classmethod
    def load(cls, path: Path) -> "WritingSite":
        """Read a site that ``save`` wrote; BadInput if the file is missing or broken."""
        content = files.read_json(path, "a writing site")
        classes = [str(c) for c in CONNECTION_CLASSES]
        names = [*classes, LIST_END]
        refused = BadInput(
            f"{path}: expected a layer from 0, tokens of {names} and a read_at of {classes}, found "
            f"{content!r}."
        )
        try:
            site = cls(
                int(content["layer"]),
                tuple(str(name) for name in content["tokens"]),
                TokenClass(content["read_at"]),
            )
        except (KeyError, ValueError, TypeError):
            raise refused from None
        is_whole = bool(site.tokens) and set(site.tokens) <= set(names)
        if site.layer < 0 or not is_whole or site.read_at not in CONNECTION_CLASSES:
            raise refused
        return site


@dataclass(frozen=True)
class Locations:
    """The locations of one transformer: ``reading`` is its consolidation site, where a probe reads
    connections, and ``writing`` its writing site, where edits change them."""

    reading: Location
    writing: WritingSite

    @property
    def studied(self) -> list[Location]:
        """Where connections are read: for probes, for edits and by the paper; without
        repetition."""
        return list(dict.fromkeys([self.reading, self.writing.source, PAPER_LOCATION]))

    def save(self, folder: Path) -> None:
        """Write ``site.json`` and ``writing_site.json``."""
        self.reading.save(folder / "site.json")
        self.writing.save(folder / "writing_site.json")

    @classmethod
    def load(cls, folder: Path, n_layers: int) -> "Locations":
        """Read locations that ``save`` wrote. BadInput if a file is missing or broken, or for a
        layer that a transformer of ``n_layers`` does not have."""
        found = cls(
            Location.load(folder / "site.json"), WritingSite.load(folder / "writing_site.json")
        )
        layers = {"site.json": found.reading.layer, "writing_site.json": found.writing.layer}
        for name, layer in layers.items():
            if layer >= n_layers:
                raise BadInput(
                    f"{folder / name}: layer: expected one below {n_layers}, found {layer}."
                )
        return found
