"""Draw the outlines that every model predicts on a few test images."""

from pathlib import Path

from sketchscope.run.job import job

EXAMPLES = 2
LARGEST = 400  # pixels of a panel along each side


def main(snakemake):
    from sketchscope.evaluation.availability import read_reason
    from sketchscope.images import manifest
    from sketchscope.images.windows import crop_typical
    from sketchscope.report import pictures, style
    from sketchscope.sequences import spread_out

    def overlay(row):
        image = manifest.load_image(row, snakemake.input.images)
        window = crop_typical(image, [LARGEST] * image.ndim)
        reference = None
        if (Path(snakemake.input.labels) / f"{row.image}.ome.tif").exists():
            reference = manifest.load_image(row, snakemake.input.labels)[window]
        predicted = {model: manifest.load_image(row, folder)[window] for model, folder in available.items()}
        return pictures.Overlay(row.image, image[window], reference, predicted)

    folders = zip(snakemake.params.models, snakemake.input.predictions, strict=True)
    available = {model: folder for model, folder in folders if read_reason(folder) is None}
    rows = manifest.select_held_out(manifest.read_manifest(snakemake.input.manifest))
    overlays = [overlay(row) for row in spread_out(rows, EXAMPLES)]
    figure = pictures.plot_overlays(overlays, rows[0].voxel_size)
    style.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
