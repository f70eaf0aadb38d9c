"""Draw lost cells in an example, and how far boundaries and cells lie from their masks."""

from sketchscope.run.job import job

LARGEST = 320  # pixels of the example along each side


def main(snakemake):
    import pandas as pd
    from sketchscope.images import manifest
    from sketchscope.images.windows import crop_typical
    from sketchscope.io.images import list_image_files, read_image
    from sketchscope.report import charts, style

    rows = manifest.select_training(manifest.read_manifest(snakemake.input.manifest))
    cells = pd.read_csv(snakemake.input.cells)
    volume, path = next(iter(list_image_files(snakemake.input.synthetic).items()))
    image, labels = read_image(path), read_image(list_image_files(snakemake.input.masks)[volume])
    window = crop_typical(image, [LARGEST] * image.ndim)
    lost = cells.loc[(cells["volume"] == volume) & cells["lost"], "label"]
    example = charts.AuditExample(image[window], labels[window], lost)
    summary = pd.read_csv(snakemake.input.summary, index_col="labels")
    tables = charts.AuditTables(cells, pd.read_csv(snakemake.input.references), summary)
    figure = charts.plot_audit(example, tables, rows[0].voxel_size, snakemake.params.min_contrast)
    style.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
