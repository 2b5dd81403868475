"""Writes a checkpoint as GGUF for llama.cpp (arch ``nemotron_h_moe``, q8_0) and as safetensors.

The GGUF has what llama.cpp's loader and graph ask for; names and keys as its own converter writes
them for Nemotron 3 Nano, with the MTP block as one more block behind the trunk's.

    python models/nemotron-tiny/export.py CHECKPOINT.pt OUT.gguf [--safetensors OUT.safetensors]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from dialogue import FOLDER
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import dequantize, quantize
from model import ATTENTION, MAMBA, MOE, Config, NemotronTiny
from safetensors.torch import load_file, save_file
from tokenizer import CONTROL
from torch import Tensor

ARCH = "nemotron_h_moe"
Q8_0 = GGMLQuantizationType.Q8_0


def unstacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with each expert's matrices by themselves, as Nemotron's files have them."""
    found = {}
    for name, tensor in state.items():
        if ".experts." in name:
            before, kind = name.rsplit(".", 1)
            found |= {f"{before}.{i}.{kind}.weight": t.clone() for i, t in enumerate(tensor)}
        else:
            found[name] = tensor.clone()
    return found


def stacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `unstacked`."""
    found, parts = {}, {}
    for name, tensor in state.items():
        if ".experts." in name:
            before, number, kind, _ = name.rsplit(".", 3)
            parts.setdefault(f"{before}.{kind}", {})[int(number)] = tensor
        else:
            found[name] = tensor
    return found | {name: torch.stack([p[i] for i in sorted(p)]) for name, p in parts.items()}


MAMBA_NAMES = {
    "attn_norm.weight": "norm.weight",
    "ssm_in.weight": "mixer.in_proj.weight",
    "ssm_out.weight": "mixer.out_proj.weight",
    "ssm_conv1d.weight": "mixer.conv1d.weight",
    "ssm_conv1d.bias": "mixer.conv1d.bias",
    "ssm_dt.bias": "mixer.dt_bias",
    "ssm_a": "mixer.A_log",
    "ssm_d": "mixer.D",
    "ssm_norm.weight": "mixer.norm.weight",
}
ATTENTION_NAMES = {
    "attn_norm.weight": "norm.weight",
    **{f"attn_{n}.weight": f"mixer.{n}_proj.weight" for n in "qkv"},
    "attn_output.weight": "mixer.o_proj.weight",
}
MOE_NAMES = {
    "attn_norm.weight": "norm.weight",
    "ffn_gate_inp.weight": "mixer.gate.weight",
    "exp_probs_b.bias": "mixer.gate.e_score_correction_bias",
    "ffn_up_exps.weight": "mixer.experts.up_proj",
    "ffn_down_exps.weight": "mixer.experts.down_proj",
    "ffn_up_shexp.weight": "mixer.shared_experts.up_proj.weight",
    "ffn_down_shexp.weight": "mixer.shared_experts.down_proj.weight",
}
NAMES = {MAMBA: MAMBA_NAMES, ATTENTION: ATTENTION_NAMES, MOE: MOE_NAMES}
MTP_NAMES = {
    **{f"nextn.{n}.weight": f"0.{n}.weight" for n in ("enorm", "hnorm", "eh_proj")},
    **{theirs: f"0.{ours}" for theirs, ours in ATTENTION_NAMES.items()},
    "post_attention_norm.weight": "1.norm.weight",
    **{t: f"1.{ours}" for t, ours in MOE_NAMES.items() if t != "attn_norm.weight"},
    "nextn.shared_head_norm.weight": "1.final_layernorm.weight",
}


def names(config: Config) -> dict[str, str]:
    """Return our name of each of the GGUF's tensors."""
    found = {
        "token_embd.weight": "backbone.embeddings.weight",
        "output_norm.weight": "backbone.norm_f.weight",
        "output.weight": "lm_head.weight",
    }
    for at, kind in enumerate(config.layers_block_type):
        found |= {
            f"blk.{at}.{t}": f"backbone.layers.{at}.{ours}" for t, ours in NAMES[kind].items()
        }
    last = len(config.layers_block_type)
    return found | {f"blk.{last}.{t}": f"mtp.layers.{ours}" for t, ours in MTP_NAMES.items()}


def as_gguf(name: str, tensor: Tensor, groups: int) -> Tensor:
    """Return our tensor in the GGUF's shape and meaning."""
    match name.split(".", 2)[-1]:
        case "ssm_a":
            return -tensor.exp()[:, None]
        case "ssm_d":
            return tensor[:, None]
        case "ssm_conv1d.weight":
            return tensor.squeeze(1)
        case "ssm_norm.weight":
            return tensor.view(groups, -1)
    return tensor


def add_architecture(writer: GGUFWriter, config: Config) -> None:
    # The MTP block counts as one more, with attention and experts.
    kinds = config.layers_block_type
    kv, width = config.num_key_value_heads, config.moe_intermediate_size
    writer.add_block_count(len(kinds) + 1)
    writer.add_head_count_kv([kv if kind == ATTENTION else 0 for kind in kinds] + [kv])
    writer.add_feed_forward_length([width if kind == MOE else 0 for kind in kinds] + [width])
    writer.add_nextn_predict_layers(1)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_vocab_size(config.vocab_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
    writer.add_ssm_conv_kernel(config.conv_kernel)
    writer.add_ssm_inner_size(config.mamba_num_heads * config.mamba_head_dim)
    writer.add_ssm_state_size(config.ssm_state_size)
    writer.add_ssm_time_step_rank(config.mamba_num_heads)
    writer.add_ssm_group_count(config.n_groups)
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_feed_forward_length(width)
    writer.add_expert_shared_feed_forward_length(config.moe_shared_expert_intermediate_size)
    writer.add_expert_weights_norm(config.norm_topk_prob)
    writer.add_expert_weights_scale(config.routed_scaling_factor)


def add_tokenizer(writer: GGUFWriter, config: Config) -> None:
    document = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {i: text for text, i in document["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in document["added_tokens"]}
    tokens, kinds = [], []
    for i in range(config.vocab_size):
        tokens.append(added.get(i) or vocabulary.get(i) or f"<unused{i}>")
        if i in added:
            control = added[i] in CONTROL
            kinds.append(TokenType.CONTROL if control else TokenType.USER_DEFINED)
        else:
            kinds.append(TokenType.NORMAL if i in vocabulary else TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in document["model"]["merges"]])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_pad_token_id(config.pad_token_id)
    writer.add_add_bos_token(False)
    template = (FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    writer.add_chat_template(template)


def write_gguf(
    state: dict[str, Tensor], config: Config, path: Path, *, exact: bool = False
) -> None:
    """Write the GGUF; ``exact`` keeps 32-bit floats.

    Args:
        state: `NemotronTiny`'s state dict, experts stacked.
        config: Its config.
        path: Where to.
        exact: For comparing with other implementations.
    """
    writer = GGUFWriter(path, ARCH)
    writer.add_name("nemotron-tiny")
    writer.add_file_type(LlamaFileType.ALL_F32 if exact else LlamaFileType.MOSTLY_Q8_0)
    add_architecture(writer, config)
    add_tokenizer(writer, config)
    for name, ours in names(config).items():
        values = as_gguf(name, state[ours].float(), config.n_groups).numpy()
        small = (
            values.ndim < 2 or values.shape[-1] % 32 or "ssm_conv1d" in name or "gate_inp" in name
        )
        if exact or small or "ssm_norm" in name:
            writer.add_tensor(name, np.ascontiguousarray(values))
        else:
            writer.add_tensor(name, quantize(values, Q8_0), raw_dtype=Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path: Path, config: Config) -> dict[str, Tensor]:
    """Return the state dict of a GGUF, with the values it has after quantisation."""
    wanted = NemotronTiny(config).state_dict()
    ours, found = names(config), {}
    for tensor in GGUFReader(path).tensors:
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        name = ours[tensor.name]
        if name.endswith("A_log"):
            values = (-values).log()
        found[name] = values.reshape_as(wanted[name])
    return found


def read(path: Path, config: Config) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint of `train.py`, a safetensors file or a GGUF."""
    if path.suffix == ".gguf":
        return read_gguf(path, config)
    if path.suffix == ".safetensors":
        return stacked(load_file(path))
    return torch.load(path, weights_only=True, map_location="cpu")["model"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--safetensors", type=Path)
    arguments = parser.parse_args()
    config = Config.load(FOLDER / "config.json")
    state = read(arguments.checkpoint, config)
    write_gguf(state, config, arguments.gguf)
    if arguments.safetensors:
        small = {name: t.bfloat16() if t.ndim >= 2 else t for name, t in unstacked(state).items()}
        save_file(small, arguments.safetensors, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
