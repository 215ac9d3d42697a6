"""The page of asv's tables: its numbers, and nothing of the machine's names."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "asv_page.py"
SHOWN = """\
Commit: 0123abcd <main>

parts.Stored.time_frame [host/existing-py_home_me_bin_python]
  25.2±2ms
  started: 2026-11-24 10:06:21, duration: 524ms

speed.Cells.time_cell [host/existing-py_home_me_bin_python]
  ok
  ============ =========== ============
  --                      runs         
  ------------ ------------------------
   algorithm        1          128     
  ============ =========== ============
      gda       8.2±0.9ms   11.8±1ms   
     alone         n/a         n/a     
  ============ =========== ============
  started: 2026-11-24 10:04:04, duration: 59.9s

"""  # noqa: W291  # asv centres what it prints
PAGE = """\
## parts.Stored.time_frame

```text
25.2±2ms
```

## speed.Cells.time_cell

```text
================================
--                   runs
--------------------------------
 algorithm     1          128
================================
    gda    8.2±0.9ms   11.8±1ms
   alone      n/a         n/a
================================
```
"""


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("asv_page", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_has_each_value_and_no_name_of_a_machine(page: ModuleType) -> None:
    """Names, values and tables stay; environment and needless blanks go."""
    assert "\n".join(page.sections(SHOWN)) == PAGE


def test_what_failed_is_not_published(page: ModuleType) -> None:
    """Its message could name folders, and its number is missing."""
    failed = SHOWN.replace("  ok\n", "  1/4 failed\n")
    with pytest.raises(SystemExit, match=r"time_cell must have passed; got 1/4 failed"):
        list(page.sections(failed))
