"""The picture of docs/your_own.md: `python -m tests.bench.your_own` writes docs/your_own.png.

A folder of scenes of the world stands for a folder of photographs, so that the picture may be shown anywhere.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import kit

PAGE = Path(__file__).parents[2] / "docs" / "your_own.png"


def main() -> None:
    """Write a folder of pictures, open the panel on it, and save what it shows."""
    with TemporaryDirectory() as place:
        scenes = kit.world.draw(24, seed=5, kind="single").at(4)
        for number, (picture, concept) in enumerate(zip(scenes.images, scenes.labels.concept)):
            (Path(place) / concept).mkdir(exist_ok=True)
            image = Image.fromarray(picture.permute(1, 2, 0).numpy())
            image.save(Path(place) / concept / f"{number:02d}.png")
        images = kit.data.read_folder(place)
        own = kit.world.VALUES["concept"].index(images.labels.folder[0])
        texts = [kit.world.prompts("concept")[own], "a dog", "a boat"]
        panel = kit.panels.Explorer("stickers-l8", images, texts)
        panel.save(PAGE)


if __name__ == "__main__":
    main()
