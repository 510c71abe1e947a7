import gc

import pytest

from captioner.memory import collector_passes_over, collector_paused


def test_the_collector_pauses_and_goes_on_whatever_happens():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError), collector_paused():
        raise ValueError
    assert gc.isenabled()


def test_what_is_there_is_passed_over_and_counts_again_afterwards():
    before = gc.get_freeze_count()
    with pytest.raises(ValueError), collector_passes_over():
        assert gc.get_freeze_count() > before
        raise ValueError
    assert gc.get_freeze_count() == before
