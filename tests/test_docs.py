"""The pages for people: what they name is there, and they are as long and as new as they should be."""

import json
import re
import runpy

import pandas as pd
import pytest
from running import REPOSITORY
from sketchscope.evaluation.audit import ALARMS

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
MADE_BY_A_RUN = ("results/", "resources/downloads/", ".venv/", ".snakemake/")
EXAMPLES = {"profiles/my-site"}
SCORES = {"PQ": "pq", "AP at IoU 0.5": "ap50", "0.75": "ap75", "0.9": "ap90", "SEG": "seg", "median IoU": "iou_median"}
STANDS_FOR_A_NAME = re.compile(r"[{<]|\.\.\.|NAME")


def read(page):
    return (REPOSITORY / page).read_text(encoding="utf-8")


def fenced_code(text):
    return re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def inline_code(text):
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def links(text):
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(text):
    """Names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named_paths(text):
    """Paths in backticks that begin with something that lies at the top of the repository."""
    top = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
    words = [word.rstrip(".,;:") for code in inline_code(text) for word in code.split()]
    return [
        word
        for word in words
        if word.partition("/")[0] in top
        and "/" in word
        and not word.startswith(MADE_BY_A_RUN)
        and not STANDS_FOR_A_NAME.search(word)
        and word not in EXAMPLES
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = read(page)
    for link in links(text):
        name, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    missing = [path for path in named_paths(read(page)) if not any(REPOSITORY.glob(path.rstrip("/")))]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", read("Makefile"), re.MULTILINE))
    code = "\n".join([*fenced_code(read(page)), *inline_code(read(page))])
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)) <= targets


def test_what_is_looked_for_is_found():
    """The searches above see what they are to see."""
    text = "Run `python benchmarks/demo.py results/hela` and see [x](docs/a.md#b-c), `tests/no.py`, `docs/*.md`.\n"
    text += "# B: c\n```bash\nmake demo  # `docs/in-a-fence.md`\n```\n"
    assert links(text) == ["docs/a.md#b-c"]
    assert named_paths(text) == ["benchmarks/demo.py", "tests/no.py", "docs/*.md"]
    assert fenced_code(text) == ["make demo  # `docs/in-a-fence.md`\n"]
    assert "b-c" in anchors(text)
    assert sum(len(links(read(page))) for page in PAGES) > 50
    assert sum(len(named_paths(read(page))) for page in PAGES) > 20


def test_readme_is_short_and_links_every_page():
    text = read("README.md")
    assert len(text.split()) <= 1000
    assert set(PAGES) - {"README.md"} <= {link.partition("#")[0] for link in links(text)}


def test_list_of_keys_is_that_of_the_schemas():
    make_page = runpy.run_path(str(REPOSITORY / "docs/make_configuration.py"))["make_page"]
    assert read("docs/configuration.md") == make_page(), "run python docs/make_configuration.py"


def read_benchmark(name):
    return json.loads(read(f"benchmarks/{name}.json"))


def rows_of(text, first):
    """Cells of a table in Markdown, below the heading whose first cell is this."""
    lines = text[text.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    heading, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_scores_in_the_readme_are_those_of_its_benchmarks():
    rows = rows_of(read("README.md"), "real test images")
    compared = [(organism, model) for organism in ("hela", "cho") for model in ("sketchscope", "classical")]
    for row, (organism, model) in zip(rows, compared, strict=True):
        summary = read_benchmark(f"demo-{organism}")
        found = {title: row[title] for title in SCORES if title in row}
        assert set(found) == set(SCORES)
        assert found == {title: f"{summary['models'][model][SCORES[title]]:.2f}" for title in found}
        if model == "sketchscope":
            assert f" {summary['n_images_scored']} " in row["real test images"]


@pytest.mark.parametrize(("organism", "sentence"), [("hela", "it takes"), ("cho", "stacks of CHO nuclei, in")])
def test_minutes_in_the_readme_are_those_of_its_benchmark(organism, sentence):
    (minutes,) = re.findall(rf"{sentence} (\d+) minutes", read("README.md").replace("\n", " "))
    summary = read_benchmark(f"demo-{organism}")
    assert int(minutes) == round(summary["minutes"])
    assert ", fast at bf16)" in summary["training"]["device"]


def test_agreement_with_and_without_a_condition_is_that_of_its_benchmark():
    runs = pd.DataFrame(read_benchmark("condition-hela")["runs"])
    assert runs["seed"].nunique() == 3
    for row in rows_of(read("docs/generation.md"), "t_start"):
        found = runs[(runs["t_start"] == int(row["t_start"])) & (runs["arm"] == row["sketch"])]
        assert len(found) == 3
        assert [int(row["lost"]), int(row["without a mask"])] == found[["lost", "unlabelled"]].sum().tolist()
        assert row["median IoU"] == f"{found['iou_median'].mean():.3f}"
        assert row["IoU over 0.7"] == f"{found['iou_above_0.7'].mean():.1%}"
        assert row["spectrum, dB from real"] == f"{found['spectrum'].mean():.1f}"


def test_scores_with_an_offset_are_those_of_their_benchmark():
    found = read_benchmark("demo-hela-offset")["models"]["sketchscope"]
    ap50, ap75, ap90, seg = (f"{found[name]:.2f}" for name in ("ap50", "ap75", "ap90", "seg"))
    assert f"one training had AP {ap50}, {ap75} and {ap90}, and SEG {seg} " in re.sub(
        r"\s+", " ", read("docs/limits.md")
    )


def test_scores_on_changed_fields_are_those_of_their_benchmark():
    names = {"sketchscope": "trained", "classical": "classical"}
    keys = {"AP at IoU 0.5": "ap50", "0.75": "ap75", "0.9": "ap90"}
    rows = rows_of(read("docs/generation.md"), "change")
    for row, found in zip(rows, read_benchmark("fields-hela")["rows"], strict=True):
        assert (row["change"], row["segmentation"]) == (found["change"], names[found["model"]])
        assert int(row["cells"]) == found["cells"]
        assert {title: row[title] for title in keys} == {title: f"{found[key]:.2f}" for title, key in keys.items()}
        assert row["false cells per field"] == f"{found['false_per_field']:.1f}"


def test_ratios_of_times_are_those_of_their_benchmark():
    seconds = read_benchmark("training")["seconds_of_a_step"]
    page = read("docs/limits.md").replace("\n", " ")
    hela, cho = (seconds["fp32"][name] / seconds["bfloat16"][name] for name in ("hela", "cho"))
    assert f"takes {hela:.1f} times as long (HeLa; CHO {cho:.1f})" in page
    assert f"AVX-512 {seconds['fp32, AVX2']['hela'] / seconds['bfloat16']['hela']:.1f} times" in page
    assert f"take {seconds['fp32, AVX2']['cellpose'] / seconds['fp32']['cellpose']:.1f} times as long" in page
    more = [times[name] / times[f"{name}, no sketch"] - 1 for times in seconds.values() for name in ("hela", "cho")]
    assert f"{100 * min(more):.0f} to {100 * max(more):.0f} % more" in page


def test_audits_of_the_demos_are_those_of_their_benchmarks():
    counts = {"cells": "cells", "lost": "lost", "without a mask": "unlabelled"}
    medians = {"median displacement": "displacement_median", "median IoU": "iou_median"}
    rows = rows_of(read("docs/audit.md"), "images")
    compared = [(organism, kind) for organism in ("hela", "cho") for kind in ("synthetic", "references")]
    for row, (organism, kind) in zip(rows, compared, strict=True):
        audit = read_benchmark(f"demo-{organism}")["audit"][kind]
        expected = {title: str(audit[name]) for title, name in counts.items()}
        expected |= {title: f"{audit[name]:.2f}" for title, name in medians.items()}
        expected |= {"IoU over 0.7": f"{audit['iou_above_0.7']:.1%}"}
        assert expected == {title: row[title] for title in expected}, row["images"]


def test_limits_on_the_page_of_the_audit_are_those_of_its_alarms():
    rows = rows_of(read("docs/audit.md"), "figure of `summary.csv`")
    stated = {row["figure of `summary.csv`"].split("`")[1]: row["an alarm beyond"] for row in rows}
    numbers = {name: text for name, text in stated.items() if text != "none"}
    assert set(numbers) == set(ALARMS)
    for name, text in numbers.items():
        assert float(text.split()[0]) / (100 if text.endswith("%") else 1) == ALARMS[name].limit, name


def test_factors_of_the_generation_are_those_of_its_benchmark():
    measured, page = read_benchmark("generation-cpu"), read("docs/generation.md")
    theirs, ours = measured["theirs"], measured["ours"]
    steps = 400 / ours["steps"]
    tiles = theirs["passes"] / ours["passes"] / steps
    arithmetic = theirs["seconds_of_a_pass"] / ours["seconds_of_a_pass"]
    assert f"{steps:.0f} x {tiles:.1f} x {arithmetic:.1f} = {measured['ratio']:.0f}" in page
    for sentence in ("Sketchscope takes {:.1f} times less", "with the same number of steps, it is {:.1f}."):
        assert sentence.format(tiles * arithmetic) in page.replace("\n", " ")
    assert f"{theirs['seconds'] / 3600:.0f} hours" in page
