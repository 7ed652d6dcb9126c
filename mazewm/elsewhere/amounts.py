"""How much is measured of a model that was trained elsewhere: the sections of params.yaml that its
study needs, at one of the file's scales.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mazewm.features.trees import FeatureParams
from mazewm.interventions.params import InterventionParams
from mazewm.io.errors import BadInput
from mazewm.io.params import Params, check, load
from mazewm.localize.activations import ActivationParams
from mazewm.localize.consolidation import ConsolidationParams
from mazewm.localize.writing import WritingParams
from mazewm.sae.params import SaeParams


class Settings(NamedTuple):
    """The parameters of each step, by their section of params.yaml."""

    consolidation: ConsolidationParams
    writing: WritingParams
    activations: ActivationParams
    sae: SaeParams
    features: FeatureParams
    interventions: InterventionParams

    @classmethod
    def at(
        cls,
        scale: str,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        path: Path = Path("params.yaml"),
    ) -> "Settings":
        """The sections of ``path`` at one of its scales. ``changes`` are further values by section
        and key, such as ``{"sae": {"widths": [128]}}``. BadInput if the file is broken, or for a
        scale, a section or a value that it cannot have."""
        changes = changes or {}
        types: dict[str, type[Params]] = dict(cls.__annotations__)
        unknown = sorted(set(changes) - set(types))
        if unknown:
            raise BadInput(f"changes: expected sections of {list(types)}, found {unknown[0]!r}.")
        found: dict[str, Any] = {}
        for name, kind in types.items():
            own = load(kind, name, path, scale)
            values = own.model_dump() | dict(changes.get(name, {}))
            found[name] = check(kind, values, f"changes: {name}") if name in changes else own
        return cls(**found)
