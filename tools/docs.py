"""The half of the docs step that needs no Quarto: every notebook is processed as for the site, made into a plain page and looked through.

    python tools/docs.py

`nbdev_docs` does the same and then calls Quarto. The processed notebooks are left in _proc/, which git ignores, and the plain pages in
_proc/_html/: without Quarto's search and formulas, but in its structure and with the site's own styles, so that a browser shows most mistakes.
"""
import json
import re
import shutil
from pathlib import Path

import nbformat
import yaml
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbdev.config import get_config
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbdev.serve import proc_nbs
from offline import Page, fetches

# The cells as Quarto lays them out, so that nbs/styles.css means the same here
TEMPLATE = """{%- extends 'base/display_priority.j2' -%}
{%- block markdowncell %}{{ cell.source | markdown2html }}{% endblock -%}
{%- block codecell %}<div class="cell">{{ super() }}</div>{% endblock -%}
{%- block input %}{% if cell.source %}<div class="sourceCode"><pre><code>{{ cell.source | e }}</code></pre></div>{% endif %}{% endblock -%}
{%- block output %}<div class="cell-output">{{ super() }}</div>{% endblock -%}
{%- block execute_result %}{% block data_priority scoped %}{{ super() }}{% endblock %}{% endblock -%}
{%- block stream %}<pre>{{ output.text | ansi2html }}</pre>{% endblock -%}
{%- block data_png %}<img alt="{{ cell.metadata.alt | e }}" src="data:image/png;base64,{{ output.data['image/png'] }}">{% endblock -%}
{%- block data_svg %}{{ output.data['image/svg+xml'] }}{% endblock -%}
{%- block data_html %}{{ output.data['text/html'] }}{% endblock -%}
{%- block data_markdown %}{{ output.data['text/markdown'] | markdown2html }}{% endblock -%}
{%- block data_text %}<pre>{{ output.data['text/plain'] | ansi2html }}</pre>{% endblock -%}"""

SHELL = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><meta name="description" content="{description}"><link rel="stylesheet" href="styles.css">
<style>
body {{ margin: 0; font-family: system-ui, sans-serif; }} body.quarto-dark {{ color-scheme: dark; background: {bg}; color: {fg}; }}
.quarto-dark a {{ color: {link}; }} pre {{ overflow-x: auto; padding: 0.5rem 0.75rem; margin: 0; }}
nav, main {{ padding: 1rem; box-sizing: border-box; }} main {{ min-width: 0; width: 100%; }} nav {{ font-size: 0.9em; }}
@media (min-width: 60rem) {{
  body {{ display: flex; justify-content: center; gap: 3rem; }} nav {{ flex: 0 0 11rem; }} nav a, nav b {{ display: block; }}
}}
</style></head>
<body class="quarto-light"><script>if (matchMedia("(prefers-color-scheme: dark)").matches) document.body.className = "quarto-dark"</script>
<nav>{nav}</nav><main class="content"><h1>{title}</h1><p class="lead">{description}</p>
{body}
</main></body></html>
"""


def process() -> list:
    "The processed notebooks, made anew"
    cfg = get_config()
    refresh_quarto_yml()
    nbdev_sidebar.__wrapped__()
    proc = cfg.config_path/"_proc"
    shutil.rmtree(proc, ignore_errors=True)
    proc_nbs(n_workers=0)
    missing = [p.name for p in sorted(cfg.nbs_path.glob("[!_.]*.ipynb"))
               if not (proc/p.name).exists()]
    if missing: raise SystemExit(f"not processed for the site: {', '.join(missing)}")
    return sorted(proc.glob("*.ipynb"))


def read(path: Path):
    "A processed notebook as Quarto would show it, and its front matter"
    nb = nbformat.reads(json.dumps(json.loads(path.read_text(encoding="utf-8"))), as_version=4)
    raw = next((c.source for c in nb.cells if c.cell_type == "raw" and c.source.startswith("---")),
               "")
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        head = re.match(r"(?:#\|[^\n]*\n?)*", cell.source).group()
        options = yaml.safe_load(re.sub(r"^#\| ?", "", head, flags=re.M)) or {}
        cell.source = cell.source[len(head):].strip("\n") if options.get("echo", True) else ""
        cell.metadata["alt"] = options.get("fig-alt", "")
        # attributes are for Pandoc
        for data in (output.get("data", {}) for output in cell.outputs):
            if "text/markdown" in data: data["text/markdown"] = re.sub(r'\{target="_blank"[^}]*\}',
                                                                       "", data["text/markdown"])
    nb.cells = [c for c in nb.cells if c.cell_type != "raw"]
    return nb, yaml.safe_load(raw.strip().strip("-")) or {}


def sidebar(folder: Path, heads: dict) -> str:
    "The links of sidebar.yml, floor by floor"
    link = lambda name: f'<a href="{heads[name]["output-file"]}">{heads[name]["title"]}</a> '
    entries = yaml.safe_load((folder/"sidebar.yml").read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
    return "".join(link(e) if isinstance(e, str)
                   else f"<b>{e['section']}</b> " + "".join(map(link,
                                                                e["contents"])) for e in entries)


def render(paths: list) -> dict:
    "The plain pages, by their names"
    folder = paths[0].parent
    notebooks = {p.name: read(p) for p in paths}
    heads = {name: head for name, (_, head) in notebooks.items()}
    dark = dict(re.findall(r"^\$([\w-]+): (#\w+);",
                           (folder/"dark.scss").read_text(encoding="utf-8"), flags=re.M))
    shell = dict(nav=sidebar(folder, heads), bg=dark["body-bg"], fg=dark["body-color"],
                 link=dark["primary"])
    exporter = HTMLExporter(extra_loaders=[DictLoader({"page.j2": TEMPLATE})],
                            template_file="page.j2", exclude_anchor_links=True)
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    page_of = lambda m: f'href="{heads[m.group(1)]["output-file"]}' if m.group(1) in heads else m.group()
    # nbconvert's, where there is none
    filler = ' alt="No description has been provided for this image"'
    pages = {}
    for name, (nb, head) in notebooks.items():
        body = re.sub(r'href="([\w.]+\.ipynb)', page_of,
                      exporter.from_notebook_node(nb)[0].replace(filler, ""))
        pages[head["output-file"]] = SHELL.format(title=head["title"],
                                                  description=head.get("description",
                                                                       ""), body=body, **shell)
    return pages


def faults(html: str, folder: Path, pages) -> list:
    "What is wrong with a page whose pictures lie in `folder`"
    page = Page(html)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    local = lambda target: target and not re.match(r"[a-z][a-z0-9+.-]*:|#|/|\.\.", target)
    targets = [attrs["href"].split("#")[0] for tag,
               attrs in page.tags if tag == "a" and local(attrs.get("href"))]
    found = [f"it fetches {address}" for address in fetches(html)]
    found += [f"there is no picture {a['src']}" for a in images if local(a["src"])
              and not (folder/a["src"]).is_file()]
    found += [f"a picture has no alt text: {a['src'][:60]}" for a in images
              if not a.get("alt", "").strip()]
    found += [f"a link leads nowhere: {t}" for t in targets if t not in pages
              and not (folder/t).is_file()]
    if len(page.text) < 1000: found.append("the page is empty")
    if not re.search(r'<meta name="description" content="[^"]',
                     html): found.append("there is no line under the title")
    return found


def main():
    paths = process()
    if not paths: raise SystemExit("no page was processed")
    folder = paths[0].parent
    pages = render(paths)
    (folder/"_html").mkdir()
    for name, html in pages.items(): (folder/"_html"/name).write_text(html, encoding="utf-8")
    shutil.copy(folder/"styles.css", folder/"_html")
    shutil.copytree(folder/"images", folder/"_html"/"images")
    found = [f"{name}: {fault}" for name, html in pages.items() for fault in faults(html, folder,
                                                                                    pages)]
    if found: raise SystemExit("\n".join(found))
    print(f"{len(pages)} pages processed for the site")


if __name__ == "__main__": main()
