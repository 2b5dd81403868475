"""Write the trained network as NeMo's ``.nemo`` and as a folder of sherpa-onnx.

    python models/nemotron-speech-tiny/export.py OUT FOLDER [--chunk-ms 560]

Needs the extra ``nemo``. OUT is what ``train.py`` wrote. FOLDER gets ``nemotron-speech-tiny.nemo``
and, for chunks of so many ms, ``encoder.onnx``, ``decoder.onnx``, ``joiner.onnx`` and
``tokens.txt`` with the metadata that sherpa-onnx's own exports of the 0.6B have.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from architecture import build

NAME = "nemotron-speech-tiny"


def load(out: Path) -> Any:
    """Return the network as it was last saved."""
    model = build(out / "tokenizer")
    model.load_state_dict(torch.load(out / "state.pt", weights_only=True)["model"])
    return model.eval()


def export(model: Any, folder: Path, look_ahead: int) -> None:
    """Write the three graphs and the tokens."""
    import onnx

    encoder = model.encoder
    encoder.set_default_att_context_size([70, look_ahead])
    encoder.setup_streaming_params()
    model.set_export_config({"cache_support": True})
    parts = {"encoder": encoder, "decoder": model.decoder, "joiner": model.joint}
    for part, module in parts.items():
        module.export(str(folder / f"{part}.onnx"))
    pieces = [model.tokenizer.ids_to_tokens([n])[0] for n in range(model.tokenizer.vocab_size)]
    lines = [f"{piece} {n}\n" for n, piece in enumerate([*pieces, "<blk>"])]
    (folder / "tokens.txt").write_text("".join(lines))
    config = encoder.streaming_cfg
    channel, time, _ = encoder.get_initial_cache_state(batch_size=1)
    said = {
        "model_type": "EncDecHybridRNNTCTCBPEModel",  # what sherpa-onnx looks for
        "model_author": "voice-agent",
        "version": 1,
        "comment": f"{NAME}, chunks of {80 * (look_ahead + 1)} ms",
        "vocab_size": len(pieces),
        "subsampling_factor": 8,
        "feat_dim": 128,
        "normalize_type": "",
        "window_size": config.chunk_size[1] + config.pre_encode_cache_size[1],
        "chunk_shift": config.shift_size[1],
        "chunk_size_ms": 80 * (look_ahead + 1),
        "pred_rnn_layers": model.decoder.pred_rnn_layers,
        "pred_hidden": model.decoder.pred_hidden,
    }
    for kind, cache in (("channel", channel), ("time", time)):
        shape = [cache.shape[0], *cache.shape[2:]]
        said |= {f"cache_last_{kind}_dim{n}": size for n, size in enumerate(shape, 1)}
    graph = onnx.load(str(folder / "encoder.onnx"))
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in said.items()})
    onnx.save(graph, str(folder / "encoder.onnx"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunk-ms", type=int, default=560)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model = load(arguments.out)
    model.save_to(str(arguments.folder / f"{NAME}.nemo"))
    export(model, arguments.folder, arguments.chunk_ms // 80 - 1)


if __name__ == "__main__":
    main()
