"""What jobs ask a cluster for, in numbers that can be checked by eye."""

import pytest

from spon.cost import batch


def test_a_model_job_asks_for_its_memory_and_that_of_libraries_and_for_half_more_each_time():
    assert [batch.ask_memory(4, attempt) for attempt in (1, 2, 3)] == [5 * 1024, 7680, 10 * 1024]
    assert batch.ask_memory(0.5, 1) == 1536
    assert batch.ask_memory(4, 1, "cuda") == 8 * 1024


def test_a_part_of_a_mib_is_a_whole_one():
    assert batch.ask_memory(1.0001, 1) == 2049


def test_a_job_on_a_gpu_asks_a_node_for_its_weights_in_float32_and_not_for_the_memory_of_the_gpu():
    shape = {"parameters": 2**29}
    assert batch.count_host(shape, memory_gib=70) == 2
    assert batch.count_host(shape, memory_gib=1.5) == 1.5
    assert batch.count_host(None, memory_gib=70) == batch.count_host({}, memory_gib=70) == 70


def test_a_job_on_several_devices_asks_a_node_for_what_layers_may_take_there():
    spread = {"cuda:0": 8, "cuda:1": 8, "cpu": 90, "disk": 900}
    assert batch.count_host({"parameters": 2**33}, spread) == 90
    assert batch.count_host({"parameters": 2**32}, {"cuda:0": 8, "cuda:1": 9}) == 16
    assert batch.count_host({"parameters": 2**33}, {"cuda:0": 8, "cuda:1": 9}) == 17
    assert batch.count_host(None, {"cuda:0": 8, "disk": 900}) == 8
    assert batch.count_host(None, {"cpu": 3, "disk": 9}, "cpu") == 3
    assert batch.count_host(None, 5, "cpu") == 5


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(30, 10), (2 * 200, 10), (2 * 201, 11), (2 * 3600, 180)]
)
def test_time_is_three_times_the_mean_of_the_plan_and_ten_minutes_at_least(seconds, minutes):
    planned = {"jobs": 2, "seconds": seconds}
    assert [batch.ask_minutes(planned, attempt) for attempt in (1, 2)] == [minutes, 2 * minutes]


def test_without_a_plan_time_is_two_hours_and_as_much_more_each_time():
    assert [batch.ask_minutes(None, attempt) for attempt in (1, 2, 3)] == [120, 240, 360]
    assert batch.ask_minutes(None, 2, otherwise=30) == 60
