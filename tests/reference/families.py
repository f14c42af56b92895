"""A small random model of each family that once was wrong here, by the shape that transformers builds it from."""

TOKENS = {"vocab_size": 384, "pad_token_id": 0, "eos_token_id": 1}
DECODER = TOKENS | {"bos_token_id": None}
ENCODER_DECODER = DECODER | {"decoder_start_token_id": 0}
BART_LIKE = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}
T5_LIKE = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
LLAMA_LIKE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
GEMMA = TOKENS | LLAMA_LIKE | {"bos_token_id": 2, "head_dim": 8}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
IMAGES = {"mm_tokens_per_image": 4, "image_token_index": 383, "boi_token_index": 382, "eoi_token_index": 381}

SHAPES = {
    "led": ENCODER_DECODER
    | BART_LIKE
    | {"max_encoder_position_embeddings": 512, "max_decoder_position_embeddings": 512, "attention_window": [8, 8]},
    "fsmt": {key: value for key, value in (ENCODER_DECODER | BART_LIKE).items() if key != "vocab_size"}
    | {"src_vocab_size": 384, "tgt_vocab_size": 384, "langs": ["en", "de"], "forced_eos_token_id": None},
    "opt": DECODER
    | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64, "word_embed_proj_dim": 32}
    | {"max_position_embeddings": 512},
    "prophetnet": ENCODER_DECODER
    | {"hidden_size": 32, "num_encoder_layers": 2, "num_decoder_layers": 2, "num_encoder_attention_heads": 4}
    | {"num_decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 512},
    "switch_transformers": ENCODER_DECODER
    | T5_LIKE
    | {"num_decoder_layers": 2, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    "mbart": DECODER | BART_LIKE | {"max_position_embeddings": 512, "bos_token_id": 2},  # which names no start token
    "mt5": ENCODER_DECODER | T5_LIKE,
    "umt5": ENCODER_DECODER | T5_LIKE,
    "t5gemma": TOKENS | {"bos_token_id": 2, "encoder": GEMMA, "decoder": GEMMA},
    "t5gemma2": {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "image_token_index": 383, "decoder": GEMMA}
    | {"encoder": IMAGES | {"text_config": GEMMA, "vision_config": VISION}},
    "gemma3": {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "text_config": GEMMA, "vision_config": VISION}
    | IMAGES,
    "mixtral": DECODER | LLAMA_LIKE | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "jamba": DECODER
    | LLAMA_LIKE
    | {"num_experts": 4, "num_experts_per_tok": 2, "expert_layer_period": 2, "expert_layer_offset": 1}
    | {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 4}
    | {"use_mamba_kernels": False},
    "falcon": DECODER | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "gpt_neox": DECODER
    | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    | {"max_position_embeddings": 512},
    "phi3": DECODER | LLAMA_LIKE | {"max_position_embeddings": 512, "original_max_position_embeddings": 512},
    "mamba": DECODER | {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}
