"""Claims C4, C5 and C9: what edits of single connections show (docs/science.md#claims).

All are about twins of mazes, asked everything. A method stands at its own best dose, and so does
everything that it is compared with.
"""

from collections.abc import Sequence

import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, depends, unmeasured
from mazewm.claims.edits import (
    Edits,
    Push,
    Setting,
    believed,
    efficiency,
    gap,
    gap_of_gaps,
    gap_of_lacking,
    lacking,
    selectivity,
    together,
)
from mazewm.claims.statistics import Contrast, contrast, fixed

OTHERS = ("frozen_decoder", "untrained_model", "residual_dimensions")
PARTS = ("add_only", "remove_only", "add_and_random")
DOSE = 1.0  # at which an edit is as strong as what the model itself writes


def _against(edits: Edits, rows: pd.DataFrame, settings: Sequence[Setting]) -> list[Control]:
    """Controls that were measured on the same pairs. One that is missing has no interval, so that
    the claim is unmeasured and does not stand beside fewer controls."""
    found = []
    for setting in settings:
        other = edits.rows(setting)
        found.append(Control(_named(setting), selectivity(other).interval, gap(rows, other)))
    return found


def _named(setting: Setting) -> str:
    name = setting.method.replace("_", " ")
    return f"{name}, {setting.n_units} units" if setting.n_units else name


def _at_best(edits: Edits, setting: Setting) -> str:
    dose = edits.best.get(setting)
    where = f"{setting.place} at {setting.tokens}"
    return f"selectivity: {_named(setting)}, {where}" + (f", dose {dose:g}" if dose else "")


def is_causal(id: str, edits: Edits, kind: str) -> Claim:
    """C4a and C4b: adding and removing by one latent is more selective than by one other unit that
    detects the connection, and than by anything that has not to do with it."""
    verb = {"add": "adding", "remove": "removing"}[kind]
    n, most = edits.sizes[0], edits.sizes[-1]
    own = edits.setting(kind, "latents", n)
    rows = edits.rows(own)
    settings = [edits.setting(kind, name, n) for name in OTHERS]
    settings += [
        edits.setting(kind, "random_direction"),
        edits.setting(kind, "other_connection", most),
        edits.setting(kind, "none"),
    ]
    controls = _against(edits, rows, settings)
    # who sees no walls answers some questions of the edited maze right, and some others wrong; the
    # near-sighted walker would have to see the edit, and is no control here
    walker = edits.walker(kind, "blind")
    controls.append(Control("the blind walker", selectivity(walker).interval, gap(rows, walker)))
    statement = f"{verb} a connection by its best latent works better than other single pushes"
    return claim(id, statement, _at_best(edits, own), selectivity(rows).interval, controls)


def is_moved(edits: Edits) -> Claim:
    """C4c: moving a connection by its best latents is more selective than adding alone, removing
    alone, adding with a random push at the connection, and random pushes at both."""
    n = edits.sizes[0]
    own = edits.setting("move", "latents", n)
    rows = edits.rows(own)
    controls = _against(
        edits,
        rows,
        [
            *(edits.setting("move", part, n) for part in PARTS),
            edits.setting("move", "random_direction"),
            edits.setting("move", "none"),
        ],
    )
    statement = "moving a connection by its best latents does more than its parts do"
    measure = _at_best(edits, own)
    return claim("C4c", statement, measure, selectivity(rows).interval, controls)


def latents_are_special(edits: Edits) -> Claim:
    """C4d: the latents write a connection more selectively than as many latents of a frozen decoder
    or of an untrained model's SAE, and than as many dimensions of the residual stream."""
    n = edits.sizes[-1]
    own = edits.setting("add", "latents", n)
    rows = edits.rows(own)
    controls = _against(edits, rows, [edits.setting("add", name, n) for name in OTHERS])
    statement = "trained latents write a connection better than other units that detect it"
    return claim("C4d", statement, _at_best(edits, own), selectivity(rows).interval, controls)


def removal_is_efficient(edits: Edits) -> Claim:
    """C4e: the best latent removes a connection with a shorter push than a random direction needs.
    The value is the logarithm of the ratio of lengths at half effect."""
    own = edits.setting("remove", "latents", edits.sizes[0])
    found = efficiency(edits, own, edits.setting("remove", "random_direction"))
    statement = "removing by the best latent takes a shorter push than a random direction"
    measure = "log of the random direction's length at half effect over the latent's"
    control = Control("equal lengths", fixed(0.0), found)
    return claim("C4e", statement, measure, found.interval, [control])


def is_asymmetric(edits: Edits) -> Claim:
    """C5: adding works better than removing, by the same latent of the same twins; by four
    conventions: raw, net of a random direction, both at the strength with which the model itself
    writes, and in beliefs."""
    n = edits.sizes[0]
    kinds = ("add", "remove")
    own = {kind: edits.setting(kind, "latents", n) for kind in kinds}
    best = {kind: edits.rows(own[kind]) for kind in kinds}
    random = {kind: edits.rows(edits.setting(kind, "random_direction")) for kind in kinds}
    same = {kind: edits.rows(own[kind], DOSE) for kind in kinds}
    conventions = {
        "raw": gap(best["add"], best["remove"]),
        "net of a random direction": gap_of_gaps(
            (best["add"], random["add"]), (best["remove"], random["remove"])
        ),
        f"at dose {DOSE:g}": gap(same["add"], same["remove"]),
        "in beliefs": _belief_gap(best["add"], best["remove"]),
    }
    statement = "activating works better than suppressing"
    measure = f"selectivity of adding less that of removing, {n} latent{'s' if n > 1 else ''}"
    return depends("C5", statement, measure, conventions)


def _belief_gap(one: pd.DataFrame, other: pd.DataFrame) -> Contrast:
    one, other = together([one, other])
    return contrast([believed(one)], [believed(other)], one.connection_set)


def adding_needs_the_direction(edits: Edits) -> Claim:
    """C5c: adding needs the direction more than removing does. Of the selectivity of the mean
    difference, a random push of equal length lacks a larger share when connections are added than
    when they are removed; at the strength with which the model itself writes. Unmeasured where the
    mean difference has no effect, of which nothing could be lacking."""
    statement = "adding needs the direction more than removing does"
    measure = "share of the mean difference's selectivity that a random push as long lacks, adding"
    measure += f", dose {DOSE:g}"
    pushes = list[Push]()
    for kind in ("add", "remove"):
        names = ("mean_difference", "random_direction")
        own, random = (edits.rows(edits.setting(kind, name), DOSE) for name in names)
        for name, rows in zip(names, (own, random), strict=True):
            if rows.empty:
                reason = f"no {name.replace('_', ' ')} of dose {DOSE:g} to {kind} connections"
                return unmeasured("C5c", statement, measure, reason)
        if selectivity(own).low <= 0:
            reason = f"the mean difference of dose {DOSE:g} does not {kind} connections"
            return unmeasured("C5c", statement, measure, reason)
        pushes.append((own, random))
    adding, removing = pushes
    control = Control("the same, removing", lacking(removing), gap_of_lacking(adding, removing))
    return claim("C5c", statement, measure, lacking(adding), [control])


def removing_needs_the_place(edits: Edits) -> Claim:
    """C5d: what removes a connection removes it at its own token, where it is read, more than at
    those where connections are added. Unmeasured where these include the own one."""
    statement = "removing needs the connection's own token"
    settings = [edits.setting("remove", "mean_difference", where=at) for at in ("own", "site")]
    measure = _at_best(edits, settings[0])
    if edits.site.read_at in edits.site.tokens:
        reason = f"{edits.site.read_at} is among the tokens where connections are added"
        return unmeasured("C5d", statement, measure, reason)
    own, away = (edits.rows(setting) for setting in settings)
    control = Control(
        "the same, where connections are added", selectivity(away).interval, gap(own, away)
    )
    return claim("C5d", statement, measure, selectivity(own).interval, [control])


def probes_do_not_write(edits: Edits) -> Claim:
    """C9: a probe's weights read connections but do not write them; its pattern does (Haufe et al.
    2014). So who steers with weights may find nothing, though there is something."""
    own = edits.setting("add", "probe_pattern")
    rows = edits.rows(own)
    controls = _against(edits, rows, [edits.setting("add", "probe_direction")])
    statement = "a probe's pattern writes connections, where its weights do not"
    return claim("C9", statement, _at_best(edits, own), selectivity(rows).interval, controls)
