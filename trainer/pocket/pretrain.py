"""Pretraining of the pocket as one command: `python -m trainer.pocket.pretrain --stage all --minutes 150`.

Stages: `vae` (fit the encoder, train the decoder), `clip` (text half, then image half), `unet` (denoiser and first
text encoder), `oracle` (the independent classifier), `pairs` (the same for two things), `export`. Every stage snapshots into
the run folder and goes on from there with `--resume`; where a run folder is empty, `--resume` starts from the exported
weights. Reads no picture file: everything it learns from is drawn here.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trainer.pocket import WEIGHTS
from trainer.pocket.architecture import text_half
from trainer.pocket.clip_training import learn_image, learn_text
from trainer.pocket.curriculum import WITHOUT_PAIRS, Series
from trainer.pocket.denoiser_training import Denoiser, Sizes, load_shelves, train_denoiser
from trainer.pocket.export import export_run, load_basis, load_clip, snapshots_from_export
from trainer.pocket.oracle import QUESTIONS, Material, Oracle, save_oracle, train_oracle
from trainer.pocket.pairs import PAIR_QUESTIONS, pair_labels
from trainer.pocket.pools import Pictures, labels_of, scene_pool, texture_pool
from trainer.pocket.scenes import ScenePlan
from trainer.pocket.vae_training import basis_of, train_decoder

SHARES = {"vae": 0.1, "clip": 0.2, "unet": 0.62, "oracle": 0.04, "pairs": 0.04}  # of --minutes, for --stage all
CPU_BATCH, CUDA_BATCH = 24, 1024
TEXTURES = 10_000
ORACLE_SERIES = (Series(seed=20_001, spread=0.2, count=8_000), Series(seed=20_002, spread=1.0, count=20_000))
PAIR_SERIES = (Series(seed=20_004, spread=1.0, count=24_000, pairs=1.0),)
ORACLE_STEPS_A_MINUTE = 300


@dataclass(frozen=True, kw_only=True)
class Session:
    """What every stage needs: the run's folder, the device, and whether to go on from snapshots."""

    run: Path
    device: str
    resume: bool

    def textures(self) -> Pictures:
        """Textures for the autoencoder."""
        return texture_pool(self.run / "pools", seed=1, count=TEXTURES)

    def widest(self) -> Pictures:
        """The widest series of scenes."""
        return scene_pool(self.run / "pools", WITHOUT_PAIRS[-1]).pictures


def vae_stage(session: Session, minutes: float) -> None:
    """Fit the encoder and train the decoder."""
    textures, scenes = session.textures(), session.widest()
    basis = basis_of(session.run, textures, scenes)
    train_decoder(session.run, basis, textures, scenes, minutes=minutes, resume=session.resume, device=session.device)


def clip_stage(session: Session, minutes: float) -> None:
    """A twentieth of the time for the text half, the rest for the image half."""
    if not session.resume or not (session.run / "clip.safetensors").exists():
        learn_text(session.run, WITHOUT_PAIRS, minutes=minutes / 20, device=session.device)
    learn_image(session.run, WITHOUT_PAIRS, minutes=minutes, resume=session.resume, device=session.device)


def unet_stage(session: Session, minutes: float) -> None:
    """The denoiser with its first text encoder."""
    sizes = Sizes(batch=CUDA_BATCH if session.device == "cuda" else CPU_BATCH)
    denoiser = Denoiser(text_half(load_clip(session.run)), sizes, session.device)
    shelves = load_shelves(session.run, load_basis(session.run), session.device)
    train_denoiser(session.run, denoiser, shelves, minutes=minutes, resume=session.resume)


def oracle_stage(session: Session, minutes: float) -> None:
    """The independent classifier, on all combinations: it measures, it does not teach."""
    material = _material(session, ORACLE_SERIES, labels_of)
    save_oracle(_reader(session, minutes, material, QUESTIONS), session.run / "oracle")


def pairs_stage(session: Session, minutes: float) -> None:
    """The same for scenes with two things."""
    material = _material(session, PAIR_SERIES, pair_labels)
    save_oracle(_reader(session, minutes, material, PAIR_QUESTIONS), session.run / "pairs")


def _material(session: Session, several: Sequence[Series], labels: Callable[[ScenePlan], tuple[int, ...]]) -> Material:
    pools = [scene_pool(session.run / "pools", one, every_combination=True, labels=labels) for one in several]
    return Material(
        pictures=np.concatenate([pool.pictures for pool in pools]),
        answers=np.concatenate([pool.labels for pool in pools]),
    )


def _reader(session: Session, minutes: float, material: Material, questions: Sequence[int]) -> Oracle:
    steps = max(10, round(minutes * ORACLE_STEPS_A_MINUTE))
    return train_oracle(material, questions, steps=steps, basis=load_basis(session.run))


STAGES: dict[str, Callable[[Session, float], None]] = {
    "vae": vae_stage,
    "clip": clip_stage,
    "unet": unet_stage,
    "oracle": oracle_stage,
    "pairs": pairs_stage,
}


def run_stages(session: Session, stage: str, minutes: float, out: Path) -> None:
    """One stage, or all in order; `--minutes` is the whole time."""
    for name, act in STAGES.items():
        if stage in {name, "all"}:
            share = minutes * SHARES[name] if stage == "all" else minutes
            print(f"{name}: {share:.1f} minutes", flush=True)  # noqa: T201
            act(session, share)
    if stage in {"export", "all"}:
        print(f"exported to {export_run(session.run, out)}", flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m trainer.pocket.pretrain", description="Pretrain the pocket.")
    parser.add_argument("--stage", choices=("all", *STAGES, "export"), default="all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, default=150.0, help="time for the stage, or for all of them")
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; more than free cores is slower, not faster"
    )
    parser.add_argument("--run", type=Path, default=Path("runs/pocket"), help="snapshots and drawn pictures")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the exported folder")
    parser.add_argument(
        "--resume", action="store_true", help="go on from snapshots, or from --out where there are none"
    )
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    session = Session(run=asked.run, device=asked.device, resume=asked.resume)
    if asked.resume and (asked.out / "model_index.json").exists():
        snapshots_from_export(asked.out, asked.run)
    run_stages(session, asked.stage, asked.minutes, asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
