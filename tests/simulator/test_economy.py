"""A team's money decides what it plays with."""

import numpy as np
import pytest

from pipeline.events.sources.simulator.economy import Purse


@pytest.fixture
def purse(config):
    purse = Purse(config.economy)
    purse.open_half()
    return purse


def test_a_half_opens_with_pistols_and_the_winner_can_buy_more_than_the_loser(purse, config):
    dice = np.random.default_rng(0)
    assert purse.buy(dice, first=True) == "pistol" and purse.money == 0
    loser = Purse(config.economy)
    loser.open_half()
    loser.buy(dice, first=True)
    purse.settle(won=True, kills=5, deaths=0, players=5)
    loser.settle(won=False, kills=0, deaths=5, players=5)
    assert purse.money == config.economy.win + config.economy.kill
    assert purse.buy(dice, first=False) == "full"
    assert loser.buy(dice, first=False) in ("force", "eco")


def test_lost_rounds_in_a_row_pay_more_and_more_but_never_over_the_most(purse, config):
    gained = []
    for _ in range(8):
        purse.money = 0.0
        purse.settle(won=False, kills=0, deaths=5, players=5)
        gained.append(purse.money)
    rules = config.economy
    assert gained[:3] == [rules.loss, rules.loss + rules.loss_step, rules.loss + 2 * rules.loss_step]
    assert max(gained) == rules.most_loss


def test_who_survives_keeps_his_gun_and_nobody_is_ever_in_debt(purse, config):
    dice = np.random.default_rng(0)
    full = config.economy.buys["full"].cost
    for deaths, paid in ((0, 0.0), (5, full)):
        purse.money, purse.last, purse.lost = 10_000.0, "full", deaths / 5
        assert purse.buy(dice, first=False) == "full"
        assert 10_000.0 - purse.money == pytest.approx(paid)
    purse.money = 0.0
    assert purse.buy(dice, first=False) == "eco"
    assert purse.money == 0.0
