"""A transformer as a ``HookedTransformer`` of TransformerLens: its configuration, its weights and
the names of its hooks. Nothing is folded or centred, so all values inside are the same, too.

Written for TransformerLens 3.9, without need of it. What becomes what:

* Per-head weights get a head axis, as in ``Attention.W_Q``. Queries, keys, values and the
  unembedding have no bias here; theirs are zeros.
* The three kinds of LayerNorm, ``norm1``, ``norm2`` and ``norm_final``, are ``ln1``, ``ln2`` and
  ``ln_final``, with weights and biases (type ``LN``) and torch's epsilon.
* Scores are divided by sqrt(d_head), and the MLP is a ReLU, as in theirs by this configuration.
* ``learned`` is their type ``standard``. So are ``sinusoidal`` and ``none``, with the sines or with
  zeros in ``W_pos``: what the model computes is the same, but there a parameter that training on
  would change.
* ``rotary`` turns the first ``rotary_dim`` dimensions of each head, the first half of them paired
  with the second (theirs with ``rotary_adjacent_pairs`` off).
* ``alibi`` has the same slopes for any number of heads. Their ``W_pos`` is not used then.

Theirs reads at most ``n_ctx`` tokens with every encoding. Masks and tables of angles are made by
TransformerLens itself; they are not in the file.
"""

from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mazewm.export.outputs import made_at
from mazewm.io import files, weights
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import SPECIALS, Vocabulary
from mazewm.model.positions import Rotary
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Block, Transformer

CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocabulary.json"

# positional_embedding_type, by the name of our encoding
POSITIONS = {
    "learned": "standard",
    "sinusoidal": "standard",
    "none": "standard",
    "rotary": "rotary",
    "alibi": "alibi",
}

# The hooks of a block whose value is one vector for each token, [batch, pos, d].
HOOKS = {
    Site.RESID_PRE: "hook_resid_pre",
    Site.ATTN_OUT: "hook_attn_out",
    Site.RESID_MID: "hook_resid_mid",
    Site.MLP_PRE: "mlp.hook_pre",
    Site.MLP_POST: "mlp.hook_post",
    Site.MLP_OUT: "hook_mlp_out",
    Site.RESID_POST: "hook_resid_post",
}


def hook_name(place: Place) -> str:
    """The name of the hook at a place; BadInput for a place inside attention, where a token has a
    vector for each head.

    >>> hook_name(Place(2, Site.RESID_POST))
    'blocks.2.hook_resid_post'
    """
    if place.site not in HOOKS:
        raise BadInput(f"place: expected one of the sites {[*map(str, HOOKS)]}, found '{place}'.")
    return f"blocks.{place.layer}.{HOOKS[place.site]}"


def hooked_config(model: Transformer, name: str) -> dict[str, Any]:
    """The arguments of ``HookedTransformerConfig``, as JSON can hold them. ``name`` is what theirs
    calls the model."""
    shape, encoding = model.params, model.encoding
    turned = {"rotary_dim": encoding.n_turned} if isinstance(encoding, Rotary) else {}
    return {
        "model_name": name,
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "n_heads": shape.n_heads,
        "d_head": shape.d_model // shape.n_heads,
        "d_mlp": shape.d_mlp,
        "n_ctx": model.n_ctx,
        "d_vocab": model.d_vocab,
        "act_fn": "relu",
        "normalization_type": "LN",
        "eps": model.norm_final.eps,
        "positional_embedding_type": POSITIONS[model.encoding_name],
        **turned,
        "default_prepend_bos": False,
    }


def position_table(model: Transformer) -> Tensor:
    """``W_pos``, [position, d_model]; zeros if the model has no table of positions."""
    table = getattr(model.encoding, "W_pos", None)
    return torch.zeros(model.n_ctx, model.params.d_model) if table is None else table


def hooked_state(model: Transformer) -> dict[str, Tensor]:
    """All parameters of the ``HookedTransformer``, by their names there, on the CPU."""
    state = {
        "embed.W_E": model.W_E,
        "ln_final.w": model.norm_final.weight,
        "ln_final.b": model.norm_final.bias,
        "unembed.W_U": model.W_U,
        "unembed.b_U": torch.zeros(model.d_vocab),
    }
    if POSITIONS[model.encoding_name] != "rotary":
        state["pos_embed.W_pos"] = position_table(model)
    for layer, block in enumerate(model.layers):
        own = _block_state(block).items()
        state |= {f"blocks.{layer}.{name}": weight for name, weight in own}
    return {name: weight.detach().cpu().contiguous() for name, weight in state.items()}


def _block_state(block: Block) -> dict[str, Tensor]:
    attn, mlp = block.attn, block.mlp
    no_bias = torch.zeros(attn.n_heads, attn.W_Q.shape[-1])
    return {
        "ln1.w": block.norm1.weight,
        "ln1.b": block.norm1.bias,
        "ln2.w": block.norm2.weight,
        "ln2.b": block.norm2.bias,
        "attn.W_Q": attn.W_Q,
        "attn.W_K": attn.W_K,
        "attn.W_V": attn.W_V,
        "attn.W_O": attn.W_O,
        "attn.b_Q": no_bias,
        "attn.b_K": no_bias.clone(),
        "attn.b_V": no_bias.clone(),
        "attn.b_O": attn.b_O,
        "mlp.W_in": mlp.W_in,
        "mlp.b_in": mlp.b_in,
        "mlp.W_out": mlp.W_out,
        "mlp.b_out": mlp.b_out,
    }


def vocabulary_of(model: Transformer) -> Vocabulary:
    """The vocabulary that a model has as many tokens as; BadInput if no lattice has so many."""
    found = Vocabulary(isqrt(max(0, model.d_vocab - len(SPECIALS))))
    if len(found) != model.d_vocab:
        raise BadInput(
            f"model: expected {len(SPECIALS)} tokens and one for each cell of a square lattice, "
            f"found {model.d_vocab} tokens."
        )
    return found


def export_model(model: Transformer, name: str, folder: Path) -> None:
    """Write a new folder with ``config.json``, ``model.safetensors`` and ``vocabulary.json``, the
    text of every token by its id. BadInput if the folder is there already, or for a model with
    tokens of no lattice."""
    names = vocabulary_of(model).names
    with made_at(folder) as beside:
        beside.mkdir()
        files.write_json(beside / CONFIG, hooked_config(model, name))
        weights.write_tensors(beside / WEIGHTS, hooked_state(model), {"format": "pt"})
        files.write_json(beside / VOCABULARY, list(names))
