"""Sum up the audit of synthetic labels, beside that of the references."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation import audit
    from sketchscope.io.atomic import atomic_path

    inputs = snakemake.input
    pairs = {
        "synthetic": (inputs.synthetic, inputs.synthetic_images),
        "references": (inputs.references, inputs.reference_images),
    }
    rows = []
    for labels, (cells, images) in pairs.items():
        figures = audit.summarise_audit(pd.read_csv(cells), pd.read_csv(images))
        rows.append({"labels": labels, **figures, "warnings": "; ".join(figures["warnings"])})
    table = pd.DataFrame(rows)
    with atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_string(index=False))


with job(snakemake.log[0]):
    main(snakemake)
