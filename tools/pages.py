"""Mend the notebooks that nbdev has processed, before Quarto makes pages of them.

    python ../tools/pages.py  # in _proc/

Quarto runs this before each render, by `pre-render` in _quarto.yml. nbdev leaves out the code that
a notebook exports, and documents each public name by `show_doc`, with the types and the fields that
it finds at run time. Here signatures are taken from the stubs, and comments from the source; the
code is folded below them, and so are tests and the code of plots. Links lead from page to page, or
from what no page documents to its source.
"""
import ast
import inspect
import json
import re
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from fastcore.docments import docments
from fastcore.script import call_parse
from nbdev.config import get_config

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
MOST = 3  # lines of a test, or of the code of a plot, that stays open

_code = re.compile(r"`([^`\s]+?)(\(\))?`")  # what nbdev links
_special = re.compile(r"([*^~$<\\])|(`[^`]*`)")  # in Pandoc's Markdown


# Definitions

@cache
def tree(path: Path) -> ast.Module: return ast.parse(path.read_text(encoding="utf-8"))


def module_name(notebook: str) -> str:
    "The module that a notebook exports, or ''"
    path = ROOT/"nbs"/notebook
    found = re.search(r"#\| *default_exp (\w+)", path.read_text(encoding="utf-8"))
    return found.group(1) if found else ""


def patched_into(node: ast.stmt) -> str:
    "The class that `@patch` puts a function into, or ''"
    decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
    if not any(d.split("(")[0] == "patch" for d in decorators): return ""
    return ast.unparse(node.args.args[0].annotation).strip("'\"")


def named(node: ast.stmt) -> dict[str, ast.stmt]:
    "What a statement defines, by its name; methods as `Class.method`"
    if not isinstance(node, DEFINITIONS): return {}
    owner = patched_into(node)
    found = {f"{owner}.{node.name}" if owner else node.name: node}
    if isinstance(node, ast.ClassDef):
        methods = [child for child in node.body if isinstance(child, FUNCTIONS)]
        found |= {f"{node.name}.{child.name}": child for child in methods}
    return found


@cache
def definitions(module: str, suffix: str = ".py") -> dict[str, ast.stmt]:
    "All that a module or its stub defines"
    path = get_config().lib_path/f"{module}{suffix}"
    return {name: node for child in tree(path).body for name, node in named(child).items()}


@cache
def constants(module: str) -> dict[str, ast.stmt]:
    "The public constants of a module, by name"
    if not module: return {}
    nodes = [node for node in tree(get_config().lib_path/f"{module}.py").body
             if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    return {node.targets[0].id: node for node in nodes if node.targets[0].id[0] != "_"}


def modules() -> list[str]:
    "The package's modules"
    return sorted(p.stem for p in get_config().lib_path.glob("*.py") if p.name[0] != "_")


def stub_of(name: str, module: str) -> ast.stmt:
    "The stub of a name; that of a method stands in its class, which may be of another module"
    stubs = [definitions(home, ".pyi") for home in [module, *modules()]]
    found = next((stub[name] for stub in stubs if name in stub), None)
    if found is None: raise SystemExit(f"no stub has {name}: export, then run tools/stubs.py")
    return found


def runtime(name: str, module: str):
    "What a name stands for"
    package = import_module(f"{get_config().lib_path.name}.{module}")
    found = reduce(getattr, name.split("."), package)
    return found.fget if isinstance(found, property) else found


# Signatures

def unparse(node: ast.AST) -> str:
    "The source of a node, with double quotes"
    return re.sub(r"'([^'\"]*)'", r'"\1"', ast.unparse(node))


def module_lines(module: str) -> list[str]:
    return (get_config().lib_path/f"{module}.py").read_text(encoding="utf-8").splitlines()


def remark(text: str | None) -> str:
    "A comment behind a line of code, without backticks"
    return "  # " + " ".join(text.replace("`", "").split()) if text else ""


def written(arg: ast.arg, default: ast.expr | None, found: dict) -> str:
    "A parameter as it stands in a signature; a stub's `...` is the default found at run time"
    text = f"{arg.arg}: {unparse(arg.annotation)}" if arg.annotation else arg.arg
    if default is None: return text
    value = unparse(default)
    if value == "...":
        real = found[arg.arg].default
        value = getattr(real, "__name__", repr(real))
    return f"{text} = {value}" if arg.annotation else f"{text}={value}"


def parameters(fn: ast.FunctionDef, found: dict) -> list[tuple[str, str]]:
    "The name and the text of each parameter, but `self`"
    args = fn.args
    plain = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(plain) - len(args.defaults)) + args.defaults
    entries = [(a.arg, written(a, d, found)) for a, d in zip(plain, defaults)]
    if args.vararg: entries.append((args.vararg.arg, "*" + written(args.vararg, None, found)))
    elif args.kwonlyargs: entries.append(("*", "*"))
    entries += [(a.arg, written(a, d, found)) for a, d in zip(args.kwonlyargs, args.kw_defaults)]
    if args.kwarg: entries.append((args.kwarg.arg, "**" + written(args.kwarg, None, found)))
    return [entry for entry in entries if entry[0] not in ("self", "cls")]


def signature(head: str, fn: ast.FunctionDef, thing) -> str:
    "`head(…) -> …`: on one line if there are no comments and room, else one line a parameter"
    comments = docments(thing, args_kwargs=True)
    entries = parameters(fn, dict(inspect.signature(thing).parameters))
    returns = f" -> {unparse(fn.returns)}" if fn.returns and fn.name != "__init__" else ""
    end = returns + remark(comments.get("return"))
    line = f"{head}({', '.join(text for _, text in entries)}){end}"
    if len(line) <= 80 and not any(comments.get(name) for name, _ in entries): return line
    lines = [f"    {text},{remark(comments.get(name))}" for name, text in entries]
    return "\n".join([f"{head}(", *lines, f"){end}"])


def fields(name: str, module: str) -> list[str]:
    "The fields of a NamedTuple or dataclass, with their comments; none of any other class"
    node = definitions(module)[name]
    bases = [ast.unparse(base) for base in node.bases]
    decorators = [ast.unparse(d).split("(")[0] for d in node.decorator_list]
    if "NamedTuple" not in bases and "dataclass" not in decorators: return []
    lines = module_lines(module)
    declared = [child for child in node.body if isinstance(child, ast.AnnAssign)]
    public = [child for child in declared if child.target.id[0] != "_"]
    ends = [re.search(r"  # (.*)", lines[child.end_lineno - 1]) for child in public]
    return [f"    {unparse(child)}{remark(end and end[1])}" for child, end in zip(public, ends)]


def class_head(name: str, module: str) -> str:
    "A class with its fields, or with the parameters that make one"
    node, found = stub_of(name, module), fields(name, module)
    kept = [f"@{ast.unparse(d)}" for d in node.decorator_list]
    bases = ", ".join(ast.unparse(base) for base in definitions(module)[name].bases)
    if found: return "\n".join([*kept, f"class {name}({bases}):".replace("()", ""), *found])
    init = definitions(module, ".pyi").get(f"{name}.__init__")
    if init is None: return f"class {name}({bases})".replace("()", "")
    return signature(f"class {name}", init, runtime(name, module))


def head_of(name: str, module: str) -> str:
    "What stands below the name on its page: a class's fields, or a signature"
    node = stub_of(name, module)
    if isinstance(node, ast.ClassDef): return class_head(name, module)
    kept = [f"@{ast.unparse(d)}" for d in node.decorator_list]
    return "\n".join([*kept, signature(f"def {node.name}", node, runtime(name, module))])


# Links

class Shown(NamedTuple):
    "Where the site documents a name"
    page: str
    anchor: str


def source_link(name: str, module: str) -> str | None:
    "The address of a definition in the repository: in this module, or else in any"
    home = next((m for m in [module, *modules()] if m and name in definitions(m)), None)
    return address(definitions(home)[name], home) if home else None


def address(node: ast.stmt, home: str) -> str:
    "The address of a statement in the repository"
    cfg, line = get_config(), node.lineno
    return f"{cfg.git_url}/blob/{cfg.branch}/{cfg.lib_path.name}/{home}.py#L{line}"


class Links:
    "What a name in backticks links to, on one page"
    def __init__(self, page: str, module: str, shown: dict[str, Shown]):
        self.page, self.module, self.shown = page, module, shown

    def target(self, name: str) -> str | None:
        "The page that documents a name; else its source, unless this page has it"
        found, own = self.shown.get(name), self.module and name in definitions(self.module)
        if found is None: return None if own else source_link(name, "")
        return f"#{found.anchor}" if found.page == self.page else f"{found.page}#{found.anchor}"

    def link(self, name: str, call: str = "") -> str:
        "A name in backticks, as a link if there is anything to link to"
        target = self.target(name)
        return f"[`{name}{call}`]({target})" if target else f"`{name}{call}`"

    def mend(self, text: str) -> str:
        "Markdown with nbdev's links, which lead to where a name would be if a page showed it"
        host = re.escape(get_config().doc_host)
        text = re.sub(rf"\[`([^`]+?)(\(\))?`\]\({host}[^)]*\)",
                      lambda m: self.link(m[1], m[2] or ""), text)
        known = "|".join(name for module in modules() for name in constants(module))
        return re.sub(rf"(?<!\[)`({known})`(?!\])", lambda m: self.link(m[1]), text)

    def docstring(self, text: str, own: set[str]) -> str:
        "A docstring as Markdown, its names linked, but for those of parameters"
        return _code.sub(lambda m: m[0] if m[1] in own else self.link(m[1], m[2] or ""),
                         escape(text))


# Cells

def escape(text: str) -> str:
    "Plain text with code in backticks, as Markdown"
    return _special.sub(lambda m: m[2] or "\\" + m[1], text)


def markdown(source: str, id: str) -> dict:
    return dict(cell_type="markdown", id=id, metadata={}, source=source)


def folded(source: str, id: str, summary: str) -> dict:
    "A code cell that the site folds"
    options = f'#| code-fold: true\n#| code-summary: "{summary}"\n'
    return dict(cell_type="code", id=id, metadata=dict(language="python"), execution_count=None,
                outputs=[], source=options + source)


def doc_name(cell: dict) -> str | None:
    "The name that a cell documents, or None"
    found = re.search(r"^show_doc\(([\w.]+)", cell["source"], flags=re.M)
    return found.group(1) if found and cell["cell_type"] == "code" else None


def is_private(name: str) -> bool: return any(part[0] == "_" for part in name.split("."))


def doc_cell(cell: dict, name: str, links: Links) -> dict:
    "The documentation of a name: its signature, its docstring and a link to its source"
    head = head_of(name, links.module)
    node = definitions(links.module)[name]
    own = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
    text = links.docstring(ast.get_docstring(node) or "", own)
    source = f"[source]({source_link(name, links.module)})"
    parts = [f"### {name}", f"```python\n{head}\n```", f"{text} {source}".strip()]
    return markdown("\n\n".join(parts), cell["id"])


def constant_cell(name: str, node: ast.stmt, links: Links) -> dict:
    "The documentation of a constant: what is assigned, and the comment on the first line"
    lines = module_lines(links.module)[node.lineno - 1:node.end_lineno]
    first, _, comment = lines[0].partition("  # ")
    code = "\n".join([first, *lines[1:]])
    text = f"{comment[:1].upper()}{comment[1:]} [source]({address(node, links.module)})".strip()
    return markdown(f"### {name}\n\n```python\n{code}\n```\n\n{text}", f"doc-{name}")


def plain_source(cell: dict) -> str:
    "A code cell without its `#|` lines"
    return re.sub(r"^(?:#\|[^\n]*\n?)*\n*", "", cell["source"])


def exported(cell: dict) -> list[ast.stmt]:
    "What a cell exports, without imports"
    if cell["cell_type"] != "code" or not re.match(r"#\| *export\b", cell["source"]): return []
    return [node for node in ast.parse(cell["source"]).body if not isinstance(node, IMPORTS)]


def is_test(node: ast.stmt) -> bool:
    "Whether a statement tests something"
    if isinstance(node, (ast.For, ast.With)): return any(map(is_test, node.body))
    called = getattr(getattr(node, "value", None), "func", None)
    tests = called is not None and ast.unparse(called).startswith("test_")
    return isinstance(node, ast.Assert) or tests


def has_picture(cell: dict) -> bool:
    "Whether a cell shows a plot"
    return any("image/png" in output.get("data", {}) for output in cell["outputs"])


def fold(cell: dict) -> None:
    "Fold a cell of tests, or of the code of a plot, unless it is short"
    if cell["cell_type"] != "code": return
    source = plain_source(cell)
    options = cell["source"][:len(cell["source"]) - len(source)]
    body = ast.parse(re.sub(r"^\s*[%!].*", "0", source, flags=re.M)).body
    tests = any(map(is_test, body))
    hidden = tests and not cell["outputs"] or has_picture(cell)
    long = len(source.strip().splitlines()) > MOST
    if hidden and long and "code-fold" not in options: options += "#| code-fold: true\n"
    is_named = "code-fold: true" not in options or "code-summary" in options
    if not is_named and tests and not has_picture(cell): options += '#| code-summary: "Tests"\n'
    cell["source"] = options + source


# Pages

def page_of(path: Path) -> str:
    "The name of a notebook's page"
    head = path.read_text(encoding="utf-8")
    found = re.search(r"output-file: ([\w.]+)", head)
    return found.group(1) if found else path.with_suffix(".html").name


def source_cells(original: dict, names: list[str], shown: list[dict]) -> list[dict]:
    "The folded code of an exported cell, unless what is shown is all of it"
    if shown and not names: return []
    main = [name for name in names if "." not in name or len(names) == 1] or ["constants"]
    summary = "Source" if shown else f"Source of {', '.join(main)}"
    return [folded(plain_source(original), original["id"], summary)]


def with_sources(cells: list[dict], originals: list[dict], links: Links) -> list[dict]:
    "The processed cells, with the exported code folded where the notebook has it"
    result, at = list(cells), 1  # below nbdev's warning
    places = {cell["id"]: cell for cell in cells}
    docs = {doc_name(cell): cell for cell in cells if doc_name(cell)}
    for original in originals:
        if original["id"] in places: at = result.index(places[original["id"]])
        names = [name for node in exported(original) for name in named(node)]
        shown = [docs[name] for name in names if name in docs]
        for cell in shown: result.remove(cell)  # nbdev shows several in reverse
        public = {name: node for name, node in constants(links.module).items()
                  if re.search(rf"^{name} = ", original["source"], flags=re.M)}
        if exported(original):
            shown += [constant_cell(name, node, links) for name, node in public.items()]
            shown += source_cells(original, names, shown)
        result[at + 1:at + 1] = shown
        at += len(shown)
    return result


def mend(path: Path, shown: dict[str, Shown]) -> None:
    "Mend one processed notebook, once"
    nb = json.loads(path.read_text(encoding="utf-8"))
    if nb["metadata"].get("mended"): return
    links = Links(page_of(path), module_name(path.name), shown)
    originals = json.loads((ROOT/"nbs"/path.name).read_text(encoding="utf-8"))["cells"]
    for cell in [*nb["cells"], *originals]: cell["source"] = "".join(cell["source"])
    cells = [cell for cell in nb["cells"] if not is_private(doc_name(cell) or "x")]
    cells = with_sources(cells, originals, links)
    for i, cell in enumerate(cells):
        name = doc_name(cell)
        if name: cells[i] = doc_cell(cell, name, links)
        elif cell["cell_type"] == "markdown": cell["source"] = links.mend(cell["source"])
        else: fold(cell)
    for cell in cells: cell["source"] = cell["source"].splitlines(keepends=True)  # for Quarto
    nb["cells"], nb["metadata"]["mended"] = cells, True
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def shown_in(path: Path) -> dict[str, Shown]:
    "The names that a processed notebook documents, mended or not"
    nb, page = json.loads(path.read_text(encoding="utf-8")), page_of(path)
    for cell in nb["cells"]: cell["source"] = "".join(cell["source"])
    if nb["metadata"].get("mended"):
        heads = [re.match(r"### ([\w.]+)\n\n```python\n", c["source"]) for c in nb["cells"]]
        names = [head[1] for head in heads if head]
    else: names = [*map(doc_name, nb["cells"]), *constants(module_name(path.name))]
    return {name: Shown(page, name.lower()) for name in names if name and not is_private(name)}


@call_parse
def main():
    "Mend all notebooks in the folder of processed ones"
    paths = sorted((get_config().config_path/"_proc").glob("*.ipynb"))
    shown = {name: place for path in paths for name, place in shown_in(path).items()}
    for path in paths: mend(path, shown)
