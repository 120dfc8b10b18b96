"""The model card and licence that travel with the exported weights."""

from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS, STYLES

LICENCE = """MIT License

Copyright (c) 2026 the lorasmith authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

CARD = f"""---
license: mit
library_name: diffusers
pipeline_tag: text-to-image
---

# Pocket: a base model that fits in a repository

A StableDiffusionXLPipeline of 7.3 million parameters (fp16, about 15 MB) for 64 x 64 pictures, so that lorasmith can
be tried and tested on any machine: no download, no GPU. It draws simple scenes and learns LoRAs for real; it is a
demonstration and does not draw photographs.

- **Trained on** pictures drawn by the program in `trainer/pocket` and on nothing else: no photograph, no picture from
  anywhere. Reproduce it with `python -m trainer.pocket.pretrain`.
- **Knows** {len(CLASSES)} things ({", ".join(CLASSES)}), {len(COLOURS)} colours ({", ".join(COLOURS)}),
  {len(BACKGROUNDS)} places ({", ".join(BACKGROUNDS.values())}) and the styles {", ".join(STYLES)}.
- **Use**: `StableDiffusionXLPipeline.from_pretrained(folder)`, 14 steps, guidance 3.5, for example
  `a red dog on grass` or `a woman wearing blue in the desert`. Captions hold 24 tokens.
- **Parts**: an autoencoder with 12 latent channels (factor 4), a denoiser with 64/96/128 channels, two small text
  encoders; `judge/` holds the CLIP whose text half is the second text encoder.
- **Limits**: 64 px, drawn style, English words of a small vocabulary; everything else becomes bytes it never learned.
- **Measured** by `python -m trainer.pocket.gates`; figures with dates are in EXPERIMENTS.md, section "Pocket base".

MIT licence.
"""
