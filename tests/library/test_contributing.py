"""The worked example in CONTRIBUTING.md quotes what is there."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = TEXT[TEXT.index("a worked example") : TEXT.index("## What every kernel")]
CODE = [textwrap.dedent(block).strip() for block in re.findall(r"```\n(.*?)```", EXAMPLE, re.DOTALL)]


@pytest.mark.parametrize(
    ("quoted", "file"),
    list(zip(CODE, ["kernels/fastnn_kernels/cpu/optimizers/lion.py", "fastnn/lowering/rules.py"], strict=True)),
)
def test_quoted_code_is_in_its_file(quoted, file):
    assert quoted in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", EXAMPLE))))
def test_files_named_exist(name):
    assert list(ROOT.glob(f"**/{name}")), name
