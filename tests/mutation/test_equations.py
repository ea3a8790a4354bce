"""Holds the table of mutations to the code: a line that has changed since would end the check half way."""

import pathlib

import pytest

from tests.mutation.equations import MUTATIONS

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_its_line_and_its_tests(mutation):
    assert (ROOT / "ocm_tf" / mutation.path).read_text(encoding="utf-8").count(mutation.right) == 1
    assert mutation.right != mutation.wrong
    assert all((ROOT / "tests" / name.partition("::")[0]).is_file() for name in mutation.tests)
