"""The tools that write notebooks and README.md. (The site's tools are tested in test_site.py.)"""
import base64
import io
from email.message import Message

import numpy as np
import pytest
import torch
from conftest import load_tool
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from safetensors.torch import save_file

from denoising_diffusion import files

readme, run, sums = load_tool("readme"), load_tool("run"), load_tool("sums")
licences = load_tool("licences")


def displayed(**data: str):
    "An output that shows these data, by the last part of their kind"
    kinds = dict(html="text/html", plain="text/plain", png="image/png", widget=run.WIDGET)
    return new_output("display_data", data={kinds[name]: value for name, value in data.items()})


def test_a_live_widget_is_not_saved():
    outputs = [displayed(plain="a", widget="{}"), displayed(plain="b")]
    cells = [new_markdown_cell("text"), new_code_cell("stepper()", outputs=outputs)]
    nb = new_notebook(cells=cells, metadata=dict(widgets={}))
    saved = run.without_widgets(nb)
    assert "widgets" not in saved.metadata and saved.cells[1].outputs == outputs[1:]


def test_pictures_are_saved_with_a_palette():
    "Smaller, and nearly the same; a gray one is left as it is"
    ramp = np.add.outer(np.arange(120), np.arange(160)).astype(np.uint8)
    noisy = np.random.default_rng(0).integers(0, 40, (120, 160, 3), dtype=np.uint8)
    for pixels, kept in ((noisy, False), (ramp, True)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        png = base64.b64encode(buffer.getvalue()).decode()
        smaller = run.with_palette(png)
        assert (smaller == png) == kept and len(smaller) <= len(png)
        image = Image.open(io.BytesIO(base64.b64decode(smaller))).convert("RGB")
        original = np.asarray(Image.fromarray(pixels).convert("RGB"), dtype=float)
        assert abs(np.asarray(image, dtype=float) - original).mean() < 8


def test_flagged_cells_are_not_run():
    sources = "#| slow\n1", "#| cuda", "#| mnist\n1", "1  #| slow"
    nb = new_notebook(cells=[new_code_cell(source) for source in sources])
    run.skip_flagged(nb)
    assert [cell.metadata.get("tags") for cell in nb.cells] == [["skip-execution"]] * 2 + [None] * 2


@pytest.mark.parametrize("head", ["hide", "export", "default_exp a", "include: false"])
def test_hidden_cells_are_not_in_the_readme(head):
    assert readme.shown(new_code_cell(f"#| {head}\n1")) is None


def test_the_readme_shows_code_and_text():
    cell = new_code_cell("#| eval: false\n1", outputs=[displayed(plain="1", html="<b>1</b>")])
    shown = readme.shown(cell)
    assert shown.source == "1" and shown.outputs[0].data == {"text/plain": "1"}
    assert readme.shown(new_code_cell("#| echo: false\n1")) is None  # without an output
    assert readme.shown(new_markdown_cell("[a](b.ipynb)")).source == "[a](nbs/b.ipynb)"


def test_the_readme_refuses_an_image_in_an_output():
    with pytest.raises(SystemExit, match="Save it under nbs/images"):
        readme.shown(new_code_cell("plot()", outputs=[displayed(png="iVBORw0KGgo=")]))


def test_checksums_are_added_to_old_files(tmp_path):
    "All shipped files have checksums; adding them keeps tensors and card"
    assert sums.main("--check") == 0
    card, path = '{"made": "long ago", "loss": 0.5}', tmp_path/"old.safetensors"
    save_file({"b": torch.arange(3), "a": torch.ones(2, 2)}, path, {"toy": card})
    before, after = path.read_bytes(), sums.with_sums(path.read_bytes())
    assert sums.files_without(tmp_path) == [path]
    (old, data), (new, kept) = files._split(before), files._split(after)
    assert data == kept and new["__metadata__"].pop("toy") == card
    assert {*new.pop("__metadata__")} == {"sha256", "sha256_card"}
    assert new == {name: part for name, part in old.items() if name != "__metadata__"}
    assert sums.with_sums(after) == after


def test_the_licenses_of_all_requirements_are_listed(tmp_path, monkeypatch, capsys):
    "A planted missing row and a planted row too many are named"
    assert licences.main("--check") == 0 and not capsys.readouterr().out
    text = licences.FILE.read_text(encoding="utf-8")
    planted = "".join(line for line in text.splitlines(True) if not line.startswith("| [scipy]"))
    assert planted != text
    monkeypatch.setattr(licences, "FILE", tmp_path/"LICENSES.md")
    assert licences.main("--check") == 1 and "lacks torch" in capsys.readouterr().out
    licences.FILE.write_text(planted + "| [toys](https://toys.org) | MIT |\n", encoding="utf-8")
    assert licences.main("--check") == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "LICENSES.md lacks scipy", "LICENSES.md lists toys, which settings.ini doesn't require"]


@pytest.mark.parametrize("entries, license", [
    ({"License-Expression": "MIT", "License": "BSD"}, "MIT"),
    ({"License": "BSD", "Classifier": "License :: OSI Approved :: MIT License"}, "BSD"),
    ({"License": "All\nof it", "Classifier": "License :: OSI Approved :: MIT License"},
     "MIT License"),
    ({}, "not in its metadata")])
def test_a_license_is_found_in_the_metadata(entries, license):
    about = Message()
    about["Name"] = "toy"
    for name, value in entries.items(): about[name] = value
    assert licences.find_license(about) == license
    assert licences.find_home(about) == "https://pypi.org/project/toy/"
    about["Project-URL"] = "Source, https://toys.org"
    assert licences.find_home(about) == "https://toys.org"
