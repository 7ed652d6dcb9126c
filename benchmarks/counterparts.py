"""Our models as models of other libraries, with the same weights and the same logits.

``mazewm.export.models`` says what becomes what in TransformerLens. Its buffers (masks, sines) are
not replaced.
"""

from typing import Any

import torch

from mazewm.export.models import POSITIONS, hooked_config, hooked_state, position_table
from mazewm.model.transformer import Transformer


def hooked(model: Transformer) -> Any:
    """A HookedTransformer with the weights of ``model``; RuntimeError if weights are left over."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(**hooked_config(model, "mazewm"), device="cpu")
    peer = HookedTransformer(config)
    left = peer.load_state_dict(hooked_state(model), strict=False)
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

    if POSITIONS[model.encoding_name] != "standard":
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
