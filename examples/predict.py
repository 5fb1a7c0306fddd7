"""Matte a photo from Python, and put it on another background.

python examples/predict.py [FOLDER FOR THE RESULTS]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import mattecli

here = Path(__file__).parent
parser = argparse.ArgumentParser(description="Matte the portrait, and put it on another background.")
parser.add_argument("folder", nargs="?", default=Path(), type=Path, help="for the results")
out = parser.parse_args().folder

photo = mattecli.read_image(here / "portrait.jpg")
model = mattecli.load_model()  # the bundled weights; on CUDA if there is a card
alpha = model.predict(photo, here / "portrait_trimap.png")  # float32 (H, W) in [0, 1]

# Half-transparent pixels still contain the old background, so estimate the foreground's own colours first.
colours = mattecli.estimate_foreground(photo, alpha)  # float32 (H, W, 3) in [0, 1]
foreground = replace(photo, pixels=colours)  # in the photo's colour space; an array alone counts as sRGB
background = mattecli.fit_background(here / "background.jpg", *photo.size, fit="cover")
picture = mattecli.composite(foreground, alpha, background)  # float32 (H, W, 3) in [0, 1]

mattecli.write_alpha(out / "alpha.png", alpha, bits=16, overwrite=True)
mattecli.write_image(out / "composite.jpg", replace(photo, pixels=picture), overwrite=True)
print(f"{alpha.size} pixels on {model.backend.device}: alpha.png and composite.jpg are in {out.resolve()}")
