from sketchscope.run.job import job

MOST_IMAGES = 12  # enough cells for their statistics


def main(snakemake):
    import pandas as pd
    from sketchscope.errors import InputError
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path, write_json
    from sketchscope.segmentation import classical_nuclei
    from sketchscope.sequences import spread_out
    from sketchscope.sketches import brightness, depth

    params = snakemake.params
    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    tables, profiles = [], []
    for row in spread_out(rows, MOST_IMAGES):
        image = manifest.load_normalised(row, snakemake.input.images)
        if params.stain == "membranes":
            labels = brightness.find_membranes(image, row.voxel_size, params.membrane_um, params.cell_diameter)
            table = brightness.measure_membranes(image, labels, row.voxel_size, params.cell_diameter)
        else:
            labels = classical_nuclei.segment(
                manifest.load_image(row, snakemake.input.images),
                voxel_size=row.voxel_size,
                cell_diameter=params.cell_diameter,
                **params.settings,
            )
            table = brightness.measure(image, labels, row.voxel_size)
        background = brightness.measure_background(image, labels)
        table.insert(0, "image", row.image)
        tables.append(table.assign(**background._asdict()))
        profiles.append(depth.depth_profile(image, labels > 0, background.background_mean, row.voxel_size))
        print(f"{row.image}: {len(table)} {params.stain}")
    if not sum(map(len, tables)):
        raise InputError(
            f"{snakemake.input.manifest}: no cell was found in {len(tables)} training images; "
            "cell_diameter must fit the cells, and classical.min_contrast may be too high"
        )
    with atomic_path(snakemake.output.cells) as temporary:
        pd.concat([table for table in tables if len(table)]).to_csv(temporary, index=False)
    write_json(snakemake.output.depth, depth.fit_decay(profiles))


with job(snakemake.log[0]):
    main(snakemake)
