import pytest

from captioner import processor


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512_bf16 sse\n", True),
        ("flags : fpu avx2 amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags : fpu avx2 avx512f\n", False),
        ("model name : bf16\n", False),
    ],
)
def test_a_list_of_flags_says_whether_bfloat16_is_native(text, native, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    assert processor.computes_bfloat16() is native


def test_a_system_without_the_list_is_told_apart_from_one_without_flags(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    assert processor.processor_flags() is None and not processor.computes_bfloat16()
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert processor.processor_flags() == frozenset()
