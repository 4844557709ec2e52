"""The half of the docs step that needs no Quarto: every notebook is processed as for the site and turned into HTML.

    python tools/docs.py

`nbdev_docs` does the same and then calls Quarto. The processed notebooks are left in _proc/, which git ignores.
"""
import json
import shutil

import nbformat
from nbconvert import HTMLExporter
from nbdev.config import get_config
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbdev.serve import proc_nbs


def main():
    cfg = get_config()
    refresh_quarto_yml()
    nbdev_sidebar.__wrapped__()
    shutil.rmtree(cfg.config_path/"_proc", ignore_errors=True)
    proc_nbs(n_workers=0)
    missing = [p.name for p in sorted(cfg.nbs_path.glob("[!_.]*.ipynb")) if not (cfg.config_path/"_proc"/p.name).exists()]
    if missing: raise SystemExit(f"not processed for the site: {', '.join(missing)}")
    pages = sorted((cfg.config_path/"_proc").glob("*.ipynb"))
    for page in pages:
        nb = nbformat.reads(json.dumps(json.loads(page.read_text(encoding="utf-8"))), as_version=4)
        html, _ = HTMLExporter().from_notebook_node(nb)
        if len(html) < 1000: raise SystemExit(f"{page.name}: an empty page")
    if not pages: raise SystemExit("no page was processed")
    print(f"{len(pages)} pages processed for the site")


if __name__ == "__main__": main()
