from spon.decode import bandwidth


def test_calls_take_turns_after_one_that_is_not_timed():
    made = []
    calls = {name: lambda name=name: made.append(name) for name in "ab"}
    seconds = bandwidth.clock_in_turns(calls, rounds=2)
    assert made == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_the_bandwidth_is_that_of_the_fastest_read(monkeypatch):
    monkeypatch.setattr(bandwidth, "BUFFER_BYTES", 2**20)

    def pretend(calls, rounds):
        assert [call().shape for call in calls.values()] == [(64,), (4096,)]
        return {"torch": [2.0, 1.0], "ours": [0.5, 4.0]}

    monkeypatch.setattr(bandwidth, "clock_in_turns", pretend)
    assert bandwidth.measure_bandwidth() == 2**21
