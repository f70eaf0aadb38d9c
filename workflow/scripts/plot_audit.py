from sketchscope.jobs import job

LARGEST = 320  # pixels of the example along each side


def main(snakemake):
    import pandas as pd
    from sketchscope import figures, files, manifest

    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    cells = pd.read_csv(snakemake.input.cells)
    volume, path = next(iter(files.image_files(snakemake.input.synthetic).items()))
    image, labels = files.read_image(path), files.read_image(files.image_files(snakemake.input.masks)[volume])
    window = figures.crop_typical(image, [LARGEST] * image.ndim)
    lost = cells.loc[(cells["volume"] == volume) & cells["lost"], "label"]
    figure = figures.plot_audit(
        image[window],
        labels[window],
        lost,
        cells,
        pd.read_csv(snakemake.input.references),
        rows[0].voxel_size,
        snakemake.params.min_contrast,
    )
    figures.save(figure, snakemake.output[0])


with job(snakemake.log[0]):
    main(snakemake)
