"""Quality of generated images by sampler and number of steps, and visibility of tiles, on a finished run.

    python benchmarks/quality.py results/hela benchmarks/quality-hela.json

The reference labels of the test frames are drawn as sketches, each cell with its mean intensity in the frame, and made
into images. These are compared with the frame for every sampler and number of steps and, with --authors, for the
authors' recipe (400 ancestral steps, patch by patch). The first row is the sketch without any network. PSNR and ZNCC
are taken inside the cells, the Wasserstein distance of the histograms and the distance of the radial power spectra over
the whole crop. Intervals are 95 % bootstrap intervals over crops.

Then seams: border and texture index of volumes generated in overlapping tiles, in slabs, and as the authors' code does
it (patches one by one with their own noise, averaged at the end). They are divided by those of the same volumes
generated in one piece, with the default sampler. The distance of slabs from tiles is measured, too. A picture at high
contrast shows one piece, tiles, slabs and the authors' way side by side.

Results that the output file already has are kept: delete it to start again.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.diffusion import generate, model_file, slabs, tiling
from sketchscope.diffusion.samplers import Sampler
from sketchscope.evaluation import image_similarity
from sketchscope.geometry import Slices, sigma_in_voxels
from sketchscope.images import manifest
from sketchscope.images.windows import crop_typical
from sketchscope.sketches.draw import finish_sketch, paint_cells

CPU = torch.device("cpu")
T_START, SIGMA = 400, 1.0
FEW = (50, 20, 10, 5)
SKETCH = ("the sketch itself", 0, 0.0)  # without any network
ETAS = [("ddim", 0.0), ("dpm-solver++", 0.0), ("dpm-solver++", 0.5), ("dpm-solver++", 1.0)]
SAMPLERS = [("ddpm", 400, 0.0), *((name, n, eta) for name, eta in ETAS for n in FEW)]
SEAMS_OF = ("dpm-solver++", 10, 0.0)  # the default
PATCH, OVERLAP, CROP = 128, 20, 20  # the authors', in the plane
Array = np.ndarray


class Example(NamedTuple):
    """A crop of a test frame, in [-1, 1], its cells, and a sketch of them."""

    real: Array
    cells: Array
    drawn: Array


def examples(results: Path, size: int) -> Iterator[Example]:
    """Take a typical crop of `size` pixels of every test frame; stacks keep their height."""
    for row in manifest.select_held_out(manifest.read_manifest(results / "manifest.csv")):
        image = manifest.load_normalised(row, results / "images")
        labels = manifest.load_image(row, results / "labels")
        window, widths = crop_typical(image, [*image.shape[:-2], size, size]), sigma_in_voxels(SIGMA, row.voxel_size)
        real, labels = np.clip(image[window], -1, 1), labels[window]
        numbers, compact = np.unique(np.append(labels, 0), return_inverse=True)  # the background is always there
        compact = compact[:-1].reshape(labels.shape)
        counts = np.maximum(np.bincount(compact.ravel(), minlength=len(numbers)), 1)
        means = np.bincount(compact.ravel(), real.ravel(), len(numbers)) / counts
        painted = paint_cells(compact, means[1:], means[0])
        yield Example(real, labels > 0, finish_sketch(painted, widths))


def interval(values: Sequence[float], draws: int = 2000) -> list[float]:
    """95 % bootstrap interval of a mean."""
    means = np.random.default_rng(0).choice(values, (draws, len(values))).mean(1)
    return [round(float(value), 4) for value in np.quantile(means, [0.025, 0.975])]


def summary(values: Sequence[float]) -> dict:
    """Mean and interval."""
    return {"mean": round(float(np.mean(values)), 4), "interval": interval(values)}


class Maker:
    """Generates images with one network."""

    def __init__(self, model: Path) -> None:
        self.network, self.alpha_bar = model_file.load_network(model)
        self.tile = list(model_file.load_model(model)[1]["patch_shape"])
        self.overlap = [n // 4 for n in self.tile]

    def make(
        self,
        drawn: Array,
        sampler: str,
        steps: int,
        eta: float,
        key: Sequence[int],
        tile: Sequence[int],
        origin: Sequence[int] | None = None,
    ) -> Array:
        """One image; `tile` is the shape of a tile."""
        overlap = [min(o, t - 1) if t < n else 0 for o, t, n in zip(self.overlap, tile, drawn.shape, strict=True)]
        chosen, tiled = Sampler(sampler, T_START, steps, eta, clip=True), tiling.Tiling(tile, overlap, None)
        generator = generate.make_generator(self.network, self.alpha_bar, CPU, chosen, tiled)
        return generator(drawn, key=key, origin=origin)

    def make_in_slabs(
        self, drawn: Array, sampler: str, steps: int, eta: float, key: Sequence[int]
    ) -> tuple[Array, list[Slices]]:
        """One image from slabs of half its size in the plane, and where these lie."""
        shape = [*drawn.shape[:-2], *(n // 2 + self.tile[-1] for n in drawn.shape[-2:])]
        grid = slabs.cut_slabs(drawn.shape, shape, self.tile, self.overlap)
        parts = []
        for slab in grid:
            origin = [s.start for s in slab.region]
            image = self.make(drawn[slab.region], sampler, steps, eta, key, self.tile, origin)
            parts.append((slab, image[slabs.localise(slab.inner, slab.region)]))
        return slabs.blend_slabs(tuple(map(slice, (0,) * drawn.ndim, drawn.shape)), parts), [
            slab.inner for slab in grid
        ]

    def regions(self, shape: Sequence[int]) -> list[Slices]:
        """Tiles of a volume."""
        return tiling.cut_tiles(shape, self.tile, self.overlap)


def steps_table(maker: Maker, found: Sequence[Example], known: Sequence[dict], *, authors: bool) -> list[dict]:
    """Score every sampler; scores that are known already are kept."""
    rows = {(row["sampler"], row["steps"], row["eta"]): row for row in known}
    table = []
    for sampler, steps, eta in [SKETCH, *[("ddpm by the authors' recipe", 400, 0.0)] * authors, *SAMPLERS]:
        if (sampler, steps, eta) in rows:
            table.append(rows[sampler, steps, eta])
            continue
        started = time.perf_counter()
        if sampler == SKETCH[0]:
            made = [e.drawn for e in found]
        elif "authors" in sampler:
            made = [authors_recipe(maker, e.drawn, "ddpm", steps, eta, [1, n])[0] for n, e in enumerate(found)]
        else:
            made = [maker.make(e.drawn, sampler, steps, eta, [1, n], maker.tile) for n, e in enumerate(found)]
        pairs = list(zip(made, found, strict=True))
        row = {"sampler": sampler, "steps": steps, "eta": eta, "seconds": round(time.perf_counter() - started, 1)}
        row |= {
            "psnr_db": summary([image_similarity.psnr(image, e.real, e.cells) for image, e in pairs]),
            "zncc": summary([image_similarity.zncc(image, e.real, e.cells) for image, e in pairs]),
            "histogram": summary([image_similarity.histogram_distance([image], [e.real]) for image, e in pairs]),
            "spectrum_db": summary([image_similarity.spectrum_distance([image], [e.real]) for image, e in pairs]),
        }
        print(sampler, steps, eta, *(f"{k} {v['mean']}" for k, v in row.items() if isinstance(v, dict)), flush=True)
        table.append(row)
    return table


def distance_to_border(shape: Sequence[int]) -> Array:
    """Distance to the nearest border in the plane, pixels, from 1."""
    ramps = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in shape[-2:]]
    return np.broadcast_to(np.minimum.outer(*ramps), shape)


def authors_recipe(
    maker: Maker, drawn: Array, sampler: str, steps: int, eta: float, key: Sequence[int]
) -> tuple[Array, list]:
    """Patches one by one with noise of their own, cropped, and averaged by their distance to the cropped border.

    Returns
    -------
    image : array like `drawn`
    regions : list of slices
        Where each cropped patch lies.
    """
    edge = [0] * (drawn.ndim - 2) + [CROP] * 2
    patch = [*drawn.shape[:-2], PATCH, PATCH]
    cropped = [n - 2 * e for n, e in zip(patch, edge, strict=True)]
    padded = np.pad(drawn, [(e, e) for e in edge], "symmetric")
    regions = tiling.cut_tiles(drawn.shape, cropped, [0] * (drawn.ndim - 2) + [OVERLAP] * 2)
    total, weight, distance = np.zeros(drawn.shape), np.zeros(drawn.shape), distance_to_border(cropped)
    inner = tuple(slice(e, e + n) for e, n in zip(edge, cropped, strict=True))
    for number, region in enumerate(regions):
        around = tuple(slice(r.start, r.start + n) for r, n in zip(region, patch, strict=True))
        image = maker.make(padded[around], sampler, steps, eta, [*key, number], patch)
        total[region] += image[inner] * distance
        weight[region] += distance
    return (total / weight).astype(np.float32), regions


def seams(maker: Maker, found: Sequence[Example], picture: Path) -> dict:
    """Border and texture index over those of volumes made in one piece, and the distance of slabs from tiles."""
    values: dict[str, dict[str, list]] = {name: {"border": [], "texture": []} for name in ("tiles", "slabs", "authors")}
    distances = []
    for number, example in enumerate(found):
        drawn, cells, key = example.drawn, example.cells, [1, number]
        whole = maker.make(drawn, *SEAMS_OF, key, drawn.shape)
        made = {
            "tiles": (maker.make(drawn, *SEAMS_OF, key, maker.tile), maker.regions(drawn.shape)),
            "slabs": maker.make_in_slabs(drawn, *SEAMS_OF, key),
            "authors": authors_recipe(maker, drawn, *SEAMS_OF, key),
        }
        for name, (image, regions) in made.items():
            border = image_similarity.border_index(image, regions) / image_similarity.border_index(whole, regions)
            texture = image_similarity.texture_index(image, cells, regions)
            texture /= image_similarity.texture_index(whole, cells, regions)
            values[name]["border"].append(border)
            values[name]["texture"].append(texture)
        tiles = made["tiles"][0]
        distances.append(np.abs(made["slabs"][0] - tiles).mean() / tiles.std())
        print("seams", number, {name: [v[-1] for v in pair.values()] for name, pair in values.items()}, flush=True)
        if number == 0:
            draw({"one piece": whole} | {name: image for name, (image, _) in made.items()}, picture)
    result: dict = {name: {index: summary(v) for index, v in pair.items()} for name, pair in values.items()}
    result["slabs"]["mean_difference_to_tiles_over_sd"] = summary(distances)
    return result


def draw(images: dict[str, Array], path: Path) -> None:
    """Draw planes side by side at high contrast: everything above the 90th percentile is white."""
    planes = {name: image.reshape(-1, *image.shape[-2:])[0] for name, image in images.items()}
    low, high = np.quantile(planes["one piece"], [0.001, 0.9])
    figure, axes = plt.subplots(1, len(planes), figsize=(4 * len(planes), 4.3), layout="constrained")
    for axis, (name, plane) in zip(axes, planes.items(), strict=True):
        axis.imshow(plane, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(name)
        axis.axis("off")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of one organism, such as results/hela")
    parser.add_argument("output", type=Path, help="JSON file to write; the picture beside it ends in .png")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side of the crops of the table")
    parser.add_argument("--seam-size", type=int, default=368, help="likewise, of the seams")
    parser.add_argument("--authors", action="store_true", help="the table has the authors' recipe too, which is slow")
    arguments = parser.parse_args()
    maker = Maker(arguments.results / "diffusion/model.safetensors")
    small, large = (list(examples(arguments.results, size)) for size in (arguments.size, arguments.seam_size))
    known = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
    kept = known.get("seams") if known.get("seams_of") == list(SEAMS_OF) else None
    result = {
        "seams": kept or seams(maker, large, arguments.output.with_suffix(".png")),
        "seams_of": SEAMS_OF,
        "table": steps_table(maker, small, known.get("table", []), authors=arguments.authors),
        "t_start": T_START,
        "spacing": generate.SPACING,
        "crops": {"count": len(small), "of_the_table": arguments.size, "of_the_seams": arguments.seam_size},
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__},
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
