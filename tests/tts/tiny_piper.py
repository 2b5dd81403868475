"""A voice in Piper's format: an ONNX file that makes a tone of every phoneme, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HZ, PHONEME_MS, SYMBOLS = 22_050, 30, 160


def make_voice(folder: Path, name: str = "en_US-tones-low") -> None:
    """Write ``name``.onnx and its JSON: every phoneme has a pitch of its own, and 60 ms."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    samples = HZ * PHONEME_MS // 1000
    time = np.arange(samples) / HZ
    fade = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 100.0)
    pitch = 120.0 + 12.0 * np.arange(SYMBOLS)[:, None]
    tones = 0.2 * fade * sum(np.sin(2 * np.pi * n * pitch * time) / n for n in (1, 2, 3))
    tones[:3] = 0.0  # padding and the ends of a sentence
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["tones", "input"], ["spoken"]),
            helper.make_node("Reshape", ["spoken", "shape"], ["output"]),
        ],
        name,
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [
            numpy_helper.from_array(tones.astype(np.float32), "tones"),
            numpy_helper.from_array(np.array([1, 1, -1], np.int64), "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / f"{name}.onnx"))
    letters = "_^$ !',-.:;?abcdefghijklmnopqrstuvwxyzæðŋɐɑɔəɚɛɜɝɡɪɹɾʃʊʌʒʔˈˌːθᵻ"
    description = {
        "audio": {"sample_rate": HZ, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {letter: [number] for number, letter in enumerate(letters)},
        "num_symbols": SYMBOLS,
        "num_speakers": 1,
        "speaker_id_map": {},
    }
    (folder / f"{name}.onnx.json").write_text(json.dumps(description))
