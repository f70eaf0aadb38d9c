import base64
import re
from html.parser import HTMLParser

import pytest
import yaml
from matplotlib.image import imread
from reporting import ORGANISMS, TEXTS, settings_of, write_report
from running import REPOSITORY
from sketchscope.config.views import effective_settings
from sketchscope.errors import InputError
from sketchscope.report.page import MEASURES, fill_caption, list_measures, read_illustration

CAPTIONS = sorted(TEXTS.glob("*.rst"))
OF_ALL = {"comparison", "workflow"}  # captions that the report of one organism does not have
VOID = {"meta", "link", "img", "br", "hr", "input", "col", "wbr"}
LOADED = {"src", "srcset", "href", "data", "poster", "action", "formaction", "background", "cite", "ping"}


class Page(HTMLParser):
    """What is on a page; an element that is not closed in its place is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.images, self.headings, self.tags = [], [], [], [], [], set()
        self.texts, self.words = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.addresses += [value for name, value in attrs if name in LOADED]
        assert not [name for name in attributes if name.startswith("on")], "no script in attributes"
        if tag == "img":
            self.images.append(attributes)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", params=[2, 3])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, request.param, *write_report(folder, request.param)


def test_page_is_sound_html(made):
    text = made[3]
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    referred = re.findall(r'(?:aria-labelledby="|href="#)([^"]+)"', text)
    assert set(referred) <= set(page.ids)
    assert page.tags.isdisjoint({"script", "iframe", "object", "embed", "form", "base"})


def test_page_asks_nothing_of_the_network(made):
    page = Page(made[3])
    files = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert files == [
        *("cellpose/sketchscope/model", "synthetic/README.md", "evaluation/summary.json", "evaluation/statistics.csv")
    ]
    style = re.search(r"<style>(.*?)</style>", made[3], re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in made[3]


def test_every_figure_is_in_the_page_as_it_was_drawn(made):
    folder, _, _, text = made
    images = Page(text).images
    names = ["pairs", "overlays", "iou", "verdict", "samples", "loss"]
    assert len(images) == len(names)
    for name, image in zip(names, images, strict=True):
        head, _, data = image["src"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data, validate=True) == (folder / f"figures/{name}.png").read_bytes()
        assert f"igure of {name} of hela" in image["alt"]
        height, width, _ = imread(folder / f"figures/{name}.png").shape
        assert (int(image["width"]), int(image["height"])) == (round(0.6 * width), round(0.6 * height))


def test_what_is_looked_for_first_is_on_top(made):
    _, _, summary, text = made
    wanted = [
        *(f"Verdict against classical: {summary['comparisons'][0]['verdict']}", "panoptic quality is"),
        *(
            "Verdict against cyto3: better",
            "is better than cyto3",
            "Nuclei: not fetched",
            "404 Not Found",
            "average precision at IoU 0.5",
        ),
        *("Figure of pairs</h2>", "Figure of overlays</h2>", "Figure of iou</h2>", "Figure of verdict</h2>"),
        *("Figure of samples</h2>", "Figure of loss</h2>", ">Cost</h2>", ">Files</h2>", ">Versions</h2>"),
    ]
    places = [text.index(part) for part in wanted]
    assert places == sorted(places)


def test_numbers_are_those_of_the_summary(made):
    words = Page(made[3]).text
    for line in (
        *("average precision at IoU 0.5 0.900 0.800 0.700", "average precision at IoU 0.75 0.890 0.790 0.690"),
        *("cells merged 1,204 1,204 1,204", "generate_volumes 2 60.0 310", "plot_loss 1 0.4 –", "all rules 4 7,260.4"),
        *("train_diffusion 1 7,200.0 812", "2 h 1 min of all jobs together, on CPU.", "Seed 5."),
    ):
        assert line in words
    assert "GPU" not in words


def test_captions_are_filled_in(made):
    words = Page(made[3]).text
    assert "{{" not in made[3]
    assert "Images that the diffusion model of hela makes from pure noise" in words
    assert "two one-sided tests whether they differ by less than 0.05" in words


def test_settings_are_whole(made):
    _, dimensions, _, text = made
    block = re.search(r"<summary>Every setting of.*?<pre><code>(.*?)</code></pre>", text, re.DOTALL)[1]
    block = block.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&#34;", '"')
    assert yaml.safe_load(block.replace("&amp;", "&")) == effective_settings(settings_of(dimensions))


def test_how_to_open_the_model(made):
    _, dimensions, _, text = made
    words, organism = Page(text).text, settings_of(dimensions)
    assert "cp results/hela/cellpose/sketchscope/model ~/.cellpose/models/sketchscope-hela" in words
    assert f"sets the diameter to {organism['cell_diameter'] / 0.5:.2f} pixels" in words
    stitched = f"Set the stitch threshold to {organism['cellpose']['stitch_threshold']}."
    assert (stitched in words) == (ORGANISMS[dimensions] == "cho")


def test_training_is_told(tmp_path):
    found = Page(write_report(tmp_path)[1]).text
    assert "Diffusion model: 2,500 steps in 6 min 12 s on cpu (Some CPU, fast at bf16), bfloat16." in found


@pytest.mark.parametrize(("gpus", "words"), [(1, "of these 2.00 GPU hours."), (4, "of these 8.00 GPU hours.")])
def test_gpu_hours_are_told(tmp_path, gpus, words):
    found = Page(write_report(tmp_path, gpus=gpus)[1]).text
    assert words in found
    assert "on CPU" not in found


def test_what_is_not_known_is_a_dash_and_what_is_not_held_out_is_told(tmp_path):
    nothing = {key: None for key in ("ap50", "ap_mean", "iou_median", "pq", "n_splits")}
    models = dict.fromkeys(("sketchscope", "classical", "cyto3"), nothing)
    page = Page(write_report(tmp_path, models=models, held_out=False)[1])
    assert "average precision at IoU 0.5 – – –" in page.text
    assert "cells split – – –" in page.text
    assert "The test images were also learnt from" in page.text


def test_the_density_of_the_masks_is_told_and_little_of_it_is_a_warning(tmp_path):
    masks = {"asked": 900.0, "reached": 700.0, "share": 0.78, "enough": False, "unit": "nuclei per 10⁶ µm³"}
    text = Page(write_report(tmp_path, masks=masks)[1]).text
    assert "The simulated masks hold 700.0 nuclei per 10⁶ µm³ of the specimen; 900.0 were asked for." in text
    assert "Warning: only 78 % of the nuclei found a place." in text


def test_everything_is_escaped(tmp_path):
    evil = '"><script>alert(1)</script>&'
    changes = {"organism": evil, "scale": evil, "versions": {"sketchscope": evil, evil: evil}}
    changes["seconds"], changes["jobs"], changes["peak_memory_mb"] = {evil: 1.0}, {evil: 1}, {evil: None}
    changes["comparisons"] = [{"model_b": evil, "verdict": evil, "sentence": evil}]
    changes["models"] = dict.fromkeys(("sketchscope", evil), dict.fromkeys(MEASURES))
    changes["not_available"] = {evil: evil}
    text = write_report(tmp_path, **changes)[1]
    assert "<script" not in text
    assert "script" not in Page(text).tags
    assert Page(text).text.count("<script>alert(1)</script>") >= 8


def test_replicates_have_a_column(tmp_path):
    several = {"count": 3, "mean": {"ap50": 0.87, "n_splits": 2.5}, "sd": {"ap50": 0.0123, "n_splits": 0.5}}
    nothing = dict.fromkeys(MEASURES) | {"ap75": None, "ap90": None}
    several = {"count": 3, "mean": nothing | several["mean"], "sd": nothing | several["sd"]}
    text = Page(write_report(tmp_path, trainings=several)[1]).text
    assert "mean ± SD of 3 trainings" in text
    assert "0.870 ± 0.012" in text
    assert "2.5 ± 0.5" in text


def test_precisions_come_in_the_order_of_their_thresholds():
    scores = {"ap97.5": 0.1, "ap_mean": 0.5, "pq": 0.6, "ap5": 0.9, "n_splits": 2, "ap50": None, "name": "classical"}
    trainings = {"count": 2, "mean": scores, "sd": scores | {"ap5": 0.1}}
    models = {"classical": scores | {"ap5": 0.8}, "sketchscope": scores}  # sorted by name, as JSON files are
    found = list_measures({"models": models, "comparisons": [{"model_b": "classical"}], "trainings": trainings})
    assert (found[0].mean, found[0].sd) == (0.9, 0.1)
    assert [(line.title.split()[-1], *line.values, line.digits) for line in found] == [
        ("0.05", 0.9, 0.8, 3),
        ("0.5", None, None, 3),
        ("0.975", 0.1, 0.1, 3),
        ("0.95", 0.5, 0.5, 3),
        ("(PQ)", 0.6, 0.6, 3),
        ("split", 2, 2, 0),
    ]


def test_a_figure_that_is_no_png(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"a\.png: is no PNG"):
        read_illustration(tmp_path / "a.png", "a", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ snakemake.params.absent }}", "cannot be filled in"),
        ("a `link", "is no valid reStructuredText"),
        (".. raw:: html\n\n   <script>alert(1)</script>\n", "is no valid reStructuredText"),
    ],
)
def test_a_caption_that_cannot_be_shown_is_named(tmp_path, text, message):
    (tmp_path / "a.rst").write_text(text)
    with pytest.raises(InputError, match=rf"a\.rst: {message}"):
        fill_caption(tmp_path / "a.rst", {"snakemake": {"params": {}}})


def test_captions_name_nothing_that_the_report_does_not_have():
    rule = (REPOSITORY / "workflow/rules/report.smk").read_text().partition("rule write_report:")[2]
    own = [path for path in CAPTIONS if path.stem not in OF_ALL]
    assert len(own) >= 8
    for path in own:
        named = set(re.findall(r"snakemake\.(\w+\.\w+)", path.read_text()))
        assert named <= {"wildcards.organism"} | {
            f"params.{name}" for name in re.findall(r"^ +(\w+)=", rule, re.MULTILINE)
        }
