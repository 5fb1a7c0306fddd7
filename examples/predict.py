"""Matte a photo from Python, and put it on another background.

python examples/predict.py [FOLDER FOR THE RESULTS]
"""

import sys
from pathlib import Path

import mattecli

here = Path(__file__).parent
out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()

photo = mattecli.read_image(here / "astronaut.png")
trimap = mattecli.read_trimap(here / "astronaut_trimap.png")

backend = mattecli.load_backend()  # the weights in the box, on CUDA where there is a card
alpha = mattecli.predict_alpha(photo.pixels, trimap, backend)  # float32 (H, W) in [0, 1]

# The colours of half-transparent pixels still hold the old background: estimate the foreground's own first.
foreground = mattecli.estimate_foreground(photo.pixels, alpha)  # float32 (H, W, 3) in [0, 1]
street = mattecli.read_image(here / "background.jpg").pixels
background = mattecli.fit_background(street, *photo.size, fit="cover")
picture = mattecli.composite(foreground, alpha, background)

mattecli.write_alpha(out / "alpha.png", alpha, bits=16)
mattecli.write_image(out / "composite.jpg", mattecli.Image((picture * 255).round().astype("uint8")))
print(f"{trimap.size} pixels on {backend.device}: alpha.png and composite.jpg are in {out.resolve()}")
