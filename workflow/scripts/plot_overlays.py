from pathlib import Path

from sketchscope.jobs import job

EXAMPLES = 2
LARGEST = 400  # pixels of a panel along each side


def main(snakemake):
    from sketchscope import cells, figures, manifest

    def overlay(row):
        image = manifest.load_image(row, snakemake.input.images)
        window = figures.crop_typical(image, [LARGEST] * image.ndim)
        reference = None
        if (Path(snakemake.input.labels) / f"{row.image}.ome.tif").exists():
            reference = manifest.load_image(row, snakemake.input.labels)[window]
        predictions = (snakemake.input.synthetic, snakemake.input.baseline)
        predicted = [manifest.load_image(row, folder)[window] for folder in predictions]
        return figures.Overlay(row.image, image[window], reference, *predicted)

    rows = manifest.held_out_rows(manifest.read_manifest(snakemake.input.manifest))
    overlays = [overlay(row) for row in cells.spread_out(rows, EXAMPLES)]
    figure = figures.plot_overlays(overlays, rows[0].voxel_size, snakemake.params.baseline)
    figures.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
