"""Settings of the documentation site, which `tox -e docs` builds."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "mmbench"
author = "The mmbench authors"
copyright = author  # noqa: A001  (the name is Sphinx's)
release = importlib.metadata.version("mmbench")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "repository_links",
    "catalogue_pages",
    "gallery",
    "docstrings",
]
exclude_patterns = ["_build", "_ext", "generated/gallery"]
nitpicky = True
# What other packages document; no build depends on their pages.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(collections|inf|jaxtyping|matplotlib|numpy|np|pandas|pathlib|pd|torch)\b.*",
    ),
    ("py:class", r"Axes|DataFrame|ndarray|Tensor"),
    ("py:class", r".*\._torch_optimisers\.TorchOptimisers"),  # an Algorithm
]

myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "colon_fence"]

smartquotes_action = "D"  # dashes; quotes are often of code

# Docstrings have single backticks around code, as Markdown has.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 60
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "mmbench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
