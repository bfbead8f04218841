"""GGUF files with the shapes of real models and no weights: sparse files of zeros, gigabytes long and kilobytes on the disk.

An engine reads them as it reads the real ones, as far as memory goes. Shapes: the models' own config.json, tensors: as
llama.cpp's loaders ask for them.
"""

from __future__ import annotations

import struct
from pathlib import Path

# name: (number in GGUF, elements a block, bytes a block)
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210)}


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value[0], bool):
        return struct.pack("<IIQ", 9, 7, len(value)) + bytes(value)
    if isinstance(value[0], int):
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))


def write(path: Path, arch: str, keys: dict, tensors: list[tuple[str, tuple[int, ...], str]], vocabulary: int) -> None:
    tokens = [f"t{i}" for i in range(vocabulary)]
    everything = {"general.architecture": arch, "general.name": path.stem, **{f"{arch}.{k}": v for k, v in keys.items()},
                  "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": tokens,
                  "tokenizer.ggml.token_type": [1] * vocabulary, "tokenizer.ggml.merges": ["t 0"],
                  "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.bos_token_id": 0}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(everything))
    head += b"".join(_text(key) + _value(value) for key, value in everything.items())
    offset = 0
    for name, shape, kind in tensors:
        number, elements, size = TYPES[kind]
        assert shape[0] % elements == 0, name
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", number, offset)
        count = 1
        for extent in shape:
            count *= extent
        offset += -(-(count // elements * size) // 32) * 32
    head += b"\0" * (-len(head) % 32)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + offset)


def dense(arch: str, layers: int, embd: int, ff: int, heads: int, kv_heads: int, head: int, context: int, vocabulary: int, kind: str = "Q4_K",
          tied: bool = False, keys: dict | None = None, experts: tuple[int, int, int] | None = None, more=()):
    """A transformer with grouped attention. `experts`: number, used, their feed-forward length."""
    used = {"block_count": layers, "context_length": context, "embedding_length": embd, "feed_forward_length": ff,
            "attention.head_count": heads, "attention.head_count_kv": kv_heads, "attention.key_length": head,
            "attention.value_length": head, "attention.layer_norm_rms_epsilon": 1e-6, "rope.dimension_count": head}
    if experts:
        used |= {"expert_count": experts[0], "expert_used_count": experts[1], "expert_feed_forward_length": experts[2]}
    used |= keys or {}
    tensors = [("token_embd.weight", (embd, vocabulary), kind), ("output_norm.weight", (embd,), "F32")]
    if not tied:
        tensors.append(("output.weight", (embd, vocabulary), "Q6_K" if embd % 256 == 0 else kind))
    for i in range(layers):
        def add(name: str, *shape: int, of: str = kind):
            tensors.append((f"blk.{i}.{name}", shape, of if shape[0] % TYPES[of][1] == 0 else "Q8_0"))
        add("attn_norm.weight", embd, of="F32")
        add("ffn_norm.weight", embd, of="F32")
        if "fused" in more:
            add("attn_qkv.weight", embd, (heads + 2 * kv_heads) * head)
        else:
            add("attn_q.weight", embd, heads * head)
            add("attn_k.weight", embd, kv_heads * head)
            add("attn_v.weight", embd, kv_heads * head)
        if "bias" in more:
            add("attn_q.bias", heads * head, of="F32")
            add("attn_k.bias", kv_heads * head, of="F32")
            add("attn_v.bias", kv_heads * head, of="F32")
        if "qk_norm" in more:
            add("attn_q_norm.weight", head, of="F32")
            add("attn_k_norm.weight", head, of="F32")
        if "post_norm" in more:
            add("post_attention_norm.weight", embd, of="F32")
            add("post_ffw_norm.weight", embd, of="F32")
        add("attn_output.weight", heads * head, embd)
        if experts:
            number, _, width = experts
            add("ffn_gate_inp.weight", embd, number, of="F32")
            add("ffn_gate_exps.weight", embd, width, number)
            add("ffn_up_exps.weight", embd, width, number)
            add("ffn_down_exps.weight", width, embd, number)
        elif "fused" in more:
            add("ffn_up.weight", embd, 2 * ff)
            add("ffn_down.weight", ff, embd)
        else:
            add("ffn_gate.weight", embd, ff)
            add("ffn_up.weight", embd, ff)
            add("ffn_down.weight", ff, embd)
    return arch, used, tensors, vocabulary


def latent(layers: int, dense_layers: int, embd: int, ff: int, heads: int, experts: tuple[int, int, int], q_rank: int, vocabulary: int,
           kind: str = "Q4_K", kv_rank: int = 512, rope: int = 64, nope: int = 128, value: int = 128):
    """DeepSeek V2 and V3: latent attention (MLA), experts with a shared one."""
    number, used_experts, width = experts
    keys = {"block_count": layers, "context_length": 163840, "embedding_length": embd, "feed_forward_length": ff, "attention.head_count": heads,
            "attention.head_count_kv": 1, "attention.key_length": kv_rank + rope, "attention.value_length": kv_rank,
            "attention.key_length_mla": nope + rope, "attention.value_length_mla": value, "attention.kv_lora_rank": kv_rank,
            "attention.layer_norm_rms_epsilon": 1e-6, "rope.dimension_count": rope, "leading_dense_block_count": dense_layers,
            "expert_count": number, "expert_used_count": used_experts, "expert_feed_forward_length": width, "expert_shared_count": 1,
            "expert_weights_scale": 2.5, "expert_weights_norm": True, "expert_gating_func": 2, "vocab_size": vocabulary}
    if q_rank:
        keys["attention.q_lora_rank"] = q_rank
    tensors = [("token_embd.weight", (embd, vocabulary), kind), ("output_norm.weight", (embd,), "F32"),
               ("output.weight", (embd, vocabulary), "Q6_K")]
    for i in range(layers):
        def add(name: str, *shape: int, of: str = kind):
            tensors.append((f"blk.{i}.{name}.weight", shape, of if shape[0] % TYPES[of][1] == 0 else "Q8_0"))
        add("attn_norm", embd, of="F32")
        add("ffn_norm", embd, of="F32")
        if q_rank:
            add("attn_q_a", embd, q_rank)
            add("attn_q_a_norm", q_rank, of="F32")
            add("attn_q_b", q_rank, heads * (nope + rope))
        else:
            add("attn_q", embd, heads * (nope + rope))
        add("attn_kv_a_mqa", embd, kv_rank + rope)
        add("attn_kv_a_norm", kv_rank, of="F32")
        add("attn_k_b", nope, kv_rank, heads, of="Q8_0")
        add("attn_v_b", kv_rank, value, heads, of="Q8_0")
        add("attn_output", heads * value, embd)
        if i < dense_layers:
            add("ffn_gate", embd, ff)
            add("ffn_up", embd, ff)
            add("ffn_down", ff, embd)
        else:
            add("ffn_gate_inp", embd, number, of="F32")
            tensors.append((f"blk.{i}.exp_probs_b.bias", (number,), "F32"))
            add("ffn_gate_exps", embd, width, number)
            add("ffn_up_exps", embd, width, number)
            add("ffn_down_exps", width, embd, number)
            add("ffn_gate_shexp", embd, width)
            add("ffn_up_shexp", embd, width)
            add("ffn_down_shexp", width, embd)
    return "deepseek2", keys, tensors, vocabulary


def mamba(layers: int, embd: int, vocabulary: int, state: int = 16, conv: int = 4, kind: str = "Q8_0"):
    inner, rank = 2 * embd, embd // 16
    keys = {"block_count": layers, "context_length": 1 << 20, "embedding_length": embd, "feed_forward_length": 0, "attention.head_count": 0,
            "attention.layer_norm_rms_epsilon": 1e-5, "ssm.conv_kernel": conv, "ssm.inner_size": inner, "ssm.state_size": state,
            "ssm.time_step_rank": rank, "ssm.dt_b_c_rms": False}
    tensors = [("token_embd.weight", (embd, vocabulary), kind), ("output_norm.weight", (embd,), "F32")]
    for i in range(layers):
        def add(name: str, *shape: int, of: str = kind):
            tensors.append((f"blk.{i}.{name}", shape, of))
        add("attn_norm.weight", embd, of="F32")
        add("ssm_in.weight", embd, 2 * inner)
        add("ssm_conv1d.weight", conv, inner, of="F32")
        add("ssm_conv1d.bias", inner, of="F32")
        add("ssm_x.weight", inner, rank + 2 * state)
        add("ssm_dt.weight", rank, inner)
        add("ssm_dt.bias", inner, of="F32")
        add("ssm_a", state, inner, of="F32")
        add("ssm_d", inner, of="F32")
        add("ssm_out.weight", inner, embd)
    return "mamba", keys, tensors, vocabulary


SHAPES = {
    "llama-3.2-1b": lambda: dense("llama", 16, 2048, 8192, 32, 8, 64, 131072, 128256, tied=True),
    "llama-3.1-8b": lambda: dense("llama", 32, 4096, 14336, 32, 8, 128, 131072, 128256),
    "llama-3.3-70b": lambda: dense("llama", 80, 8192, 28672, 64, 8, 128, 131072, 128256),
    "mistral-7b-f16": lambda: dense("llama", 32, 4096, 14336, 32, 8, 128, 32768, 32768, kind="F16"),
    "qwen2.5-7b": lambda: dense("qwen2", 28, 3584, 18944, 28, 4, 128, 32768, 152064, more=("bias",)),
    "qwen2.5-0.5b": lambda: dense("qwen2", 24, 896, 4864, 14, 2, 64, 32768, 151936, kind="Q8_0", tied=True, more=("bias",)),
    "qwen3-14b": lambda: dense("qwen3", 40, 5120, 17408, 40, 8, 128, 40960, 151936, more=("qk_norm",)),
    "qwen3-30b-a3b": lambda: dense("qwen3moe", 48, 2048, 6144, 32, 4, 128, 40960, 151936, more=("qk_norm",), experts=(128, 8, 768)),
    "gemma-2-2b": lambda: dense("gemma2", 26, 2304, 9216, 8, 4, 256, 8192, 256000, tied=True, more=("post_norm",),
                                keys={"attention.sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    "gemma-3-4b": lambda: dense("gemma3", 34, 2560, 10240, 8, 4, 256, 131072, 262144, tied=True, more=("post_norm", "qk_norm"),
                                keys={"attention.sliding_window": 1024}),
    "deepseek-v2-lite": lambda: latent(27, 1, 2048, 10944, 16, (64, 6, 1408), 0, 102400),
    "deepseek-v3": lambda: latent(61, 3, 7168, 18432, 128, (256, 8, 2048), 1536, 129280),
    "mamba-2.8b": lambda: mamba(64, 2560, 50280),
}


def make(name: str, folder: Path) -> Path:
    path = folder / f"{name}.gguf"
    if not path.exists():
        write(path, *SHAPES[name]())
    return path
