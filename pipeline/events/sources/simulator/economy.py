"""What a team can pay for: its money from round to round, and what it buys with it.

Belongs here: money, and the choice of a buy. Does not belong here: prices and guns (`configs/simulator.yaml`), who of
the team gets which gun (`match`).
"""

from dataclasses import dataclass

import numpy as np

from configs.simulator import BuyName, EconomyConfig


@dataclass
class Purse:
    """The money of a team, as dollars a player.

    Attributes:
        rules: prices and rewards.
        money: now.
        losses: rounds lost in a row.
        lost: share of the last buy that must be replaced.
    """

    rules: EconomyConfig
    money: float = 0.0
    losses: int = 0
    lost: float = 1.0
    last: BuyName = "pistol"

    def open_half(self) -> None:
        """Begin a half: everybody has what he is given, and no guns."""
        self.money, self.losses, self.lost, self.last = self.rules.start, 0, 1.0, "pistol"

    def buy(self, rng: np.random.Generator, *, first: bool) -> BuyName:
        """Choose what to play the round with, and pay for what the last round did not leave."""
        if first:
            choice: BuyName = "pistol"
        else:
            kept = {name: self.rules.buys[name].cost * (self.lost if name == self.last else 1.0) for name in self._dear}
            within = [name for name in self._dear if kept[name] <= self.money]
            choice = within[0] if within else "eco"
            if choice == "force" and float(rng.random()) >= self.rules.force_chance:
                choice = "eco"
        cost = self.rules.buys[choice].cost * (self.lost if choice == self.last else 1.0)
        self.money, self.last = max(0.0, self.money - cost), choice
        return choice

    @property
    def _dear(self) -> tuple[BuyName, ...]:
        return ("full", "force")

    def settle(self, *, won: bool, kills: int, deaths: int, players: int) -> None:
        """Take the reward of a round."""
        rules = self.rules
        reward = rules.win if won else min(rules.most_loss, rules.loss + rules.loss_step * self.losses)
        self.losses = max(0, self.losses - 1) if won else self.losses + 1
        self.money = min(rules.most, self.money + reward + rules.kill * kills / players)
        self.lost = deaths / players
