"README.md says what the front page says; its first two blocks run from a clone as they stand."
import json
import re
import subprocess

import pytest

from conftest import load_tool

from denoising_diffusion import load_pretrained
from denoising_diffusion.pretrained import pretrained_names
from denoising_diffusion.samplers import resolve_sampling

COMMANDS = {"pip", "python", "ddpm_sample", "ddpm_train", "nbdev_test", "pytest"}


@pytest.fixture(scope="session")
def blocks(root, readme_tool):
    return readme_tool.code_blocks((root/"README.md").read_text(encoding="utf-8"))


def commands(block):
    "The programs a block calls, without the variables set before them"
    for part in re.split(r"&&|\n", block.replace("\\\n", " ")):
        words = [w for w in part.split() if not re.match(r"[A-Z_]+=", w)]
        if words and not words[0].startswith("#"): yield words[0]


def test_readme_is_the_front_page(readme_tool):
    assert readme_tool.difference() == "", "run python tools/readme.py"


def test_relative_links_lead_somewhere(root, readme_tool):
    text = (root/"README.md").read_text(encoding="utf-8")
    prose = "".join(readme_tool._fence.split(text)[::2])
    targets = [m.group(2) for rx in (readme_tool._link, readme_tool._attr)
               for m in rx.finditer(prose)]
    gone = [t for t in targets if not re.match(r"[a-z]+:|#", t)
            and not (root/t.split("#")[0]).exists()]
    assert not gone


@pytest.mark.parametrize("n", [0, 1])
def test_the_first_two_blocks(blocks, n):
    assert len(blocks) >= 2
    block = blocks[n]
    assert not re.search(r"://|git@|git clone|\bcd\b|www\.",
                         block), "a block names an address or leaves the clone"
    assert not re.search(r"(?:^|[\s'\"=])[/~]", block), "a block names a path outside the clone"
    assert not re.search(r"<\w|\.\.\.|…", block), "a block holds something to fill in"
    assert set(commands(block)) <= COMMANDS
    assert subprocess.run(["bash", "-n"], input=block, text=True).returncode == 0


def test_the_blocks_do_what_they_are_for(blocks):
    assert "pip install" in blocks[0] and "ddpm_sample" in blocks[0]
    assert {"nbdev_test", "pytest"} <= set(commands(blocks[1]))


def test_links_are_turned_to_the_top_folder(readme_tool):
    turn = readme_tool.relink
    assert turn("![x](images/a.png)") == "![x](nbs/images/a.png)"
    pictured = turn("[![x](images/a.png)](60_spiral.ipynb)")
    assert pictured == "[![x](nbs/images/a.png)](nbs/60_spiral.ipynb)"
    assert turn("[s](01_schedules.ipynb#linear)") == "[s](nbs/01_schedules.ipynb#linear)"
    assert turn("[c](../CONTRIBUTING.md)") == "[c](CONTRIBUTING.md)"
    assert turn('<img src="images/a.png">') == '<img src="nbs/images/a.png">'
    for outside in ("[p](https://arxiv.org/abs/2006.11239)", "[q](#here)"):
        assert turn(outside) == outside
    assert turn("```python\nx[a](b)\n```\n") == "```python\nx[a](b)\n```\n"


def test_the_table_of_models(root):
    "Each model has a row, with its size and how its card recommends to sample; then the commands"
    text = (root/"README.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(\w+)` \| ([\d,]+) \| [^|]+ \| ([^|]+) \|$", re.M)
    rows = row.findall(text)
    assert sorted(name for name, *_ in rows) == pretrained_names()
    models = [load_pretrained(name) for name, *_ in rows]
    for (name, size, sampling), diffusion in zip(rows, models):
        assert int(size.replace(",", "")) == diffusion.card["parameters"]
        assert sampling == recommended(diffusion), name
    commands = "".join(f"{diffusion.card['command']}\n" for diffusion in models)
    assert f"```sh\n{commands}```" in text


def recommended(diffusion):
    "How a model is sampled when nothing is said, in the words of README's table"
    labels = 1 if diffusion.num_classes else None
    process = resolve_sampling(diffusion, labels)
    sampler, _, eta = process["rule"].name.partition(", ")
    said = [sampler, f"{len(process['sampling_timesteps']) - 1} steps"]
    if eta != "η = 0": said.append(eta.replace("= ", ""))
    spacing = diffusion.card.get("sampling", {}).get("spacing", 1)
    if spacing != 1: said.append(f"spacing {spacing:g}")
    if labels: said.append(f"guidance {process['guidance_scale']:g}")
    return ", ".join(part for part in said if part)


def test_the_table_of_distances_is_what_was_measured(root):
    digits = load_tool("digits")
    results = json.loads((root/"nbs"/"results"/"numbers.json").read_text(encoding="utf-8"))
    table = digits.readme_table(results)
    assert table in (root/"README.md").read_text(encoding="utf-8"), table
    first = [row.split("`")[1] for row in table.splitlines()[2:5]]  # without any option
    assert first == [f"ddpm_fld {name}" for name in
                     ("numbers_guided", "numbers", "numbers_no_attention")]
