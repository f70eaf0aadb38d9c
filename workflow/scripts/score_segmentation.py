"""Score the predictions of one model against the reference labels."""

from pathlib import Path

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.evaluation import availability, metrics
    from sketchscope.images.manifest import load_references, read_manifest, select_held_out
    from sketchscope.io.atomic import atomic_path, write_json
    from sketchscope.io.images import read_image

    def images():
        for row in select_held_out(read_manifest(snakemake.input.manifest)):
            references = list(load_references(row, snakemake.input.labels))
            prediction = Path(snakemake.input.predictions) / f"{row.image}.ome.tif"
            if not references or not prediction.exists():
                print(f"{row.image}: not scored, no {'prediction' if references else 'reference labels'}")
                continue
            predicted = read_image(prediction)
            for reference, plane in references:
                yield metrics.LabelPair(row.image, reference, predicted, plane)

    params, reason = snakemake.params, availability.read_reason(snakemake.input.predictions)
    if reason:
        cells, scores = metrics.make_empty_table(), {availability.REASON_KEY: reason}
    else:
        cells, scores = metrics.score_images(images(), params.thresholds, params.border)
    print({key: value for key, value in scores.items() if key != "per_image"})
    with atomic_path(snakemake.output.iou) as temporary:
        cells.to_csv(temporary, index=False)
    write_json(snakemake.output.scores, scores)


with job(snakemake.log[0]):
    main(snakemake)
