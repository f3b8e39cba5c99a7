import dataclasses

import small_recipe
import torch

from spon import schedule

RECIPE = small_recipe.RECIPE
PLATEAU = RECIPE.plateau


def make_rate(**plateau):
    recipe = dataclasses.replace(RECIPE, schedule="plateau", plateau=PLATEAU | plateau)
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=recipe.learning_rate)
    rate = schedule.Rate(optimizer, recipe)
    rate.begin(1.0)
    return rate


def test_the_rate_falls_where_too_little_is_won_and_then_the_training_has_converged():
    rate = make_rate(improvement=0.1, cuts=1, factor=0.5)
    # Won are 0.40, 0.45 (an eighth more), nothing measured, 0.49 (less than a tenth more).
    assert [rate.advance(kl) for kl in (0.6, 0.55, None)] == ["", "", ""]
    assert rate.current == 1e-2
    assert rate.advance(0.51) == schedule.LOWERED
    assert rate.current == 5e-3
    # The most that was won counts: 0.56 is a quarter more than 0.45.
    assert rate.advance(0.44) == ""
    assert rate.advance(0.44) == schedule.CONVERGED


def test_a_rate_that_only_does_harm_is_lowered_at_once():
    rate = make_rate(improvement=0.1, cuts=1, factor=0.5)
    assert rate.advance(1.2) == schedule.LOWERED
    assert rate.advance(0.9) == ""


def test_a_fixed_length_does_not_say_whether_it_has_converged():
    recipe = dataclasses.replace(RECIPE, schedule="constant")
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=recipe.learning_rate)
    rate = schedule.Rate(optimizer, recipe)
    rate.begin(1.0)
    assert {rate.advance(kl) for kl in (0.5, 0.5, 0.5, 0.6)} == {""}
    assert rate.current == 1e-2


def test_an_average_is_the_mean_of_the_first_steps_and_forgets_them_later():
    average = schedule.Average({"site": torch.zeros(1)}, memory=0.5)
    seen = []
    for value in (4.0, 8.0, 0.0):
        average.add({"site": torch.tensor([value])})
        seen.append(average.values["site"].item())
    assert seen == [4.0, 6.0, 3.0]
    last = schedule.Average({"site": torch.zeros(1)}, memory=0.0)
    for value in (4.0, 8.1):
        last.add({"site": torch.tensor([value])})
    assert last.values["site"].equal(torch.tensor([8.1]))


def test_on_a_plateau_the_best_measured_average_is_kept_and_with_a_fixed_length_the_last():
    for name, given in (("plateau", 3.0), ("constant", 5.0)):
        average = schedule.Average({"site": torch.zeros(1)}, memory=0.0)
        best = schedule.Best(average, name)
        for value, held_out_kl in ((0.0, 1.0), (3.0, 0.4), (4.0, None), (5.0, 0.6)):
            average.values["site"].fill_(value)
            best.see(held_out_kl)
        assert best.values["site"].item() == given
        assert best.lowest == 0.4


def test_a_rate_that_is_restored_goes_on_as_the_other_does():
    seen = (0.6, 0.55, 0.51, 0.44, 0.44)
    for name in ("plateau", "cosine", "constant"):
        recipe = dataclasses.replace(RECIPE, schedule=name, epochs=9)
        for stop in range(len(seen)):
            rates = []
            for _ in range(2):
                optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1e-2)
                optimizer.step()
                rates.append(schedule.Rate(optimizer, recipe))
                rates[-1].begin(1.0)
            one, other = rates
            for kl in seen[:stop]:
                one.advance(kl)
            other.restore(one.facts)
            after = [(rate.advance(kl), rate.current) for kl in seen[stop:] for rate in rates]
            assert after[::2] == after[1::2]
