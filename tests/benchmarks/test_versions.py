"""The versions that the Makefile installs: pinned ones, and the lowest that are allowed."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from tests.support.repository import ROOT


@pytest.fixture
def versions(monkeypatch):
    """The script of that name."""
    if not (ROOT / "tools").is_dir():
        pytest.skip("the scripts are not beside these tests")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import versions

    yield versions
    sys.modules.pop("versions")


def test_every_requirement_is_pinned_and_nothing_names_a_place():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    exact = re.compile(r"[\w.-]+==[\w.+!-]+($| ; sys_platform)")
    assert [line for line in lines if not exact.match(line)] == []
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["docs"]]
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in wanted}
    assert names - pinned <= {"faiss-cpu", "rsretrieve"}  # of other platforms; an extra in another


def test_installed_leaves_out_the_project_and_whatever_names_a_place(versions):
    frozen = (
        *("torch==2.14.1\n", "Jinja2==3.1.6\n", "rsretrieve==0.1.0\n", "pip==26.0\n"),
        *("-e /somewhere\n", "# Editable\n", "numpy @ file:///wheels/numpy.whl\n"),
        *("nvidia-nccl-cu13==2.30.7\n", "triton==3.8.0\n", "faiss-gpu==1.15.1\n"),
    )
    on_linux = " ; sys_platform == 'linux' and platform_machine == 'x86_64'"
    assert list(versions.installed(frozen)) == [
        f"faiss-gpu==1.15.1{on_linux}",
        "Jinja2==3.1.6",
        f"nvidia-nccl-cu13==2.30.7{on_linux}",
        "torch==2.14.1",
        f"triton==3.8.0{on_linux}",
    ]


def test_lowest_takes_the_floor_of_each_requirement(versions, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = ['a>=1.2,<3', \"b[x] >= 2.0; sys_platform == 'linux'\"]\n"
        "[project.optional-dependencies]\ndev = ['rsretrieve[docs]', 'c-d!=1.5,>=1.0']\n"
    )
    assert list(versions.lowest(tmp_path / "pyproject.toml")) == [
        "a==1.2",
        "b==2.0 ; sys_platform == 'linux'",
        "c-d==1.0",
    ]


def test_a_requirement_without_a_floor_is_refused(versions, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = ['a<3']\n")
    with pytest.raises(ValueError, match="'a<3' has no lowest version"):
        list(versions.lowest(tmp_path / "pyproject.toml"))


def test_an_archive_of_the_sources_holds_all_that_tests_need():
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = configuration["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"tests", "benchmarks", "tools", "docs", "constraints.txt", "Makefile"} <= {*included}
    assert [name for name in included if not (ROOT / name).exists()] == []
