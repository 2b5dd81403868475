"""The network: Nemotron Speech's streaming ASR in small, built with NeMo's own classes.

Every choice that shapes streaming is the 0.6B's (nvidia/nemotron-speech-streaming-en-0.6b):
cache-aware FastConformer with causal down-sampling by 8, causal convolutions of 9, layer norm in
them, chunked limited attention with contexts [70, 13], [70, 6], [70, 1] and [70, 0], an RNN
transducer with an LSTM predictor, 128 mel features that are not normalised. Only widths and
depths are smaller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTEXTS = [[70, 13], [70, 6], [70, 1], [70, 0]]
WIDTH, LAYERS, HEADS = 96, 4, 4
CHANNELS = 32
"""Of the down-sampling; times 17 it must divide by 32 for NeMo-Speech.cpp's q8_0."""
PREDICTOR = 96


def config(tokenizer: Path) -> dict[str, Any]:
    """Return NeMo's configuration of the model, as it is stored in the .nemo."""
    mel = {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "normalize": "NA",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": 128,
        "n_fft": 512,
        "frame_splicing": 1,
        "dither": 1e-5,
        "pad_to": 0,
    }
    encoder = {
        "_target_": "nemo.collections.asr.modules.ConformerEncoder",
        "feat_in": 128,
        "feat_out": -1,
        "n_layers": LAYERS,
        "d_model": WIDTH,
        "use_bias": False,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": CHANNELS,
        "causal_downsampling": True,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "n_heads": HEADS,
        "att_context_size": CONTEXTS,
        "att_context_probs": [0.125, 0.5, 0.375, 0.0],
        "att_context_style": "chunked_limited",
        "xscaling": False,
        "untie_biases": True,
        "pos_emb_max_len": 512,
        "conv_kernel_size": 9,
        "conv_norm_type": "layer_norm",
        "conv_context_size": "causal",
        "dropout": 0.05,
        "dropout_pre_encoder": 0.05,
        "dropout_emb": 0.0,
        "dropout_att": 0.05,
    }
    decoder = {
        "_target_": "nemo.collections.asr.modules.RNNTDecoder",
        "normalization_mode": None,
        "random_state_sampling": False,
        "blank_as_pad": True,
        "prednet": {"pred_hidden": PREDICTOR, "pred_rnn_layers": 1, "dropout": 0.1},
    }
    joint = {
        "_target_": "nemo.collections.asr.modules.RNNTJoint",
        "log_softmax": None,
        "preserve_memory": False,
        "fuse_loss_wer": False,
        # With dropout its last layer is called as in the 0.6B; NeMo-Speech.cpp asks for it by name.
        "jointnet": {"joint_hidden": PREDICTOR, "activation": "relu", "dropout": 0.05},
    }
    return {
        "sample_rate": 16000,
        "compute_eval_loss": False,
        "log_prediction": False,
        "model_defaults": {
            "enc_hidden": WIDTH,
            "pred_hidden": PREDICTOR,
            "joint_hidden": PREDICTOR,
        },
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "preprocessor": mel,
        "encoder": encoder,
        "decoder": decoder,
        "joint": joint,
        "decoding": {
            "strategy": "greedy_batch",
            "greedy": {"max_symbols": 10, "use_cuda_graph_decoder": False},
        },
        "loss": {"loss_name": "default"},
        "optim": {"name": "adamw", "lr": 0.001},
    }


def build(tokenizer: Path) -> Any:
    """Return an untrained EncDecRNNTBPEModel whose words are those of ``tokenizer``, a folder."""
    import torch
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    from omegaconf import OmegaConf

    model = EncDecRNNTBPEModel(OmegaConf.create(config(tokenizer)))
    # The log-mel is not normalised, its mean is about -10: kernels of zero mean do not see that,
    # and training starts at once.
    first = next(m for m in model.encoder.pre_encode.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight -= first.weight.mean(dim=(2, 3), keepdim=True)
    return model
