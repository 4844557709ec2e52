"Install `denoising_diffusion`: every fact stands in settings.ini."
from configparser import ConfigParser
from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

PACKAGE_DATA = ["py.typed", "*.pyi", "film.html", "player.html",
                "weights/*", "weights/references/*", "weights/encoders/*", "emoji/*"]

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

# The page on PyPI is of one version, so its links lead to the files of that version.
absolute = run_path("tools/description.py")["absolute"]
readme = Path("README.md").read_text(encoding="utf-8")
setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=absolute(readme, cfg["git_url"], f"v{cfg['version']}"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    project_urls={
        "Documentation": f"{cfg['doc_host']}{cfg['doc_baseurl']}/",
        "Source": cfg["git_url"],
        "Issues": f"{cfg['git_url']}/issues",
        "Changelog": f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md",
    },
    license="MIT",
    license_files=["LICENSE", "denoising_diffusion/emoji/LICENSE-*.txt"],
    keywords=cfg["keywords"].split(),
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: {v}" for v in cfg["python_versions"].split()),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=[cfg["lib_path"], f"{cfg['lib_path']}.*"]),
    package_data={cfg["lib_path"]: PACKAGE_DATA},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require={
        "notebooks": cfg["notebooks_requirements"].split(),
        "dev": cfg["dev_requirements"].split(),
        "bench": cfg["bench_requirements"].split(),
        "tensorboard": cfg["tensorboard_requirements"].split(),
    },
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
    zip_safe=False,
)
