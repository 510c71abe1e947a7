from importlib import metadata

import pytest

from captioner import doctor

REQUIRES = {
    "captioner": [
        "keras>=3",
        "tensorflow[and-cuda]>=2; extra == 'gpu'",
        "ray[data,serve]>=2; extra == 'ray'",
        "captioner[ray]; extra == 'dev'",
    ],
    "tensorflow": ['cudnn<10,>=9; extra == "and-cuda"', 'cublas; extra == "and-cuda"', "numpy"],
    "ray": [
        'pyarrow>=17; extra == "data"',
        'proxy; sys_platform == "linux" and extra == "serve"',
        'x; extra == "tune"',
    ],
}


@pytest.mark.parametrize(
    ("installed", "gpu", "ray"),
    [
        ({"tensorflow", "ray", "pyarrow"}, "missing cudnn, cublas", "installed"),
        ({"tensorflow", "ray", "cudnn", "cublas"}, "installed", "missing pyarrow"),
        (set(), "missing tensorflow, cudnn, cublas", "missing ray, pyarrow"),
    ],
)
def test_an_extra_is_there_with_the_extras_of_what_it_names(installed, gpu, ray, monkeypatch):
    monkeypatch.setattr(metadata, "requires", REQUIRES.get)
    monkeypatch.setattr(doctor, "_version", lambda name: "1" if name in installed else None)
    found = {one.name: one for one in doctor._extras()}
    assert {name: one.value for name, one in found.items()} == {"extra gpu": gpu, "extra ray": ray}
    for name, one in found.items():
        hint = f"pip install 'captioner[{name.removeprefix('extra ')}]'"
        assert (one.ok, one.hint) == ((True, "") if one.value == "installed" else (None, hint))


def test_many_that_are_missing_are_counted(monkeypatch):
    many = {"captioner": [f"part{number}; extra == 'all'" for number in range(9)]}
    monkeypatch.setattr(metadata, "requires", many.get)
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert [one.value for one in doctor._extras()] == ["missing part0, part1, part2 and 6 others"]
