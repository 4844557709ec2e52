"Install `denoising_diffusion`: every fact stands in settings.ini."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE_DATA = ["py.typed", "*.pyi", "film.html", "weights/*", "weights/references/*",
                "weights/encoders/*"]

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]



def absolute(link: re.Match) -> str:
    "A link into the repository as one that also works elsewhere, such as on PyPI"
    kind = "raw" if link[1].endswith((".png", ".gif")) else "blob"
    return f"]({cfg['git_url']}/{kind}/{cfg['branch']}/{link[1]})"


readme = Path("README.md").read_text(encoding="utf-8")
setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", absolute, readme),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="MIT",
    license_files=["LICENSE"],
    keywords=cfg["keywords"].split(),
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
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
    },
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
    zip_safe=False,
)
