"""Our models as models of other libraries, with the same weights and the same logits.

HookedTransformer has neither sinusoidal positions nor a model without positions; for both, the
table of positions (zeros, if there are none) is put into ``W_pos``. Names in its state are those of
TransformerLens 3.9. Its buffers (masks, sines) are not replaced.
"""

from typing import Any

import torch

from mazewm.model.transformer import Transformer

HOOKED = {
    "learned": "standard",
    "sinusoidal": "standard",
    "none": "standard",
    "rotary": "rotary",
    "alibi": "alibi",
}


def position_table(model: Transformer) -> torch.Tensor:
    """``W_pos``, [position, d_model]; zeros if the model has no table of positions."""
    table = getattr(model.encoding, "W_pos", None)
    return torch.zeros(model.n_ctx, model.params.d_model) if table is None else table.detach()


def hooked(model: Transformer) -> Any:
    """A HookedTransformer with the weights of ``model``; RuntimeError if weights are left over."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    shape = model.params
    config = HookedTransformerConfig(
        n_layers=shape.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_head=shape.d_model // shape.n_heads,
        d_mlp=shape.d_mlp,
        n_ctx=model.n_ctx,
        d_vocab=model.d_vocab,
        act_fn="relu",
        normalization_type="LN",
        positional_embedding_type=HOOKED[model.encoding_name],
        rotary_dim=getattr(model.encoding, "n_turned", None),
        default_prepend_bos=False,
        device="cpu",
    )
    peer = HookedTransformer(config)
    state = {
        "embed.W_E": model.W_E,
        "unembed.W_U": model.W_U,
        "unembed.b_U": torch.zeros(model.d_vocab),
    }
    if model.encoding_name != "rotary":
        state["pos_embed.W_pos"] = position_table(model)
    state |= {"ln_final.w": model.norm_final.weight, "ln_final.b": model.norm_final.bias}
    for layer, block in enumerate(model.layers):
        attn, mlp = block.attn, block.mlp
        none = torch.zeros(shape.n_heads, shape.d_model // shape.n_heads)
        own = {
            "ln1.w": block.norm1.weight,
            "ln1.b": block.norm1.bias,
            "ln2.w": block.norm2.weight,
            "ln2.b": block.norm2.bias,
        }
        own |= {
            "attn.W_Q": attn.W_Q,
            "attn.W_K": attn.W_K,
            "attn.W_V": attn.W_V,
            "attn.W_O": attn.W_O,
        }
        own |= {"attn.b_Q": none, "attn.b_K": none, "attn.b_V": none, "attn.b_O": attn.b_O}
        own |= {
            "mlp.W_in": mlp.W_in,
            "mlp.b_in": mlp.b_in,
            "mlp.W_out": mlp.W_out,
            "mlp.b_out": mlp.b_out,
        }
        state |= {f"blocks.{layer}.{name}": value for name, value in own.items()}
    left = peer.load_state_dict(
        {name: value.detach() for name, value in state.items()}, strict=False
    )
    buffers = ("attn.mask", "attn.IGNORE", "attn.rotary_sin", "attn.rotary_cos")
    missing = [name for name in left.missing_keys if not name.endswith(buffers)]
    if missing or left.unexpected_keys:
        raise RuntimeError(
            f"HookedTransformer: weights without a counterpart: {missing + left.unexpected_keys}"
        )
    return peer


def gpt2(model: Transformer) -> Any:
    """A GPT2LMHeadModel of Hugging Face with the weights of ``model``; ValueError for rotary or
    ALiBi positions, RuntimeError if weights are left over."""
    from transformers import GPT2Config, GPT2LMHeadModel

    if HOOKED[model.encoding_name] != "standard":
        raise ValueError(f"GPT-2 has no {model.encoding_name} positions.")
    shape = model.params
    config = GPT2Config(
        vocab_size=model.d_vocab,
        n_positions=model.n_ctx,
        n_embd=shape.d_model,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        n_inner=shape.d_mlp,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="sdpa",
    )
    peer = GPT2LMHeadModel(config)
    state = {"transformer.wte.weight": model.W_E, "transformer.wpe.weight": position_table(model)}
    state |= {
        "transformer.ln_f.weight": model.norm_final.weight,
        "transformer.ln_f.bias": model.norm_final.bias,
    }
    state["lm_head.weight"] = model.W_U.T
    for layer, block in enumerate(model.layers):
        attn, mlp = block.attn, block.mlp
        qkv = torch.cat(
            [part.transpose(0, 1).flatten(1) for part in (attn.W_Q, attn.W_K, attn.W_V)], dim=1
        )
        own = {"ln_1.weight": block.norm1.weight, "ln_1.bias": block.norm1.bias}
        own |= {"ln_2.weight": block.norm2.weight, "ln_2.bias": block.norm2.bias}
        own |= {"attn.c_attn.weight": qkv, "attn.c_attn.bias": torch.zeros(3 * shape.d_model)}
        own |= {"attn.c_proj.weight": attn.W_O.flatten(0, 1), "attn.c_proj.bias": attn.b_O}
        own |= {"mlp.c_fc.weight": mlp.W_in, "mlp.c_fc.bias": mlp.b_in}
        own |= {"mlp.c_proj.weight": mlp.W_out, "mlp.c_proj.bias": mlp.b_out}
        state |= {f"transformer.h.{layer}.{name}": value for name, value in own.items()}
    left = peer.load_state_dict(
        {name: value.detach().contiguous() for name, value in state.items()}, strict=False
    )
    if left.missing_keys or left.unexpected_keys:
        without = left.missing_keys + left.unexpected_keys
        raise RuntimeError(f"GPT2LMHeadModel: weights without a counterpart: {without}")
    return peer
