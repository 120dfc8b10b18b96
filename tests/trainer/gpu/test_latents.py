"""The cache of latents: found again where nothing changed, and never where anything did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps

from storage.domain.contradictions import contradictions
from tests.builders import CPU_FIT, drawn_pictures, make_job, tiny_plan
from trainer.events import Checkpointed
from trainer.gpu import job as jobs
from trainer.gpu import latents as cache
from trainer.gpu.bench import Bench, Loaded, load
from trainer.gpu.cropping import Face
from trainer.gpu.latents import Encoded, Keeping, encoded, sized
from trainer.gpu.pictures import Framed, Shape, framed
from trainer.gpu.views import views


@pytest.fixture(scope="module")
def loaded(random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    make_job(folder, random_base)
    return load(jobs.read(folder))


class Counted:
    """A base that counts what it encodes; with another autoencoder where a name is given."""

    def __init__(self, loaded: Loaded, vae_sha256: str = "") -> None:
        self.base, self.calls = loaded.base, 0
        self.vae_sha256 = vae_sha256 or loaded.base.vae_sha256

    def posteriors(self, pixels: torch.Tensor) -> Any:
        self.calls += 1
        return self.base.posteriors(pixels)


def picture(folder: Path, number: int = 0, side: int = 32, px: int = 80) -> Framed:
    file = folder / f"{number}-{px}.png"
    drawn_pictures(number + 1, px)[number].save(file)
    return framed(file, (Shape(height=side, width=side),), picture_id=f"p{number}", held_out=False)


@pytest.mark.parametrize("change", ["picture", "autoencoder", "size", "crop", "face", "spread"])
def test_a_cache_is_not_used_where_anything_changed_that_decides_latents(
    change: str, loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, kept = Counted(loaded), tmp_path / "cache"
    (first,) = encoded(base, [picture(tmp_path)], kept, lambda _: None)
    (again,) = encoded(base, [picture(tmp_path)], kept, lambda _: None)
    assert base.calls == 1
    assert torch.equal(first.plain, again.plain)
    other, wanted, keeping = base, picture(tmp_path), Keeping()
    if change == "picture":
        wanted = replace(picture(tmp_path, 1), id=wanted.id)
    elif change == "autoencoder":
        other = Counted(loaded, "another")
    elif change == "size":
        wanted = picture(tmp_path, side=48)
    elif change == "crop":
        monkeypatch.setattr(cache, "UPPER", 0.5)
    elif change == "face":
        wanted = replace(wanted, crop="None:0.500000,1.000000")
    else:
        keeping = Keeping(spread=True)
    before = other.calls
    encoded(other, [wanted], kept, lambda _: None, keeping)
    assert other.calls == before + 1


def test_a_mirrored_view_mirrors_the_crop(loaded: Loaded, tmp_path: Path) -> None:
    """A picture with a face on the left, and its mirror with the face on the right, are each other's mirrored views."""
    faced = drawn_pictures(1, 80)[0].resize((160, 40))
    seen = []
    for name, image, left in (("a", faced, 0.05), ("b", ImageOps.mirror(faced), 0.75)):
        image.save(tmp_path / f"{name}.png")
        face = Face(left=left, top=0.2, right=left + 0.2, bottom=0.8)
        only = (Shape(height=32, width=32),)
        shown = framed(tmp_path / f"{name}.png", only, picture_id=name, held_out=False, face=face)
        assert shown.crop
        seen += encoded(loaded.base, [shown], tmp_path / "cache", lambda _: None)
    assert torch.allclose(seen[0].mirrored, seen[1].plain, atol=0.05)
    assert not torch.allclose(seen[0].plain, seen[1].plain, atol=0.05)


def test_an_autoencoder_that_scales_otherwise_is_another_one(loaded: Loaded) -> None:
    from trainer.gpu.families.stock import fingerprint

    vae = loaded.base._pipeline.vae  # type: ignore[attr-defined]
    before, scale = fingerprint(vae), vae.config.scaling_factor
    vae.register_to_config(scaling_factor=scale * 2)
    assert fingerprint(vae) != before
    vae.register_to_config(scaling_factor=scale)
    assert fingerprint(vae) == before


def test_a_damaged_cache_file_is_made_again(loaded: Loaded, tmp_path: Path) -> None:
    base, kept = Counted(loaded), tmp_path / "cache"
    (first,) = encoded(base, [picture(tmp_path)], kept, lambda _: None)
    (file,) = kept.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:60])
    (again,) = encoded(base, [picture(tmp_path)], kept, lambda _: None)
    assert base.calls == 2
    assert torch.equal(first.plain, again.plain)


def test_sampled_latents_have_the_posteriors_mean_and_spread_and_are_new_for_every_view(
    loaded: Loaded, tmp_path: Path
) -> None:
    (one,) = encoded(loaded.base, [picture(tmp_path)], tmp_path / "cache", lambda _: None, Keeping(spread=True))
    plan = replace(tiny_plan(1), latents="sampled", flip=False)
    drawn = torch.stack([view.latents for step in range(1, 301) for view in views(plan, [one], 1000, step)])
    assert len(drawn) == 600
    off = (drawn - one.plain) / one.plain_std
    assert float(off.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(off.std()) == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(drawn[0], drawn[1])
    (same, *_) = views(plan, [one], 1000, 1)
    assert torch.equal(same.latents, drawn[0]), "a resumed run draws what the first one drew"
    (usual, *_) = views(replace(plan, latents="mode"), [one], 1000, 1)
    assert torch.equal(usual.latents, one.plain)


def test_the_spread_is_scaled_as_the_latents_are(loaded: Loaded, tmp_path: Path) -> None:
    from trainer.gpu.pictures import pixels

    shown = pixels(picture(tmp_path).image)[None]
    vae = loaded.base._pipeline.vae  # type: ignore[attr-defined]
    with torch.no_grad():
        said = vae.encode(shown).latent_dist
    found = loaded.base.posteriors(shown)
    there = said.std > 1e-9
    ratio = (found.std_BCHW / said.std)[there]
    assert float(ratio.mean()) == pytest.approx(vae.config.scaling_factor / _norm(vae), rel=1e-4)


def _norm(vae: Any) -> float:
    return float(torch.tensor(vae.config.get("latents_std") or [1.0]).mean())


def test_a_picture_is_seen_at_every_size_that_it_need_not_be_enlarged_for() -> None:
    def at(side: int, px: int) -> Encoded:
        shape, image = Shape(height=side, width=side), Image.new("RGB", (side, side))
        own = (px, px) if px < side else (side, side)
        found = Framed(id=f"{px}", sha256="", image=image, shape=shape, original=own, held_out=False)
        return Encoded(
            picture=found, kept={"plain": torch.zeros(1, side, side), "mirrored": torch.zeros(1, side, side)}
        )

    pixels_of = (2000, 800, 300)
    large, middle, small = sized(
        [at(1024, px) for px in pixels_of], [[at(s, px) for px in pixels_of] for s in (512, 768)]
    )
    assert [one.picture.shape.width for one in large.sizes] == [1024, 512, 768]
    assert [one.picture.shape.width for one in middle.sizes] == [512, 768]
    assert [one.picture.shape.width for one in small.sizes] == [512], "too small for all: enlarged the least"
    plan = replace(tiny_plan(3), resolutions=(512, 768))
    seen = [view.encoded.picture for step in range(1, 451) for view in views(plan, [large, middle, small], 1000, step)]
    for px, sizes in ((2000, 3), (800, 2), (300, 1)):
        widths = [p.shape.width for p in seen if p.id == str(px)]
        assert len(widths) == 300, "each picture as often as any other"
        assert len(set(widths)) == sizes
        assert all(widths.count(width) == pytest.approx(300 / sizes, abs=40) for width in set(widths))


def test_sides_that_cannot_be_are_refused_by_name() -> None:
    for sides in ((32,), (48, 48), (8,), (4096,)):
        assert {name for name, _ in contradictions(replace(tiny_plan(), resolutions=sides))} == {"resolutions"}
    assert not list(contradictions(replace(tiny_plan(), resolutions=(16, 48))))


def test_caches_on_disk_train_the_same_bytes_and_hold_nothing_in_memory(
    desk: Any, job: Callable[..., Path], one: Any
) -> None:
    plan = replace(tiny_plan(6, 3), latents="sampled", resolutions=(48,), caption_shuffle=3)
    plan = replace(plan, captions=("{trigger}, red, round",), prior="base_prediction")
    files = []
    for number, caches in enumerate(("memory", "disk")):
        folder = job(f"{number}", plan=plan, fit=replace(CPU_FIT, caches=caches))
        files.append((folder / one(desk.train(folder, 3), Checkpointed).lora).read_bytes())
    assert files[0] == files[1]
    bench: Bench = desk.child._bench
    assert not bench.words.keys()
    assert all(isinstance(p.kept, cache.OnDisk) for p in bench.pictures)


def test_a_text_that_was_never_encoded_is_not_in_the_cache_on_disk(loaded: Loaded, tmp_path: Path) -> None:
    from trainer.gpu.words import heard

    words = heard(loaded.base, ["a toy"], tmp_path, on_disk=True)
    assert words["a toy"].hidden_BLD.shape[0] == 1
    with pytest.raises(KeyError):
        words["a cat"]
