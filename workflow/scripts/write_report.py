"""Write the report of one organism as a single HTML file."""

from pathlib import Path

from sketchscope import TRAINED
from sketchscope.run.job import job

FILES = {
    f"cellpose/{TRAINED}/model": "the Cellpose 3 model",
    "synthetic/README.md": "the card of the synthetic images and their masks, which lie beside it",
    "evaluation/summary.json": "scores, verdict, cost and versions, for programs",
    "evaluation/statistics.csv": "the comparison with each baseline",
}


def main(snakemake):
    import pandas as pd
    from sketchscope.images import manifest
    from sketchscope.io.atomic import read_json, write_text
    from sketchscope.report import page, templates

    inputs, params = snakemake.input, snakemake.params
    voxel_size = manifest.read_manifest(inputs.manifest)[0].voxel_size
    captions = {Path(path).stem: page.fill_caption(path, {"snakemake": snakemake}) for path in inputs.captions}
    names = {path: Path(path).stem for path in inputs.figures}
    figures = [page.read_illustration(path, params.titles[name], captions[name]) for path, name in names.items()]
    values = {
        "captions": captions,
        "files": FILES,
        "commands": templates.list_gui_commands(snakemake.wildcards.organism, len(voxel_size)),
        "pixel_diameter": params.settings["cell_diameter"] / voxel_size[-1],
        "anisotropy": voxel_size[0] / voxel_size[-1],
        "settings": params.settings,
        "seed": params.seed,
    }
    html = page.render(inputs.template, read_json(inputs.summary), pd.read_csv(inputs.statistics), figures, values)
    write_text(snakemake.output[0], html)
    print(f"{snakemake.output[0]}: {len(figures)} figures, {len(html) / 1e6:.1f} MB")


with job(snakemake.log[0]):
    main(snakemake)
