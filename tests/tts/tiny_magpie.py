"""A MagpieTTS and an audio codec of NeMo's own classes, a few million random weights each.

The shapes are the real ones where they matter: 22,050 Hz, 1,024 samples a frame, 8 codebooks of
2,016 entries, an autoregressive local transformer, five baked speakers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SPEAKERS, CONTEXT, WIDTH = 5, 8, 64


def make_codec(path: Path) -> None:
    """Write a codec's .nemo."""
    from nemo.collections.tts.models import AudioCodecModel
    from omegaconf import OmegaConf

    modules = "nemo.collections.tts.modules.audio_codec_modules"
    losses = "nemo.collections.tts.losses.audio_codec_loss"
    rates = [8, 8, 4, 4]
    config = {
        "sample_rate": 22_050,
        "samples_per_frame": 1_024,
        "loss_resolutions": [[512, 128, 512]],
        "mel_loss_dims": [20],
        "commit_loss_scale": 0.0,
        "audio_encoder": {
            "_target_": f"{modules}.CausalHiFiGANEncoder",
            "encoded_dim": 32,
            "down_sample_rates": rates[::-1],
            "base_channels": 4,
        },
        "vector_quantizer": {
            "_target_": f"{modules}.GroupFiniteScalarQuantizer",
            "num_groups": 8,
            "num_levels_per_group": [8, 7, 6, 6],
        },
        "audio_decoder": {
            "_target_": f"{modules}.CausalHiFiGANDecoder",
            "input_dim": 32,
            "up_sample_rates": rates,
            "base_channels": 64,
        },
        "discriminator": {
            "_target_": f"{modules}.Discriminator",
            "discriminators": [
                {"_target_": f"{modules}.MultiPeriodDiscriminator", "periods": [2]},
            ],
        },
        "generator_loss": {"_target_": f"{losses}.GeneratorSquaredLoss"},
        "discriminator_loss": {"_target_": f"{losses}.DiscriminatorSquaredLoss"},
    }
    AudioCodecModel(OmegaConf.create(config)).save_to(str(path))


def make_magpie(path: Path, codec: Path, *, stacked: int = 1, steps: int = 36) -> None:
    """Write a model's .nemo that stacks ``stacked`` frames and says at most ``steps`` of them."""
    import torch
    from nemo.collections.tts.models import MagpieTTSModel
    from omegaconf import OmegaConf

    def transformer(layers: int, causal: bool, **more: Any) -> dict[str, Any]:
        return {
            "n_layers": layers,
            "d_model": WIDTH,
            "d_ffn": 4 * WIDTH,
            "sa_n_heads": 4,
            "kernel_size": 1,
            "is_causal": causal,
            "use_learnable_pos_emb": True,
            "max_length_causal_mask": 512,
            **more,
        }

    chars = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers.EnglishCharsTokenizer"
    config = {
        "codecmodel_path": str(codec),
        "model_type": "decoder_ce",
        "embedding_dim": WIDTH,
        "hidden_dim": WIDTH,
        "frame_stacking_factor": stacked,
        "text_tokenizers": {"english_phoneme": {"_target_": chars}},
        "encoder": transformer(2, True),
        "context_encoder": transformer(1, False),
        "decoder": transformer(
            2, True, has_xattn=True, xa_d_memory=WIDTH, xa_n_heads=1, xa_d_head=32
        ),
        "local_transformer_type": "autoregressive",
        "local_transformer_n_layers": 1,
        "local_transformer_n_heads": 1,
        "local_transformer_hidden_dim": WIDTH,
        "use_kv_cache_for_inference": True,
        "prior_end_step": 0,
        "prior_scaledown_start_step": 0,
        "prior_scaling_factor": None,
        "context_duration_min": 5.0,
        "context_duration_max": 5.0,
        "inference_parameters": {"max_decoder_steps": steps},
    }
    torch.manual_seed(7)
    model = MagpieTTSModel(OmegaConf.create(config))
    model.baked_context_embedding = torch.nn.Embedding(SPEAKERS, CONTEXT * WIDTH)
    model._baked_embedding_T = torch.tensor(CONTEXT)
    model._baked_embedding_D = torch.tensor(WIDTH)
    model.baked_context_embedding_len = torch.full((SPEAKERS,), CONTEXT)
    model.save_to(str(path))
