"""Workflows, the files that people expect of a repository, and what makes a release.

The files are checked against the published schemas of their kind, which check-jsonschema holds, and
the workflows by zizmor, which needs no network for this.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import check_jsonschema
import pytest
import yaml

from conftest import load_tool

ROOT = Path(__file__).resolve().parent.parent
GITHUB = ROOT/".github"
WORKFLOWS = sorted((GITHUB/"workflows").glob("*.y*ml"))
NAMES = [path.stem for path in WORKFLOWS]
PINNED = r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
description, release = load_tool("description"), load_tool("release")
settings = release.read_settings()


def read_yaml(path: Path) -> dict:
    "A file of YAML, whose key `on` is not the truth"
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)


def jobs() -> list[tuple[str, dict]]:
    "All jobs, by the names of their workflow and of themselves"
    read = {path.stem: read_yaml(path) for path in WORKFLOWS}
    return [(f"{name}: {job}", rest) for name, flow in read.items()
            for job, rest in flow["jobs"].items()]


def steps(of: str = "") -> list[dict]:
    "The steps of all jobs whose names start like this"
    return [step for name, job in jobs() if name.startswith(of) for step in job["steps"]]


def commands(of: str = "") -> str:
    "All that runs in a shell"
    return "\n".join(step["run"] for step in steps(of) if "run" in step)


# Workflows

def audit(folder: Path) -> subprocess.CompletedProcess:
    "What zizmor finds above its lowest severity"
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which("zizmor", path=beside)
    options = "--offline", "--no-progress", "--min-severity", "medium", "--no-config"
    return subprocess.run([program, *options, folder], capture_output=True, text=True)


def test_zizmor_finds_nothing():
    found = audit(GITHUB)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("old, new", [
    (r"@[0-9a-f]{40} # v\d+", "@v4"), ("permissions: {}", "permissions: write-all"),
    ('run: python tools/release.py .*', 'run: echo "${{ github.event.head_commit.message }}"')])
def test_zizmor_would_find(tmp_path, old, new):
    "An action without its SHA, too many rights, or a stranger's text in a command"
    folder = tmp_path/".github"/"workflows"
    folder.mkdir(parents=True)
    text = (GITHUB/"workflows"/"release.yaml").read_text(encoding="utf-8")
    planted, count = re.subn(old, new, text)
    (folder/"release.yaml").write_text(planted, encoding="utf-8")
    assert count and audit(tmp_path).returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_actions_are_pinned_by_their_commit(path):
    "With the version as a comment; the same action has the same commit everywhere"
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used and all(re.fullmatch(PINNED, action) for action in used)
    everywhere = re.findall(r"uses: (.*)", "\n".join(p.read_text("utf-8") for p in WORKFLOWS))
    assert len({*everywhere}) == len({action.split("@")[0] for action in everywhere})


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_a_workflow_may_do_nothing_by_itself(path):
    "Each job says what it may do, and how long; a newer run stops or waits for an older one"
    flow = read_yaml(path)
    assert flow["permissions"] == {} and "${{ github.ref }}" in flow["concurrency"]["group"]
    for job in flow["jobs"].values(): assert 5 <= int(job["timeout-minutes"]) <= 60


def test_rights_of_jobs():
    "Only what publishes may write, and it runs nothing of the repository"
    writers = {name: job for name, job in jobs() if "write" in job.get("permissions", {}).values()}
    assert {*writers} == {"docs: deploy", "release: publish", "release: github"}
    for job in writers.values():
        assert not any("checkout" in step.get("uses", "") for step in job["steps"])
    trusted = writers["release: publish"]
    assert trusted["permissions"] == {"id-token": "write"}
    assert trusted["environment"]["name"] == "pypi" and trusted["needs"] == ["build", "test"]
    assert "tag" in trusted["if"] and writers["release: github"]["needs"] == "publish"


def test_a_release_takes_nothing_from_a_cache():
    "Another run could have left something there"
    assert not any("cache" in str(step) for step in steps("release"))


def test_all_promised_versions_of_python_are_tested():
    versions = settings["python_versions"].split()
    linux = dict(jobs())["test: linux"]
    assert linux["strategy"]["matrix"]["python"] == versions
    assert versions[0] == settings["min_python"]
    elsewhere = dict(jobs())["test: elsewhere"]["strategy"]["matrix"]["include"]
    assert {entry["runner"] for entry in elsewhere} == {"windows-latest", "macos-latest"}
    archives = dict(jobs())["release: test"]["strategy"]["matrix"]["include"]
    assert {entry["python"] for entry in archives} == {versions[0], versions[-1]}
    assert {entry["archive"] for entry in archives} == {"whl", "tar.gz"}


def test_the_oldest_python_is_the_same_everywhere():
    oldest = settings["min_python"]
    in_words = f"Python {oldest} or later"
    said = {"README.md": in_words, "CONTRIBUTING.md": in_words,
            ".ci/run": f"({oldest.replace('.', ', ')})",
            "ruff.toml": f'target-version = "py{oldest.replace(".", "")}"'}
    for name, words in said.items(): assert words in (ROOT/name).read_text(encoding="utf-8"), name


def test_programs_and_files_of_the_workflows_exist():
    "Tools, tests and notebooks; Quarto has a version"
    text = commands()
    programs = re.findall(r"python (tools/\w+\.py)|(?:^|\s)(\.ci/run)", text)
    assert len(programs) >= 4
    for names in programs: assert (ROOT/"".join(names)).exists(), names
    [tests] = re.findall(r"tests/test_\{(.*)\}", text)
    for name in tests.split(","): assert (ROOT/"tests"/f"test_{name}.py").exists()
    [left_out] = re.findall(r"leave-out: .*\((.*)\)\\\.ipynb", WORKFLOWS[-1].read_text("utf-8"))
    for name in left_out.split("|"): assert (ROOT/"nbs"/f"{name}.ipynb").exists()
    [quarto] = [step for step in steps() if "quarto" in step.get("uses", "")]
    assert re.fullmatch(r"\d+\.\d+\.\d+", quarto["with"]["version"])


def test_no_workflow_downloads_cuda():
    "PyTorch comes first, from an index of builds without it"
    for name, job in jobs():
        runs = "\n".join(step.get("run", "") for step in job["steps"])
        first = re.search(r"pip install .*", runs)
        if first and "-r .github" not in first[0]: assert "--index-url" in first[0], name
    assert "https://download.pytorch.org/whl/cpu" == read_yaml(
        GITHUB/"workflows"/"test.yaml")["env"]["TORCH_INDEX"]
    assert "TORCH_INDEX" in (ROOT/".ci"/"run").read_text(encoding="utf-8")


def test_the_site_is_built_for_a_proposal_and_published_from_main():
    flow = read_yaml(GITHUB/"workflows"/"docs.yaml")
    assert "pull_request" in flow["on"] and "if" not in flow["jobs"]["build"]
    assert "refs/heads/main" in flow["jobs"]["deploy"]["if"]
    text = commands("docs")
    order = [text.index(part) for part in ("nbdev_docs", "rendered.py _docs", "axe.py _docs")]
    assert order == sorted(order)


# The other files

SCHEMAS = [
    ("github-workflows", ".github/workflows/*.yaml"), ("dependabot", ".github/dependabot.yml"),
    ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
    ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ("citation-file-format", "CITATION.cff")]


def agrees(schema: str, *paths: Path) -> bool:
    "Whether files are of this form"
    words = ["--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    return not check_jsonschema.main(words, standalone_mode=False)


@pytest.mark.parametrize("schema, pattern", SCHEMAS, ids=[schema for schema, _ in SCHEMAS])
def test_files_have_the_form_of_their_kind(schema, pattern, tmp_path):
    "A file without its first key has not"
    paths = sorted(ROOT.glob(pattern))
    assert paths and agrees(schema, *paths)
    content = read_yaml(paths[0])
    wrong = {"surprise" if i == 0 else key: [value] for i, (key, value)
             in enumerate(content.items())}
    (tmp_path/"wrong.yml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    assert not agrees(schema, tmp_path/"wrong.yml")


def test_the_citation_says_what_the_settings_say():
    cited = read_yaml(ROOT/"CITATION.cff")
    assert cited["repository-code"] == settings["git_url"]
    assert cited["url"] == f"{settings['doc_host']}{settings['doc_baseurl']}/"
    assert cited["license"].lower() == settings["license"]
    assert cited["title"].startswith(settings["title"])


def test_forms_and_conduct_lead_to_what_exists():
    paths = [*GITHUB.rglob("*.md"), *GITHUB.rglob("*.yml"), ROOT/"CODE_OF_CONDUCT.md"]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    links = [link for text in texts for link in re.findall(r"/blob/main/([\w./-]+)", text)]
    assert len(links) > 1 and all((ROOT/link).exists() for link in links)


def test_hooks_fetch_nothing():
    "They are programs of the dev extra and of the repository"
    [repository] = read_yaml(ROOT/".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert {"nbdev_clean", "ruff"} <= entries <= {"nbdev_clean", "nbdev_export", "ruff", "python"}
    assert all(hook["language"] == "system" for hook in repository["hooks"])


# A release

def test_the_version_is_in_the_settings_alone():
    "But for `__version__`, which nbdev writes, and for the headings of CHANGELOG.md"
    version = settings["version"]
    said = {path.relative_to(ROOT).as_posix() for path in (
        *ROOT.glob("*.*"), *ROOT.glob("denoising_diffusion/*.py*"), *GITHUB.rglob("*.y*ml"),
        *ROOT.glob("nbs/*.ipynb"), *ROOT.glob("tools/*.py"), *ROOT.glob("experiments/*.py"))
        if path.is_file() and re.search(
            rf"(?<![\w.=]){re.escape(version)}(?![\w.])", path.read_text("utf-8", errors="ignore"))}
    assert said == {"settings.ini", "denoising_diffusion/__init__.py", "CHANGELOG.md"}


LOG = """# Changelog

## 1.1.0 – 2030-02-01

It reads
[more](nbs/20_files.ipynb), and is
quicker.

- One thing
  in two lines
- another, as in `code`

| old | new |
|---|---|
| `a` | `b` |

```sh
first
second
```

## 1.0.0 – Unreleased

The first.
"""
NOTES = """It reads [more]({url}/blob/v1.1.0/nbs/20_files.ipynb), and is quicker.

- One thing in two lines
- another, as in `code`

| old | new |
|---|---|
| `a` | `b` |

```sh
first
second
```"""


@pytest.fixture
def changelog(tmp_path, monkeypatch):
    "A changelog of two versions, and a way to choose the version of settings.ini"
    monkeypatch.setattr(release, "CHANGELOG", tmp_path/"CHANGELOG.md")
    release.CHANGELOG.write_text(LOG, encoding="utf-8")
    def choose(version):
        monkeypatch.setattr(release, "read_settings", lambda: settings | {"version": version})

    return choose


def test_the_notes_of_a_release_are_its_entry(changelog):
    "A paragraph is one line, since GitHub ends a line wherever the text does"
    changelog("1.1.0")
    assert release.notes() == NOTES.format(url=settings["git_url"])


def test_a_release_needs_its_tag_an_entry_and_a_date(changelog):
    changelog("1.1.0")
    assert release.faults("v1.1.0") == []
    assert release.faults("v1.1") == ["the tag is v1.1, but the version is 1.1.0"]
    changelog("1.0.0")
    assert release.faults("v1.0.0") == ["CHANGELOG.md gives no date, but 'Unreleased'"]
    changelog("1.2.0")
    assert release.faults("v1.2.0") == ["CHANGELOG.md has no entry of 1.2.0"]


def test_the_entry_of_this_version_exists():
    "With a table and without lines that end in the middle"
    date, text = release.entry(settings["version"])
    assert text and (date == "Unreleased" or re.fullmatch(release.DATE, date))
    assert description.relative(release.notes()) == []


def test_links_are_made_absolute():
    def turn(text): return description.absolute(text, "https://github.com/a/b", "v1")
    page, raw = "https://github.com/a/b/blob/v1/", "https://raw.githubusercontent.com/a/b/v1/"
    assert turn("[x](nbs/a.ipynb#b)") == f"[x]({page}nbs/a.ipynb#b)"
    assert turn("[![x](a.png)](b.md)") == f"[![x]({raw}a.png)]({page}b.md)"
    image = '<a href="b.md"><img width="1" src="a.GIF" alt="x"></a>'
    absolute = f'<a href="{page}b.md"><img width="1" src="{raw}a.GIF" alt="x"></a>'
    assert turn(image) == absolute
    assert turn("[up](#top)") == f"[up]({page}README.md#top)"
    for same in ("[x](https://a.org/b)", "```sh\n[x](y)\n```\n", "f(x)[0](1)"[:4]):
        assert turn(same) == same


@pytest.mark.parametrize("text, found", [
    ("[x](a.md)", ["a.md"]), ("![x](a.png)", ["a.png"]), ("<https://a.org>", []),
    ("[x][1]\n\n[1]: a.md", ["a.md"]), ('<img src="a.png">', ["a.png"]),
    ("[x](http://a.org)", ["http://a.org"]), ("`[x](a.md)`", [])])
def test_what_is_relative_is_found(text, found):
    "In any form of Markdown, since it is rendered as PyPI renders it"
    assert description.relative(text) == found


def test_the_badges_have_words(readme_tool):
    "Each is a link to what it says"
    shown = re.findall(r"\[!\[([^\]]+)\]\((https://[^)]+)\)\]\(([^)]+)\)", readme_tool.badges())
    assert [words.split()[0].strip(":") for words, *_ in shown] == [
        "tests", "site", "version", "Python", "license"]
    for workflow in ("test.yaml", "docs.yaml"):
        assert workflow in str(shown) and (GITHUB/"workflows"/workflow).exists()
    index = (ROOT/"nbs"/"index.ipynb").read_text(encoding="utf-8")
    assert "badge" not in index and "shields.io" not in index
