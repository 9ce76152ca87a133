"""Architectures that nobody here wrote: classes of `transformers` and `torch.nn`, tiny, with random weights.

Each is a row: the class, its configuration made small, and the inputs it takes. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")

SIDE = 32
WORDS = 64


@dataclass(frozen=True)
class Animal:
    """An architecture by its class's name; `settings` go to its configuration, `inputs` makes what it is given."""

    name: str
    type: str
    inputs: Callable[[], dict[str, Tensor]]
    settings: dict[str, Any] = field(default_factory=dict)
    config: str = ""

    def made(self) -> nn.Module:
        """The network with random weights, in evaluation mode: nothing in it is then drawn at random."""
        torch.manual_seed(0)
        if not self.config:
            return getattr(nn, self.type)(**self.settings).eval()
        settings = {key: value() if callable(value) else value for key, value in self.settings.items()}
        config = getattr(transformers, self.config)(**settings)
        return getattr(transformers, self.type)(config).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def words(length: int = 7) -> Tensor:
    return torch.randint(3, WORDS, (2, length), generator=torch.Generator().manual_seed(1))


def text() -> dict[str, Tensor]:
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    return {"input_ids": words(), "attention_mask": mask}


def plain_text() -> dict[str, Tensor]:
    return {"input_ids": words()}


def pair() -> dict[str, Tensor]:
    return {"input_ids": words(), "decoder_input_ids": words(5)}


def picture(side: int = SIDE) -> dict[str, Tensor]:
    return {"pixel_values": noise(2, 3, side, side)}


def masked_picture() -> dict[str, Tensor]:
    return {"pixel_values": noise(1, 3, 64, 64), "pixel_mask": torch.ones(1, 64, 64, dtype=torch.int64)}


def sound() -> dict[str, Tensor]:
    return {"input_values": noise(2, 400)}


def speech() -> dict[str, Tensor]:
    return {"input_features": noise(2, 8, 40), "decoder_input_ids": words(5)}


def captioned() -> dict[str, Tensor]:
    return {"input_ids": words(), "pixel_values": noise(2, 3, SIDE, SIDE)}


def series() -> dict[str, Tensor]:
    return {"past_values": noise(2, 16, 3)}


def dated() -> dict[str, Tensor]:
    return {
        "past_values": noise(2, 15),
        "past_time_features": noise(2, 15, 2),
        "past_observed_mask": torch.ones(2, 15),
        "future_values": noise(2, 4),
        "future_time_features": noise(2, 4, 2),
    }


def sequence() -> dict[str, Tensor]:
    return {"input": noise(2, 6, 8)}


def translated() -> dict[str, Tensor]:
    return {"src": noise(2, 6, 8), "tgt": noise(2, 5, 8)}


def triple() -> dict[str, Tensor]:
    return {"query": noise(2, 6, 8), "key": noise(2, 5, 8), "value": noise(2, 5, 8)}


def small_resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )


def deep_resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, out_features=["stage2", "stage3", "stage4"]
    )


ENCODER = {
    "vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 32,
}  # fmt: skip
ROBERTA = ENCODER | {"pad_token_id": 1}
DECODER = ENCODER | {"num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
EXPERTS = DECODER | {"head_dim": 8}
VISION = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": SIDE,
    "patch_size": 8,
}  # fmt: skip
BART = {
    "vocab_size": WORDS, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 32,
}  # fmt: skip
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
T5 = {
    "vocab_size": WORDS, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2,
    "decoder_start_token_id": 0,
}  # fmt: skip
WAVE = {
    "vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
CLIP_TEXT = ENCODER | {"eos_token_id": 2, "pad_token_id": 1, "bos_token_id": 0}
DETECTOR = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_queries": 5,
}  # fmt: skip


def _model(name: str, inputs: Callable[[], dict[str, Tensor]], settings: dict[str, Any], type: str = "Model") -> Animal:
    """A class of `transformers` and its configuration share the beginning of their names."""
    return Animal(name, name + type, inputs, settings, name + "Config")


TEXT = (
    _model("Bert", text, ENCODER, "ForSequenceClassification"),
    _model("Roberta", text, ROBERTA, "ForMaskedLM"),
    _model("DistilBert", text, {"vocab_size": WORDS, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}),
    _model("Albert", text, ENCODER | {"embedding_size": 8}),
    _model("Electra", text, ENCODER | {"embedding_size": 8}),
    _model("DebertaV2", text, ENCODER | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    _model("MPNet", text, ROBERTA),
    _model("ModernBert", text, ENCODER | {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1,
                                          "cls_token_id": 1, "sep_token_id": 2}),
    _model("FNet", plain_text, {key: ENCODER[key] for key in ENCODER if key != "num_attention_heads"}),
    _model("GPT2", text, {"vocab_size": WORDS, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32,
                          "bos_token_id": 1, "eos_token_id": 2}, "LMHeadModel"),
    _model("GPTNeoX", text, ENCODER, "ForCausalLM"),
    _model("OPT", text, {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "ffn_dim": 32,
                         "num_attention_heads": 2, "max_position_embeddings": 32, "word_embed_proj_dim": 16}),
    _model("Bloom", text, {"vocab_size": WORDS, "hidden_size": 16, "n_layer": 2, "n_head": 2}),
    _model("Llama", text, DECODER, "ForCausalLM"),
    _model("Mistral", text, DECODER),
    _model("Qwen2", text, DECODER),
    _model("Qwen3", text, EXPERTS),
    _model("Gemma", text, EXPERTS, "ForCausalLM"),
    _model("Phi", text, DECODER),
    _model("Mixtral", text, DECODER | {"num_local_experts": 3}),
    _model("Qwen2Moe", text, DECODER | {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
                                        "shared_expert_intermediate_size": 16}),
    _model("Mamba", plain_text, {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
           "ForCausalLM"),
    _model("Rwkv", plain_text, {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2,
                                "attention_hidden_size": 16, "context_length": 32, "use_cache": False}),
    _model("T5", pair, T5, "ForConditionalGeneration"),
    _model("LongT5", pair, T5 | {"local_radius": 3}),
    _model("Bart", pair, BART | TOKENS | {"forced_eos_token_id": 2}, "ForConditionalGeneration"),
    _model("Pegasus", pair, BART | TOKENS),
)  # fmt: skip
SIGHT = (
    _model("ViT", picture, VISION, "ForImageClassification"),
    _model("DeiT", picture, VISION),
    _model("Dinov2", picture, {k: v for k, v in VISION.items() if k != "intermediate_size"} | {"mlp_ratio": 2}),
    _model("Beit", picture, VISION),
    _model("Swin", picture, {"image_size": SIDE, "patch_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 2],
                             "window_size": 4}, "ForImageClassification"),
    _model("ConvNext", picture, {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2}),
    _model("ResNet", picture, {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 1]},
           "ForImageClassification"),
    _model("RegNet", picture, {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "groups_width": 4}),
    _model("MobileNetV2", picture, {"image_size": SIDE, "depth_multiplier": 0.35}),
    _model("EfficientNet", picture, {
        "width_coefficient": 0.25, "depth_coefficient": 0.3, "image_size": SIDE, "hidden_dim": 320}),
    _model("Segformer", picture, {
        "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [4, 2], "hidden_sizes": [8, 16],
        "num_attention_heads": [1, 2], "patch_sizes": [7, 3], "strides": [4, 2], "mlp_ratios": [2, 2],
        "decoder_hidden_size": 8},
        "ForSemanticSegmentation"),
    _model("PoolFormer", picture, {"hidden_sizes": [8, 16], "depths": [1, 1], "num_encoder_blocks": 2,
                                   "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]}),
    _model("Yolos", picture, VISION | {"image_size": [SIDE, SIDE], "num_detection_tokens": 4}, "ForObjectDetection"),
    _model("Detr", masked_picture, DETECTOR | {
        "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
        "backbone_config": small_resnet},
        "ForObjectDetection"),
    _model("DeformableDetr", masked_picture, DETECTOR | {
        "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "backbone_config": deep_resnet,
        "num_feature_levels": 3, "d_model": 32},
        "ForObjectDetection"),
    _model("DPT", picture, VISION | {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3],
                                     "neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8,
                                     "is_hybrid": False}, "ForDepthEstimation"),
)  # fmt: skip
SOUND_AND_MORE = (
    _model("Wav2Vec2", sound, WAVE, "ForCTC"),
    _model("Hubert", sound, WAVE),
    _model("Whisper", speech, {key: BART[key] for key in BART if key != "max_position_embeddings"} | TOKENS | {
        "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 16}, "ForConditionalGeneration"),
    _model("CLIP", captioned, {"text_config": CLIP_TEXT, "vision_config": VISION, "projection_dim": 8}),
    _model("Siglip", captioned, {"text_config": CLIP_TEXT, "vision_config": VISION}),
    _model("PatchTST", series, {"num_input_channels": 3, "context_length": 16, "patch_length": 4, "patch_stride": 4,
                                "d_model": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32,
                                "prediction_length": 4}, "ForPrediction"),
    _model("TimeSeriesTransformer", dated, {
        "prediction_length": 4, "context_length": 8, "lags_sequence": [1, 2, 7], "num_time_features": 2, "d_model": 16,
        "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "scaling": False}, "ForPrediction"),
    Animal("Transformer", "Transformer", translated,
           {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 16,
            "batch_first": True}),
    Animal("MultiheadAttention", "MultiheadAttention", triple, {"embed_dim": 8, "num_heads": 2, "batch_first": True}),
    Animal("LSTM", "LSTM", sequence, {"input_size": 8, "hidden_size": 6, "num_layers": 2, "bidirectional": True,
                                      "batch_first": True}),
    Animal("GRU", "GRU", sequence, {"input_size": 8, "hidden_size": 6, "num_layers": 2, "batch_first": True}),
    Animal("RNN", "RNN", sequence, {"input_size": 8, "hidden_size": 6, "batch_first": True}),
)  # fmt: skip
ZOO = {animal.name: animal for animal in (*TEXT, *SIGHT, *SOUND_AND_MORE)}


def scalar(outputs: Any) -> Tensor:
    """A loss for any of them: the mean of the first tensor of real numbers among the outputs."""
    first = outputs
    while not isinstance(first, Tensor):
        first = next(iter(first.values() if hasattr(first, "values") else first))
    return first.mean()
