"""Draw a sketch of each training image, for a diffusion model that sees sketches."""

from sketchscope.run.job import job


def main(snakemake):
    from pathlib import Path

    import numpy as np
    from sketchscope.config.auto import fill_auto
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_folder
    from sketchscope.io.images import write_image
    from sketchscope.sketches.from_images import add_missed, sketch_image
    from sketchscope.stains import STAINS

    inputs, params = snakemake.input, snakemake.params
    stain = STAINS[params.stain]
    settings = stain.sketch(**stain.plain, **fill_auto(params.settings, [inputs.depth]))
    print(f"Drawn with {settings}")
    with atomic_folder(snakemake.output.sketches) as folder:
        for row in manifest.select_training(manifest.read_manifest(inputs.manifest)):
            better = [path for path in inputs.better if (Path(path) / f"{row.image}.ome.tif").exists()]
            labels = manifest.load_image(row, *better or [inputs.rough])
            image = manifest.load_normalised(row, inputs.images).clip(-1, 1)
            cells = labels if stain.touching else add_missed(labels, image, row.voxel_size, params.cell_diameter)
            drawn = sketch_image(image, cells, row.voxel_size, params.cell_diameter, stain.draw, settings)
            write_image(folder / f"{row.image}.ome.tif", drawn, row.voxel_size, compress=False)
            source = "masks.source" if better else "the rough segmentation"
            count = np.count_nonzero(np.unique(labels))
            added = np.count_nonzero(np.unique(cells)) - count
            print(f"{row.image}: {count} cells of {source}, {added} more that it missed")


with job(snakemake.log[0]):
    main(snakemake)
