"""Measure the brightness of cells or membranes in typical training images, and how it fades with depth."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.errors import InputError
    from sketchscope.images import manifest
    from sketchscope.io.atomic import atomic_path, write_json
    from sketchscope.sketches import brightness, depth
    from sketchscope.sketches.from_images import add_missed

    inputs, params = snakemake.input, snakemake.params
    tables = []
    for row in manifest.select_typical(manifest.read_manifest(inputs.manifest)):
        image = manifest.load_normalised(row, inputs.images)
        if params.membrane_um is None:
            labels = manifest.load_image(row, inputs.rough)
            pieces = add_missed(labels, image, row.voxel_size, params.cell_diameter)
        else:
            pieces = brightness.find_membranes(image, row.voxel_size, params.membrane_um, params.cell_diameter)
        measured = brightness.measure_brightness(image, pieces, row.voxel_size)
        tables.append(measured.pieces.assign(image=row.image, background=measured.background))
        print(f"{row.image}: {len(measured.pieces)} cells or pieces of membrane")
    if not sum(map(len, tables)):
        raise InputError(
            f"{inputs.manifest}: no cell was found in {len(tables)} training images; "
            "cell_diameter must fit the cells, and classical.min_contrast may be too high"
        )
    cells = pd.concat([table for table in tables if len(table)])
    decay = depth.fit_decay(cells)
    print(f"Fading with depth: {decay}")
    with atomic_path(snakemake.output.cells) as temporary:
        cells.to_csv(temporary, index=False)
    write_json(snakemake.output.depth, decay)


with job(snakemake.log[0]):
    main(snakemake)
