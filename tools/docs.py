"""The half of the docs step that needs no Quarto: plain pages of all notebooks, looked through.

    python tools/docs.py

The notebooks are processed as `nbdev_docs` does it: by nbdev, in a process of its own, from the top
folder and in the environment of the workflow; then by what _quarto.yml runs before it renders. They
are left in _proc/, which git ignores, and the plain pages in _proc/_html/.

These pages show the structure that Quarto's will have: what stands on a page, in what order, what
is folded, and where links and anchors lead. They don't show its layout, its colors or its search.
What a browser makes of those can only be seen on pages that Quarto has rendered.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import yaml
from fastcore.script import call_parse
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbdev.config import get_config
from offline import Page, fetches

# The cells as Quarto lays them out, so that nbs/styles.css means the same here
TEMPLATE = """{%- extends 'base/display_priority.j2' -%}
{%- block markdowncell %}{{ cell.source | markdown2html }}{% endblock -%}
{%- block codecell %}<div class="cell">{{ super() }}</div>{% endblock -%}
{%- block input -%}
{%- if cell.source -%}
{%- if cell.metadata.fold %}<details><summary>{{ cell.metadata.fold }}</summary>{% endif -%}
<div class="sourceCode"><pre><code>{{ cell.source | e }}</code></pre></div>
{%- if cell.metadata.fold %}</details>{% endif -%}
{%- endif -%}
{%- endblock -%}
{%- block output %}<div class="cell-output">{{ super() }}</div>{% endblock -%}
{%- block execute_result -%}
{% block data_priority scoped %}{{ super() }}{% endblock %}
{%- endblock -%}
{%- block stream %}<pre>{{ output.text | ansi2html }}</pre>{% endblock -%}
{%- block data_png -%}
<img alt="{{ cell.metadata.alt | e }}" src="data:image/png;base64,{{ output.data['image/png'] }}">
{%- endblock -%}
{%- block data_svg %}{{ output.data['image/svg+xml'] }}{% endblock -%}
{%- block data_html %}{{ output.data['text/html'] }}{% endblock -%}
{%- block data_markdown %}{{ output.data['text/markdown'] | markdown2html }}{% endblock -%}
{%- block data_text %}<pre>{{ output.data['text/plain'] | ansi2html }}</pre>{% endblock -%}"""

SHELL = """<!doctype html>
<html lang="en"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><meta name="description" content="{description}">
<link rel="stylesheet" href="styles.css">
<style>
body {{ margin: 0; font-family: system-ui, sans-serif; }}
body.quarto-dark {{ color-scheme: dark; background: {bg}; color: {fg}; }}
.quarto-dark a {{ color: {link}; }}
pre {{ overflow-x: auto; padding: 0.5rem 0.75rem; margin: 0; }}
nav, main {{ padding: 1rem; box-sizing: border-box; }}
main {{ min-width: 0; width: 100%; }}
nav {{ font-size: 0.9em; }}
@media (min-width: 60rem) {{
  body {{ display: flex; justify-content: center; gap: 3rem; }}
  nav {{ flex: 0 0 11rem; }}
  nav a, nav b {{ display: block; }}
}}
</style></head>
<body class="quarto-light"><script>
if (matchMedia("(prefers-color-scheme: dark)").matches) document.body.className = "quarto-dark"
</script>
<nav>{nav}</nav><main class="content"><h1>{title}</h1><p class="lead">{description}</p>
{body}
</main></body></html>
"""
FILLER = ' alt="No description has been provided for this image"'  # nbconvert's


def environment(extra: Path) -> dict[str, str]:
    "That of the workflow: the installed programs and no paths of Python's; last a folder more"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"], str(extra)])
    return kept | dict(PATH=path, OMP_NUM_THREADS="1", MPLBACKEND="agg")


def run(command: list[str], cwd: Path, env: dict[str, str]) -> None:
    "Run a program; if it fails, what it wrote last is the error"
    program = shutil.which(command[0], path=env["PATH"])
    done = subprocess.run([program or command[0], *command[1:]], cwd=cwd, env=env, text=True,
                          encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")


def process() -> list[Path]:
    "The processed notebooks, all made new"
    cfg = get_config()
    proc = cfg.config_path/"_proc"
    shutil.rmtree(proc, ignore_errors=True)
    settings = yaml.safe_load((cfg.nbs_path/"_quarto.yml").read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        quarto = Path(folder)/"quarto"  # nbdev only looks whether there is one
        quarto.touch(mode=0o755)
        env = environment(quarto.parent)
        run(["nbdev_proc_nbs"], cfg.config_path, env)
        run([sys.executable, settings["project"]["pre-render"]], proc, env)
    names = [path.name for path in sorted(cfg.nbs_path.glob("[!_.]*.ipynb"))]
    missing = [name for name in names if not (proc/name).exists()]
    if missing: raise SystemExit(f"not processed for the site: {', '.join(missing)}")
    return sorted(proc.glob("*.ipynb"))


def apply_options(cell: nbformat.NotebookNode) -> None:
    "Take the `#|` lines from the head of a code cell, and do what they say"
    head = re.match(r"(?:#\|[^\n]*\n?)*", cell.source).group()
    options = yaml.safe_load(re.sub(r"^#\| ?", "", head, flags=re.M)) or {}
    cell.source = cell.source[len(head):].strip("\n") if options.get("echo", True) else ""
    cell.metadata["alt"] = options.get("fig-alt", "")
    cell.metadata["fold"] = options.get("code-fold") and options.get("code-summary", "Code")
    for data in (output.get("data", {}) for output in cell.outputs):
        if "text/markdown" not in data: continue
        attributes = r'\{target="_blank"[^}]*\}'  # for Pandoc
        data["text/markdown"] = re.sub(attributes, "", data["text/markdown"])


def read(path: Path) -> tuple[nbformat.NotebookNode, dict]:
    "A processed notebook as Quarto would show it, and its front matter"
    nb = nbformat.reads(json.dumps(json.loads(path.read_text(encoding="utf-8"))), as_version=4)
    raw = [cell.source for cell in nb.cells if cell.cell_type == "raw"]
    front = next((source for source in raw if source.startswith("---")), "")
    nb.cells = [cell for cell in nb.cells if cell.cell_type != "raw"]
    for cell in nb.cells:
        if cell.cell_type == "code": apply_options(cell)
    return nb, yaml.safe_load(front.strip().strip("-")) or {}


def sidebar(folder: Path, heads: dict[str, dict]) -> str:
    "The links of sidebar.yml, floor by floor"
    def link(name: str) -> str:
        return f'<a href="{heads[name]["output-file"]}">{heads[name]["title"]}</a> '

    def section(entry: str | dict) -> str:
        if isinstance(entry, str): return link(entry)
        return f"<b>{entry['section']}</b> " + "".join(link(name) for name in entry["contents"])

    settings = yaml.safe_load((folder/"sidebar.yml").read_text(encoding="utf-8"))
    return "".join(section(entry) for entry in settings["website"]["sidebar"]["contents"])


def dark_colors(folder: Path) -> dict[str, str]:
    "The colors of the dark theme"
    text = (folder/"dark.scss").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\$([\w-]+): (#\w+);", text, flags=re.M))
    return dict(bg=found["body-bg"], fg=found["body-color"], link=found["primary"])


def make_exporter() -> HTMLExporter:
    "What turns a notebook into the body of a page"
    loaders = [DictLoader({"page.j2": TEMPLATE})]
    exporter = HTMLExporter(extra_loaders=loaders, template_file="page.j2",
                            exclude_anchor_links=True)
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    return exporter


def identifier(heading: str) -> str:
    "The anchor that Pandoc gives a heading, from its HTML"
    text = unescape(re.sub(r"<[^>]+>", "", heading)).lower()
    kept = "".join(c for c in text if c.isalnum() or c in "_-. \n")
    return re.sub(r"^[\d\W_]+", "", "-".join(kept.split())) or "section"


def with_anchors(body: str) -> str:
    "HTML whose headings have Pandoc's anchors"
    def anchored(match: re.Match) -> str:
        level, text = match.groups()
        return f'<h{level} id="{identifier(text)}">{text}</h{level}>'

    return re.sub(r"<h([1-6])[^>]*>(.*?)</h\1>", anchored, body, flags=re.S)


def render(paths: list[Path]) -> dict[str, str]:
    "The plain pages, by their names"
    folder, exporter = paths[0].parent, make_exporter()
    notebooks = {path.name: read(path) for path in paths}
    heads = {name: head for name, (_, head) in notebooks.items()}
    shell = dict(dark_colors(folder), nav=sidebar(folder, heads))

    def page_of(match: re.Match) -> str:
        name = match.group(1)
        return f'href="{heads[name]["output-file"]}' if name in heads else match.group()

    pages = {}
    for nb, head in notebooks.values():
        html, _ = exporter.from_notebook_node(nb)
        body = re.sub(r'href="([\w.]+\.ipynb)', page_of, html.replace(FILLER, ""))
        entries = dict(title=head["title"], description=head.get("description", ""))
        entries["body"] = with_anchors(body)
        pages[head["output-file"]] = SHELL.format(**entries, **shell)
    return pages


def is_local(target: str | None) -> bool:
    "Whether a target lies beside the page"
    return bool(target) and not re.match(r"[a-z][a-z0-9+.-]*:|#|/|\.\.", target)


def image_faults(page: Page, folder: Path) -> list[str]:
    "Images that are missing, and images without a text"
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    sources = [attrs["src"] for attrs in images]
    missing = [src for src in sources if is_local(src) and not (folder/src).is_file()]
    mute = [attrs["src"][:60] for attrs in images if not attrs.get("alt", "").strip()]
    return ([f"there is no image {src}" for src in missing]
            + [f"an image has no alt text: {src}" for src in mute])


def anchors(page: Page) -> list[str]:
    "What links may lead to on a page"
    return [attrs["id"] for _, attrs in page.tags if "id" in attrs]


def link_faults(page: Page, folder: Path, ids: dict[str, list[str]]) -> list[str]:
    "Links to pages, files and anchors that aren't there; `ids` holds the anchors of each page"
    links = [attrs.get("href", "") for tag, attrs in page.tags if tag == "a"]
    local = [link.partition("#")[::2] for link in links if is_local(link) or link[:1] == "#"]
    lost = [name for name, _ in local if name and name not in ids and not (folder/name).is_file()]
    here = anchors(page)
    stray = [f"{name}#{anchor}" for name, anchor in local
             if anchor and anchor not in (ids.get(name, [anchor]) if name else here)]
    return [f"a link leads nowhere: {target}" for target in lost + stray]


def anchor_faults(page: Page) -> list[str]:
    "Headings that share an anchor"
    found = anchors(page)
    return [f"two headings have the anchor {name}" for name in sorted(set(found))
            if found.count(name) > 1]


def faults(html: str, folder: Path, ids: dict[str, list[str]]) -> list[str]:
    "What is wrong with a page whose images lie in `folder`"
    page = Page(html)
    found = [f"it fetches {address}" for address in fetches(html)]
    found += image_faults(page, folder) + link_faults(page, folder, ids) + anchor_faults(page)
    if len(page.text) < 1000: found.append("the page is empty")
    if not re.search(r'<meta name="description" content="[^"]', html):
        found.append("there is no line under the title")
    return found


@call_parse
def main():
    "Process all notebooks, write plain pages, and name what is wrong with them"
    paths = process()
    if not paths: raise SystemExit("no page was processed")
    folder = paths[0].parent
    pages = render(paths)
    (folder/"_html").mkdir()
    for name, html in pages.items(): (folder/"_html"/name).write_text(html, encoding="utf-8")
    shutil.copy(folder/"styles.css", folder/"_html")
    shutil.copytree(folder/"images", folder/"_html"/"images")
    ids = {name: anchors(Page(html)) for name, html in pages.items()}
    found = [f"{name}: {fault}" for name, html in pages.items()
             for fault in faults(html, folder, ids)]
    if found: raise SystemExit("\n".join(found))
    print(f"{len(pages)} pages have the structure that the site needs; Quarto did not render them")
