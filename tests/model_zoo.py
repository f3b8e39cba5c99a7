"""A zoo of tiny random models, one of each causal language model that transformers knows.

Run as a script it prints how each is built: `python tests/model_zoo.py > table.txt`.
"""

import copy
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

TINY = Path(__file__).parents[1] / "resources/models/tiny"
LAYERS = 4
LOGIT_SPREAD = 1.5  # standard deviation of logits
ALTERNATE = ["sliding_attention", "full_attention"] * 2
HYBRID = ["linear_attention", "full_attention"] * 2
DENSE_FIRST = ["dense", "sparse", "sparse", "sparse"]

# fmt: off
# A family gets those of the defaults that its config has a field for. The odd features are on,
# and windows are shorter than a block of 32 tokens, so that leaving one out changes the logits.
DEFAULTS = {
    "vocab_size": 2048, "max_position_embeddings": 128, "bos_token_id": None, "eos_token_id": 0,
    "pad_token_id": None,
    # Large enough that predictions are far from uniform.
    "initializer_range": 0.15, "init_std": 0.15, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 16, "sliding_window": 8, "use_sliding_window": True, "max_window_layers": 2,
    # Low-rank queries, keys and values.
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
    "v_head_dim": 16, "index_topk": 8, "index_head_dim": 16, "index_n_heads": 2,
    # Mixtures of experts.
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4,
    "n_shared_experts": 1, "num_shared_experts": 1, "num_experts_per_tok": 2,
    "num_experts_per_token": 2, "moe_topk": 2, "moe_k": 2, "n_group": 2, "topk_group": 1,
    "num_expert_group": 2, "moe_intermediate_size": 16, "shared_intermediate_size": 16,
    "shared_expert_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16,
    "first_k_dense_replace": 1, "routed_scaling_factor": 1.5, "num_nextn_predict_layers": 0,
    # State-space layers and linear attention.
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_num_heads": 4,
    "mamba_head_dim": 16, "mamba_dt_rank": 4, "mamba_d_ssm": 64, "state_size": 8,
    "ssm_state_size": 8, "time_step_rank": 4, "chunk_size": 16, "mamba_chunk_size": 16,
    "use_mamba_kernels": False, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_head_dim": 16,
    "linear_num_heads": 2,
    # Decoders that were built with an encoder.
    "decoder_layers": LAYERS, "decoder_ffn_dim": 64, "decoder_attention_heads": 2,
    "encoder_layers": 1, "encoder_ffn_dim": 64, "encoder_attention_heads": 2,
    "num_encoder_layers": 1, "num_encoder_attention_heads": 2, "num_decoder_layers": LAYERS,
    "num_decoder_attention_heads": 2, "decoder_start_token_id": 0,
}
MULTIPLIERS = {
    "tie_word_embeddings": False,
    "logits_scaling": 8.0,
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.5,
}
LOGIT_SCALE = {"logit_scale": 0.125, "tie_word_embeddings": False}
BIASED = {"attention_bias": True, "mlp_bias": True}


def rope(kind: str = "default", **fields: float | int | list) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **fields}}


ALTERNATING_ROPE = {
    "layer_types": ALTERNATE,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    },
}
PARTIAL = rope(partial_rotary_factor=0.75)
# Scaled only in blocks longer than what the model was trained on, and blocks have 32 tokens.
TRAINED_ON = {"original_max_position_embeddings": 16}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0} | TRAINED_ON
LONG = {"short_factor": [1.0] * 8, "long_factor": [float(n) for n in range(1, 9)]}
CAPS = {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 2.0}
LOW_RANK = {"num_key_value_heads": 2, "head_dim": 8}
INKLING = {
    "swa_num_attention_heads": 2,
    "swa_num_key_value_heads": 1,
    "swa_head_dim": 16,
    "sliding_window_size": 8,
    "rel_extent": 16,
    "d_rel": 8,
    "layer_types": ["hybrid_sliding", "hybrid"] * 2,
}
PADDED = {"pad_token_id": 0}
DECODER = {"is_decoder": True}

# What differs from the defaults, by the model type and, behind a plus, the variant.
FAMILIES: dict[str, dict] = {
    "llama": {"tie_word_embeddings": False},
    "llama+tied": {"tie_word_embeddings": True},
    "llama+biased": BIASED,
    "llama+linear": rope("linear", factor=4.0),
    "llama+llama3": rope("llama3", **LLAMA3),
    "llama+yarn": rope("yarn", factor=8.0, **TRAINED_ON),
    "llama+dynamic": rope("dynamic", factor=4.0) | {"max_position_embeddings": 16},
    "afmoe": {"mup_enabled": True, "global_attn_every_n_layers": 2, "num_dense_layers": 1},
    "apertus": rope("llama3", **LLAMA3),
    "arcee": BIASED,
    "aria_text": {},
    "axk1": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "axk2": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "bailing_hybrid": {"layer_types": HYBRID, "mlp_layer_types": DENSE_FIRST},
    "bamba": {"attn_layer_indices": [1, 3]},
    "bart": {},
    "beam": {"final_logit_softcapping": 5.0, "layer_types": ALTERNATE,
        "mlp_layer_types": DENSE_FIRST},
    # Every token sees those that come after it.
    "bert": {"is_decoder": False},
    "bert+decoder": DECODER,
    "bert-generation": DECODER,
    "big_bird": {"is_decoder": True, "attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "biogpt": PADDED,
    "bitnet": {},
    "blenderbot": {},
    "blenderbot-small": {},
    "bloom": {},
    "camembert": PADDED | DECODER,
    "codegen": {"rotary_dim": 8, "num_attention_heads": 4, "n_ctx": 128},
    "cohere": LOGIT_SCALE | {"use_qk_norm": True},
    "cohere2": LOGIT_SCALE | {"layer_types": ALTERNATE},
    "cohere2_moe": LOGIT_SCALE | {"layer_types": ALTERNATE},
    "cohere_compass_text": {"layer_types": ALTERNATE, "rope_parameters": {
        kind: {"rope_type": "default", "rope_theta": theta, "mrope_section": [3, 3, 2]}
        for kind, theta in (("sliding_attention", 100.0), ("full_attention", 10000.0))}},
    # Every token sees those that come after it.
    "cpmant": {"dim_head": 16, "dim_ff": 64, "prompt_length": 4},
    "ctrl": {"dff": 64},
    "cwm": {"bos_token_id": 0, "layer_types": ALTERNATE} | rope("llama3", **LLAMA3),
    "data2vec-text": PADDED | DECODER,
    "dbrx": {"d_model": 32, "n_heads": 2, "n_layers": LAYERS, "max_seq_len": 128,
        "attn_config": {"kv_n_heads": 1, "clip_qkv": 1.0, "rope_theta": 10000.0},
        "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 16, "moe_top_k": 2}},
    "deepseek_v2": {"topk_method": "group_limited_greedy"},
    "deepseek_v3": LOW_RANK,
    "deepseek_v32": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "deepseek_v4": {"index_topk": 4, "o_groups": 2, "o_lora_rank": 16,
        "layer_types": ["sliding_attention", "compressed_sparse_attention",
            "heavily_compressed_attention", "sliding_attention"],
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
        "mlp_layer_types": ["hash_moe", "moe"] * 2},
    "diffllama": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "doge": {"keep_window_size": 8},
    # Its experts are picked by the logits of other tokens, those of later ones and blocks too.
    "doge+moe": {"is_moe": True, "num_experts": 4, "num_experts_per_tok": 2},
    "dots1": {"layer_types": ALTERNATE},
    "dots3_note_text": {"layer_types": ["indexed_attention", "sliding_attention"] * 2,
        "mlp_layer_types": DENSE_FIRST, "num_key_value_heads": 2,
        "shared_experts_intermediate_size": 16, "per_layer_config": {}},
    "electra": {"is_decoder": True, "embedding_size": 16},
    "ernie": DECODER,
    "ernie4_5": {"use_bias": True},
    "ernie4_5_moe": {"use_bias": True},
    "exaone4": {"layer_types": ALTERNATE},
    "exaone_moe": {"layer_types": ALTERNATE, "mlp_layer_types": DENSE_FIRST},
    "falcon": {"ffn_hidden_size": 64},
    "falcon+alibi": {"alibi": True, "bias": True, "parallel_attn": False, "ffn_hidden_size": 64},
    "falcon+new": {"new_decoder_architecture": True, "num_kv_heads": 1, "ffn_hidden_size": 64},
    "falcon_h1": {"lm_head_multiplier": 0.5, "embedding_multiplier": 3.0,
        "mlp_multipliers": [0.5, 2.0], "key_multiplier": 2.0, "attention_out_multiplier": 0.5,
        "ssm_multipliers": [0.5, 2.0, 0.7, 1.5, 0.8], "ssm_out_multiplier": 0.5},
    "falcon_mamba": {},
    "flex_olmo": {},
    "flint": {"layer_types": ALTERNATE, "mlp_only_layers": [0]},
    "gemma": {"head_dim": 24},
    "gemma2": CAPS | {"layer_types": ALTERNATE, "query_pre_attn_scalar": 8},
    # Its class does not cap logits, whatever the config of its text model says.
    "gemma3": {"text_config": {
            "model_type": "gemma3_text", "final_logit_softcapping": 5.0, **ALTERNATING_ROPE},
        "vision_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 1, "image_size": 28},
        "mm_tokens_per_image": 4, "image_token_index": 2047, "boi_token_index": 2046,
        "eoi_token_index": 2045},
    "gemma3_text": ALTERNATING_ROPE | {"final_logit_softcapping": 5.0,
        "query_pre_attn_scalar": 8},
    "gemma3n_text": ALTERNATING_ROPE | {"final_logit_softcapping": 5.0,
        "vocab_size_per_layer_input": 2048, "hidden_size_per_layer_input": 8, "laurel_rank": 8,
        "num_kv_shared_layers": 2, "activation_sparsity_pattern": [0.5, 0.5, 0.0, 0.0]},
    "gemma4_text": ALTERNATING_ROPE | {"final_logit_softcapping": 5.0,
        "vocab_size_per_layer_input": 2048, "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 2},
    "gemma4_text+moe": ALTERNATING_ROPE | {"enable_moe_block": True, "top_k_experts": 2,
        "attention_k_eq_v": True, "vocab_size_per_layer_input": 2048,
        "hidden_size_per_layer_input": 0},
    "gemma4_unified_text": ALTERNATING_ROPE | {"final_logit_softcapping": 5.0},
    "glm": PARTIAL,
    "glm4": PARTIAL,
    "glm4_moe": PARTIAL | {"use_qk_norm": True},
    "glm4_moe_lite": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "glm_moe_dsa": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "gpt-sw3": {},
    "gpt2": {},
    "gpt2+scaled": {"scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False},
    "gpt_bigcode": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 8},
    "gpt_neox": {},
    "gpt_neox+sequential": {"use_parallel_residual": False, "attention_bias": False},
    "gpt_neox_japanese": {},
    "gpt_oss": {"layer_types": ALTERNATE} | rope("yarn", factor=8.0, **TRAINED_ON),
    "gptj": {"rotary_dim": 8},
    "granite": MULTIPLIERS,
    "granite_swa": MULTIPLIERS | {"layer_types": ALTERNATE},
    "granitemoe": MULTIPLIERS,
    "granitemoe_swa": MULTIPLIERS | {"layer_types": ALTERNATE},
    "granitemoehybrid": MULTIPLIERS | {"layer_types": HYBRID},
    "granitemoeshared": MULTIPLIERS,
    "helium": {},
    "hrm_text": {"num_hidden_layers": LAYERS},
    "hunyuan_v1_dense": {},
    "hunyuan_v1_moe": {},
    "hy_v3": {"mlp_layer_types": DENSE_FIRST},
    "hy_v4": LOW_RANK | {"mlp_layer_types": DENSE_FIRST},
    "hyperclovax": MULTIPLIERS,
    "inkling2_text": INKLING | {"final_logit_softcapping": 5.0},
    "inkling_text": INKLING | {"mlp_layer_types": DENSE_FIRST},
    "internlm3": {},
    "iquestcoder": {},
    "jais2": {},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_offset": 0},
    "jetmoe": {"kv_channels": 16},
    "kimi_linear": {"layer_types": HYBRID, "mlp_layer_types": DENSE_FIRST},
    "kolibri1": {},
    "laguna": {"layer_types": ALTERNATE, "num_attention_heads_per_layer": [2] * LAYERS,
        "mlp_layer_types": DENSE_FIRST},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "lfm3": {"layer_types": ["conv", "full_attention", "conv", "sliding_attention"]},
    "llama4_text": {"intermediate_size_mlp": 64, "interleave_moe_layer_step": 2,
        "attention_chunk_size": 8, "no_rope_layers": [1, 1, 1, 0], "floor_scale": 4},
    "longcat_flash": LOW_RANK | {"num_layers": LAYERS, "ffn_hidden_size": 64,
        "zero_expert_num": 2, "expert_ffn_hidden_size": 16},
    "mamba": {},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 2},
    "marian": PADDED,
    "mbart": {},
    "megatron-bert": DECODER,
    "mellum": {"layer_types": ALTERNATE},
    "mimo_v2_flash": {"layer_types": ALTERNATE, "mlp_layer_types": DENSE_FIRST},
    "minicpm3": {"scale_emb": 3, "dim_model_base": 8, "num_key_value_heads": 2,
        "tie_word_embeddings": False},
    "minimax": {"layer_types": HYBRID, "block_size": 8, "linear_attn_alpha_factor": 1.5},
    "minimax_m2": {},
    "minimax_m3_vl_text": {},
    "ministral": {"layer_types": ALTERNATE},
    "ministral3": {},
    "mistral": {},
    "mixtral": {},
    "modernbert-decoder": PADDED | {"bos_token_id": 0, "cls_token_id": 0,
        "layer_types": ALTERNATE, "local_attention": 16},
    "moshi": {"ffn_dim": 64},
    "mpt": {},
    "mvp": {},
    "nanochat": {"final_logit_softcapping": 5.0},
    "nemotron": PARTIAL | BIASED,
    "nemotron_h": {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        "n_groups": 2},
    "olmo": {"clip_qkv": 1.0},
    "olmo2": {},
    "olmo3": {"layer_types": ALTERNATE},
    "olmo_hybrid": {"layer_types": HYBRID},
    "olmoe": {"clip_qkv": 1.0, "norm_topk_prob": True},
    "openai-gpt": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32, "pad_token_id": 1},
    "opt+projected": {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False,
        "pad_token_id": 1},
    "pegasus": PADDED,
    "persimmon": PARTIAL,
    "phi": PARTIAL | {"qk_layernorm": True},
    "phi3": PARTIAL,
    "phi3+longrope": rope("longrope", **LONG, factor=8.0) | TRAINED_ON,
    "phimoe": {"attention_bias": True, "lm_head_bias": True},
    "plbart": {},
    # Gives what it predicts for the next token and the one after it.
    "prophetnet": PADDED,
    "qwen2": {},
    "qwen2_moe": {"decoder_sparse_step": 2},
    "qwen3": {"head_dim": 24},
    "qwen3_5_moe_text": {"layer_types": HYBRID},
    "qwen3_5_text": {"layer_types": HYBRID},
    "qwen3_moe": {"mlp_only_layers": [1], "norm_topk_prob": True},
    "qwen3_next": {"layer_types": HYBRID},
    "qwen4_exp_text": {"layer_types": HYBRID, "hc_lowrank": 8, "indexer_n_heads": 2,
        "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 8,
        "indexer_compress_ratio": 4},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8, "logits_soft_cap": 5.0,
        "tie_word_embeddings": False, "block_types": ["recurrent", "attention"]},
    "reformer": DECODER | {"axial_pos_embds": False, "attn_layers": ["local"] * LAYERS,
        "local_attn_chunk_length": 8, "attention_head_size": 16, "feed_forward_size": 64},
    "rembert": {"is_decoder": True, "input_embedding_size": 16, "output_embedding_size": 24},
    "roberta": PADDED | {"is_decoder": False},
    "roberta+decoder": PADDED | DECODER,
    "roberta-prelayernorm": PADDED | DECODER,
    "roc_bert": DECODER | {"pronunciation_vocab_size": 8, "pronunciation_embed_dim": 8,
        "shape_vocab_size": 8, "shape_embed_dim": 8},
    "roformer": DECODER,
    # Divides the weights of its later layers, in place, when it is first run.
    "rwkv": {"attention_hidden_size": 32, "rescale_every": 2, "context_length": 128},
    "seed_oss": BIASED | {"attention_out_bias": True},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "layer_types": ALTERNATE},
    "solar_open": {},
    "stablelm": PARTIAL | {"use_qkv_bias": True, "qk_layernorm": True},
    "stablelm+parallel": PARTIAL | {"use_parallel_residual": True},
    "starcoder2": {},
    "trocr": {},
    "vaultgemma": CAPS | {"layer_types": ALTERNATE, "query_pre_attn_scalar": 8},
    "whisper": {"max_target_positions": 128},
    "xglm": {"ffn_dim": 64, "num_layers": LAYERS, "attention_heads": 2, "d_model": 32},
    "xlm": PADDED | {"causal": True, "embed_init_std": 0.15},
    "xlm-roberta": PADDED | DECODER,
    "xlm-roberta-xl": PADDED | DECODER,
    # Every token sees those that come after it.
    "xlnet": {"d_head": 16, "d_inner": 64},
    "xlstm": {"num_heads": 2, "output_logit_soft_cap": 5.0, "ffn_round_up_to_multiple_of": 16},
    "xmod": PADDED | DECODER | {"default_language": "en_XX"},
    "youtu": LOW_RANK | {"embedding_initializer_range": 0.15},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "attention_head_dim": 32,
        "num_key_value_heads": 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "n_mamba_heads": 4,
        "head_dim": 32, "num_key_value_heads": 2, "use_mem_rope": True,
        "use_shared_attention_adapter": True, "adapter_rank": 8},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}
LEFT_OUT: dict[str, str] = {
    "blt": "reads bytes in patches, and has models inside that find them",
    "dots3_note": "images and text; its text model is dots3_note_text",
    "emu3": "images and text",
    "fuyu": "images and text; its text model is persimmon",
    "gemma3n": "needs the package timm; its text model is gemma3n_text",
    "gemma4": "images and text; its text model is gemma4_text",
    "gemma4_assistant": "reads the states of another model",
    "gemma4_unified": "images and text; its text model is gemma4_unified_text",
    "gemma4_unified_assistant": "reads the states of another model",
    "git": "images and text",
    "got_ocr2": "images and text; its text model is qwen2",
    "llama4": "images and text; its text model is llama4_text",
    "mllama": "images and text",
    "moss_transcribe_diarize": "sound and text",
    "musicgen": "writes sound",
    "musicgen_melody": "writes sound",
    "phi4_multimodal": "images, sound and text",
    "qwen3_5": "images and text; its text model is qwen3_5_text",
    "qwen3_5_moe": "images and text; its text model is qwen3_5_moe_text",
    "qwen4_exp": "images and text; its text model is qwen4_exp_text",
}
# fmt: on


def make(name: str, folder: Path) -> None:
    """Write a model's weights and config, in float32, and the tokenizer of the tiny model."""
    build(name).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / file, folder / file)


def reference(
    folder: Path, tokens: Int[Tensor, "blocks length"]
) -> Float[Tensor, "blocks length vocabulary"]:
    """Return the logits that transformers itself computes."""
    network = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval()
    return logits_of(network, tokens)


def logits_of(network: nn.Module, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(input_ids=tokens.long(), use_cache=False).logits.float()


def configure(name: str) -> PreTrainedConfig:
    """Return the config of a family: the defaults that it has fields for, and its own values."""
    own = fill(name.split("+")[0], FAMILIES[name])
    return CONFIG_MAPPING[name.split("+")[0]](**own)


def fill(kind: str, own: dict) -> dict:
    plain = CONFIG_MAPPING[kind]()
    alias = plain.attribute_map
    fields = {*plain.to_dict(), *alias}
    assert fields >= own.keys(), f"{kind} has no {own.keys() - fields}"
    taken = {alias.get(field, field) for field in own}
    values = {
        field: value
        for field, value in DEFAULTS.items()
        if field in fields and alias.get(field, field) not in taken
    } | own
    if "model_type" in own.get("text_config", {}):
        text = own["text_config"]
        values["text_config"] = fill(text["model_type"], text)
    return values


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(configure(name)).eval()
    perturb(network)
    sharpen(network)
    return network


def sharpen(network: nn.Module) -> None:
    """Scale the output head, so that predictions are far from uniform."""
    # A copy, since RWKV rescales its weights when it is first run.
    spread = logits_of(copy.deepcopy(network), blocks()).std()
    with torch.no_grad():
        network.get_output_embeddings().weight *= LOGIT_SPREAD / spread


def blocks() -> Int[Tensor, "blocks length"]:
    return torch.randint(1, 2045, (3, 32), generator=torch.Generator().manual_seed(1))


def perturb(network: nn.Module) -> None:
    """Move biases, norms and other weights that start at 0 or 1, so that dropping one shows."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() < 2 or weight.min() == weight.max():
                weight += 0.1 * torch.randn_like(weight)
            elif weight.dim() == 2 and weight.std() < 0.05:
                # The maps of the first GPT and the embeddings of RWKV ignore the config's range.
                weight *= DEFAULTS["initializer_range"] / weight.std()
        for name, weight in network.named_buffers():
            if name.endswith(("bias", "layer_scalar")) and name in network.state_dict():
                weight += 0.1 * torch.randn_like(weight)


def describe(name: str) -> dict[str, object]:
    """Return how a family is built, and what of the plain decoder it departs from."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        make(name, Path(folder))
        seconds = time.perf_counter() - start
        read = reference(Path(folder), blocks())
    network = build(name)
    logits = logits_of(network, blocks())
    chances = logits.softmax(dim=-1)
    return {
        "family": name,
        "class": type(network).__name__,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "seconds to make": round(seconds, 1),
        "changed by saving": (read - logits).abs().max().item(),
        "entropy": round(-(chances * chances.log()).sum(dim=-1).mean().item(), 2),
        **describe_layers(network),
        **describe_head(network, logits),
        **describe_order(network, logits),
    }


def describe_layers(network: nn.Module) -> dict[str, object]:
    depth = network.config.get_text_config().num_hidden_layers
    stacks = {
        name: len(module)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and not name.startswith("model.vision")
    }
    path = next((name for name, length in stacks.items() if length == depth), None)
    path = path or max(stacks, key=stacks.get)
    layers = [
        " ".join(name for name, module in layer.named_modules() if isinstance(module, nn.Linear))
        for layer in network.get_submodule(path)
    ]
    return {"layers": f"{path} ({len(layers)})", "linears by layer": list(dict.fromkeys(layers))}


def describe_head(network: nn.Module, logits: Tensor) -> dict[str, object]:
    decoder, head = network.get_decoder(), network.get_output_embeddings()
    seen = {}
    decoder.register_forward_hook(lambda _, inputs, output: seen.update(states=output[0]))
    head.register_forward_hook(lambda _, read, output: seen.update(read=read[0], output=output))
    logits_of(network, blocks())
    same = seen["read"].shape == seen["states"].shape and seen["read"].equal(seen["states"])
    scale, scaled = 0.0, False
    if seen["output"].shape == logits.shape:
        scale = (logits / seen["output"]).median().item()
        scaled = torch.allclose(logits, scale * seen["output"], atol=1e-4)
    names = {module: name for name, module in network.named_modules()}
    return {
        "decoder": names[decoder] or "the model itself",
        "head": f"{names[head]} {type(head).__name__}{'' if head.bias is None else ' with bias'}",
        "the head reads what the decoder gives": same,
        "logits": f"{scale:.4g} times what the head gives" if scaled else "capped or other",
    }


def describe_order(network: nn.Module, logits: Tensor) -> dict[str, object]:
    later, earlier = blocks(), blocks()
    later[:, 16:] = later[:, 16:].flip(1)
    earlier[:, :8] = earlier[:, :8].flip(1)
    alone = torch.cat([logits_of(network, block) for block in blocks().split(1)])
    return {
        "seen of later tokens": (logits_of(network, later) - logits)[:, :16].abs().max().item(),
        "seen of order": (logits_of(network, earlier) - logits)[:, 8:].abs().max().item(),
        "seen of other blocks": (alone - logits).abs().max().item(),
    }


if __name__ == "__main__":
    known = {name.split("+")[0] for name in FAMILIES} | LEFT_OUT.keys()
    assert known == MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys(), known
    for name in sys.argv[1:] or FAMILIES:
        facts = "\n    ".join(f"{key}: {value}" for key, value in describe(name).items())
        sys.stdout.write(f"{facts}\n")
