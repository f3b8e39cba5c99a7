import random
from collections import Counter

import chaos
import pytest

RUN = ["results/tiny/TOP-50/s0.5/seed0/biases.safetensors"]


@pytest.mark.workflow
@pytest.mark.long
def test_a_study_that_is_killed_ends_in_the_same_bytes_and_leaves_no_process(tmp_path):
    total, different = chaos.try_studies(tmp_path, RUN, studies=1, kills=3, seed=0, longest=20)
    assert different == []
    assert total["kills"] == 3
    assert (total["finished"], total["orphans"]) == (1, 0)


def test_files_that_differ_are_those_that_are_missing_too():
    assert chaos.compare({"a": b"1", "b": b"2", "c": b"3"}, {"a": b"1", "b": b"0"}) == ["b", "c"]


class Ended:
    """A Snakemake that has finished at once, with this exit status."""

    def __init__(self, status: int):
        self.status = status

    def wait(self, _seconds=None) -> int:
        return self.status

    def children(self, recursive: bool) -> list:
        return []


@pytest.mark.parametrize(("statuses", "finished"), [([0], 1), ([1, 0], 1), ([1, 1, 0], 0)])
def test_a_study_that_fails_without_having_been_killed_is_not_started_for_ever(statuses, finished):
    waiting = [*statuses]

    class Failing:
        def resume(self):
            return Ended(waiting.pop(0))

        def count_orphans(self):
            return 0

        def count_resumed(self):
            return 0

    counts = chaos.disturb(Failing(), 0, random.Random(0), 1)
    assert counts == Counter(kills=0, of_snakemake=0, orphans=0, finished=finished, resumed=0)
