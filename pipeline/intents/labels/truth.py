"""What a log itself says was meant: plants, defuses, trade kills and hits, from the events alone.

Belongs here: stretches of time that a reader of the log would mark by hand, without looking at any rule. Does not
belong here: the rules that are judged by it (`rules`), the judgement (`judgement`).
"""

from collections import defaultdict

import polars as pl

from configs.features import load_features
from configs.intents import LabelsConfig

STRETCHES = {
    "kind": pl.String,
    "player": pl.String,
    "round": pl.Int32,
    "from_ms": pl.Int64,
    "to_ms": pl.Int64,
}


def stretches(events: pl.DataFrame, tracks: pl.DataFrame, config: LabelsConfig) -> pl.DataFrame:
    """The stretches `[from_ms, to_ms)` in which the events leave no doubt what a player meant.

    Args:
        events: table `events` of one match.
        tracks: table `tracks` of that match, for who plays with whom and who has a kit.
        config: the window of a trade, the length of a defuse with a kit, how long a hit lasts.

    Returns:
        One row per stretch, sorted, of these kinds:
        `plant`, `defuse`: from the logged start, else the time it takes with the kit the player has, to completion.
        `plant_broken`, `defuse_broken`: a start without completion, until the player's next shot or death or the end of
        the time it takes.
        `trade`: from each death to the kill of the killer by a teammate within the window; deaths by teammates or the
        world don't count. `tried`: likewise to a hit on the killer by an aimed weapon, within the window of a try.
        `engage`: around a hit on an enemy by an aimed weapon that answers no death.
    """
    features = load_features()
    rules = config.rules
    team = {
        (player, round_): name
        for player, round_, name in tracks.select("player", "round", pl.coalesce("team", "side")).unique().iter_rows()
    }
    done = {"BOMB_PLANTED": "plant", "BOMB_DEFUSED": "defuse"}
    begun = {"BOMB_PLANT_STARTED": "plant", "BOMB_DEFUSE_STARTED": "defuse"}
    takes = {"plant": features.plant_ms, "defuse": features.defuse_ms}
    kits = tracks.filter(pl.col("has_kit").is_not_null()).select("player", "round", "t_ms", "has_kit")

    open_starts: dict[tuple[str, int | None], tuple[str, int]] = {}
    deaths: dict[tuple[str, int | None], list[tuple[int, str]]] = defaultdict(list)  # of a killer: when, whose team
    found: list[tuple[str, str, int | None, int, int]] = []

    def broken_off(who: tuple[str, int | None], t: int) -> None:
        if start := open_starts.pop(who, None):
            kind, since = start
            found.append((f"{kind}_broken", *who, since, min(t, since + takes[kind])))

    columns = ("event_type", "actor", "target", "round", "t_ms", "weapon")
    deeds = events.filter(pl.col("event_type") != "POSITION_UPDATE").sort("t_ms", "seq", maintain_order=True)
    for type_, actor, target, round_, t, weapon in deeds.select(columns).iter_rows():
        who, whom = (actor, round_), (target, round_)
        if kind := done.get(type_):
            start = open_starts.pop(who, None)
            logged = start is not None and t - start[1] <= takes[kind] + features.grid_ms
            took = rules.defuse.kit_ms if kind == "defuse" and _kit(kits, actor, round_, t) else takes[kind]
            found.append((kind, *who, start[1] if start and logged else t - took, t))
        elif kind := begun.get(type_):
            broken_off(who, t)
            open_starts[who] = kind, t
        elif type_ == "WEAPON_FIRED":
            broken_off(who, t)
        if type_ == "PLAYER_KILLED":
            broken_off(whom, t)
        if type_ not in ("PLAYER_KILLED", "PLAYER_DAMAGED") or None in (team.get(who), team.get(whom)):
            continue
        if team[who] == team[whom]:
            continue
        answered = [since for since, victims in deaths[whom] if victims == team[who]]
        if type_ == "PLAYER_KILLED":
            window = rules.trade_kill.window_ms
            found.extend(("trade", *who, since, t) for since in answered if 0 < t - since <= window)
            deaths[who].append((t, team[whom]))
        if any(word in (weapon or "").lower() for word in config.not_aimed):
            continue
        tries = [since for since in answered if 0 < t - since <= rules.trade_hit.window_ms]
        found.extend(("tried", *who, since, t) for since in tries)
        if not any(t - since <= rules.trade_kill.window_ms for since in answered):
            found.append(("engage", *who, t - features.grid_ms, t + features.grid_ms))
    for who, (kind, since) in list(open_starts.items()):
        broken_off(who, since + takes[kind])
    return pl.DataFrame(found, schema=STRETCHES, orient="row").sort(*STRETCHES)


def _kit(kits: pl.DataFrame, player: str, round_: int | None, t_ms: int) -> bool:
    """Whether the player had a kit when last told in that round; if never told, one is taken for granted."""
    before = (pl.col("player") == player) & pl.col("round").eq_missing(round_) & (pl.col("t_ms") < t_ms)
    known = kits.filter(before).sort("t_ms")
    return known.is_empty() or bool(known["has_kit"][-1])


def told(rows: pl.DataFrame, marked: pl.DataFrame) -> pl.Series:
    """The intent of each row that a stretch holds, else null; of several the one that comes first here.

    Plant and defuse, then trade, tried or done, then engage: nobody fights with the bomb in hand, and a trade is a
    fight with a cause.

    Args:
        rows: `player`, `round`, `t_ms`.
        marked: what `stretches` returns.
    """
    order = {"plant": 0, "defuse": 0, "trade": 1, "tried": 1, "engage": 2}
    numbered = rows.select("player", "round", "t_ms").with_row_index("row")
    kinds = marked.filter(pl.col("kind").is_in(list(order)))
    inside = numbered.join(kinds, on=["player", "round"], nulls_equal=True).filter(
        pl.col("t_ms").is_between("from_ms", "to_ms", closed="left")
    )
    ranked = inside.sort(pl.col("kind").replace_strict(order, return_dtype=pl.Int8), "row", maintain_order=True)
    first = ranked.unique("row", keep="first", maintain_order=True)
    intent = numbered.join(first.select("row", "kind"), on="row", how="left", maintain_order="left")["kind"]
    return intent.replace({"tried": "trade"})
