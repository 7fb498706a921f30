"""Cost of taking towers apart, in units of the library's own forward without gradients."""

import argparse
import contextlib

import torch

import kit
from kit.parts.frozen import frozen_graph
from tests.bench.harness import alternate, save, settings, table

TOWERS = {
    "ViT-B-32": "class token",
    "ViT-B-16": "class token",
    "ViT-L-14": "class token",
    "timm/deit_small_patch16_224": "class token",
    "timm/vit_base_patch16_gap_224": "average pooling",
    "ViT-B-16-SigLIP": "attention pooling",
    "stickers-l8": "class token",
}
SHIPPED = "stickers-"


def measure(name: str, batch: int, rounds: int) -> dict:
    """Ratios for one tower and batch size."""
    own = {} if name.startswith(SHIPPED) else {"pretrained": "random"}
    model = kit.load(name, **own)
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(batch, 3, *model.image_size, generator=noise)
    direction = torch.nn.functional.normalize(torch.randn(1, model.embed_dim, generator=noise), dim=-1)

    def library():
        with torch.no_grad():
            model.tower(pixels)

    return alternate(
        {
            "library forward": library,
            "vectors by head": lambda: kit.run(model, pixels, tokens=False).vectors(),
            "scores by head, 1 prompt": lambda: kit.scores(model, pixels, direction),
            "scores by head and token, 1 prompt": lambda: kit.scores(model, pixels, direction, by="token"),
            "is the record still true": lambda: frozen_graph(model),
        },
        rounds=rounds,
    )


def main() -> None:
    """Measure the named towers (all, unless some are named) and write docs/bench/engine.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("towers", nargs="*", help=f"of {', '.join(TOWERS)}")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    tables = []
    for name in chosen.towers or TOWERS:
        for batch in chosen.batches:
            if name.startswith(SHIPPED) and batch == 1 and not chosen.towers:
                continue  # 6 ms a pass: overheads of Python, not of the method
            stated = settings(batch=batch, pooling=TOWERS.get(name, "?"), rounds=chosen.rounds)
            tables.append(table(measure(name, batch, chosen.rounds), f"{name}, batch {batch}", stated))
            print(tables[-1], flush=True)
    if not chosen.dry:
        with contextlib.suppress(BrokenPipeError):
            print(save("engine", tables))


if __name__ == "__main__":
    main()
