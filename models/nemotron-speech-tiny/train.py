"""Train the network on the speech of ``speech.py``; stops at any time and goes on from there.

    python models/nemotron-speech-tiny/train.py SPEECH OUT --steps 4000

Needs the extra ``nemo``. SPEECH may still be growing. OUT gets ``tokenizer/``, ``state.pt`` (every
two minutes) and a line of ``log.jsonl`` every 50 steps. While the file ``--pause`` names exists,
it waits.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from architecture import build
from speech import RATE_HZ, sentences
from transducer_loss import transducer_loss

BATCH_S = 18.0
POOL = 12
"""Batches made at once from rows sorted by length, so that little is padding."""
TOKENS = 128
SAVE_S = 120.0


class Speech:
    """Rows of one or two utterances with noise and pauses around them."""

    def __init__(self, folder: Path, voices: list[str], seed: int) -> None:
        self._folder = folder
        self._voices = set(voices)
        self._rng = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._reload()

    def _reload(self) -> None:
        lines = (self._folder / "speech.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        self._index = [
            each for each in entries if not self._voices or each["voice"] in self._voices
        ]
        self._pcm = np.memmap(self._folder / "speech.pcm", np.int16, "r")

    def row(self) -> tuple[np.ndarray, str]:
        rng = self._rng
        parts = [np.zeros(int(RATE_HZ * rng.uniform(0.05, 0.6)), np.float32)]
        texts = []
        for _ in range(rng.choices((1, 2), (7, 3))[0]):
            entry = rng.choice(self._index)
            at = entry["start"]
            voice = self._pcm[at : at + entry["samples"]].astype(np.float32) / 32768
            parts += [voice, np.zeros(int(RATE_HZ * rng.uniform(0.2, 0.9)), np.float32)]
            texts.append(entry["text"])
        samples = np.concatenate(parts) * 10 ** (rng.uniform(-10, 4) / 20)
        floor = 10 ** (rng.uniform(-85, -65) / 20)
        samples += self._noise.standard_normal(len(samples), np.float32) * floor
        return samples, " ".join(texts)

    def batches(self) -> list[list[tuple[np.ndarray, str]]]:
        self._reload()
        rows, total_s = [], 0.0
        while total_s < BATCH_S * POOL:
            rows.append(self.row())
            total_s += len(rows[-1][0]) / RATE_HZ
        rows.sort(key=lambda row: len(row[0]))
        batches: list[list[tuple[np.ndarray, str]]] = [[]]
        for row in rows:
            if (len(batches[-1]) + 1) * len(row[0]) > BATCH_S * RATE_HZ and batches[-1]:
                batches.append([])
            batches[-1].append(row)
        self._rng.shuffle(batches)
        return batches


def tokenizer(folder: Path) -> Path:
    """Make the word pieces from what callers say, by the grammar, once."""
    import sentencepiece

    if not (folder / "vocab.txt").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _, draw = sentences(0)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([draw() for _ in range(20_000)]),
            model_prefix=str(folder / "tokenizer"),
            model_type="bpe",
            vocab_size=TOKENS,
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
        )
        pieces = (folder / "tokenizer.vocab").read_text().splitlines()
        words = [piece.split("\t")[0] for piece in pieces if not piece.startswith("<unk>")]
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def collate(batch: list[tuple[np.ndarray, str]], tokens: Any) -> tuple[torch.Tensor, ...]:
    texts = [torch.tensor(tokens.text_to_ids(text)) for _, text in batch]
    sounds = [torch.from_numpy(samples.astype(np.float32)) for samples, _ in batch]
    pad = torch.nn.utils.rnn.pad_sequence
    return (
        pad(sounds, batch_first=True),
        torch.tensor([len(sound) for sound in sounds]),
        pad(texts, batch_first=True),
        torch.tensor([len(text) for text in texts]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--voices", nargs="*", default=[], help="only these of SPEECH")
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--pause", type=Path, default=Path("pause"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = build(tokenizer(arguments.out / "tokenizer"))
    classes = model.decoder.vocab_size
    # A second head that needs no predictor: it teaches the encoder sounds, and is then dropped.
    ctc = torch.nn.Linear(model.encoder.d_model, classes + 1)
    parameters = [*model.parameters(), *ctc.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=arguments.rate, betas=(0.9, 0.98), weight_decay=1e-3
    )
    step = 0
    state = arguments.out / "state.pt"
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        ctc.load_state_dict(kept["ctc"])
        optimiser.load_state_dict(kept["optimiser"])
        step = kept["step"]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)

    def save() -> None:
        kept = {
            "model": model.state_dict(),
            "ctc": ctc.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
        }
        torch.save(kept, state.with_suffix(".part"))
        state.with_suffix(".part").replace(state)

    speech = Speech(arguments.speech, arguments.voices, seed=step + 1)
    model.train()
    losses: list[tuple[float, float]] = []
    saved_s = time.monotonic()
    queue: list[list[tuple[np.ndarray, str]]] = []
    while step < arguments.steps:
        while arguments.pause.exists():
            time.sleep(5)
        queue = queue or speech.batches()
        sounds, samples, texts, lengths = collate(queue.pop(), model.tokenizer)
        done = step / arguments.steps
        rate = arguments.rate * min(1.0, (step + 1) / 300) * max(0.02, min(1.0, (1 - done) / 0.7))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            mel, mel_frames = model.preprocessor(input_signal=sounds, length=samples)
        encoded, frames = model.encoder(audio_signal=mel, length=mel_frames)
        logits = ctc(encoded.transpose(1, 2))
        ctc_loss = torch.nn.functional.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),
            texts,
            frames,
            lengths,
            blank=classes,
            zero_infinity=True,
        )
        weight = 0.1 if done < 0.5 else 1.0
        predicted, _, _ = model.decoder(targets=texts, target_length=lengths)
        joint = model.joint.joint(encoded.transpose(1, 2), predicted.transpose(1, 2))
        rnnt_loss = transducer_loss(joint, texts, frames, lengths) / lengths.float().mean()
        loss = weight * rnnt_loss + (1.0 if done < 0.8 else 0.3) * ctc_loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        losses.append((float(rnnt_loss.detach()), float(ctc_loss.detach())))
        # What the process itself used, so that a busy machine trains as much, only later.
        if step % 50 == 0:
            rnnt, of_ctc = np.mean(losses, axis=0)
            losses.clear()
            line = {"step": step, "cpu_min": round(time.process_time() / 60, 1)}
            line |= {"rnnt": round(float(rnnt), 3), "ctc": round(float(of_ctc), 3)}
            line |= {"rate": round(rate, 6)}
            with (arguments.out / "log.jsonl").open("a") as log:
                print(json.dumps(line), file=log)
        if time.monotonic() - saved_s > SAVE_S:
            saved_s = time.monotonic()
            save()
    save()


if __name__ == "__main__":
    main()
