"""Review databases on both real servers, and small matches to ask about."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from configs.review import ReviewConfig, load_review
from pipeline.intents.review import JOB, job_id
from pipeline.intents.vocabulary import INTENTS
from pipeline.tables import conform
from resources.reviews import Reviews


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'folder' / 'reviews.db'}"
        return
    admin, name = request.getfixturevalue("postgres_admin"), f"r{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield admin.url.set(database=name).render_as_string(hide_password=False)  # it goes with the server


@pytest.fixture
def config() -> ReviewConfig:
    return load_review()


@pytest.fixture
def reviews(url: str) -> Reviews:
    return Reviews(url)


@pytest.fixture
def rows(url: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Whatever SQL gives, past our own code."""

    def ask(sql: str, **values: Any) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            done = connection.execute(sa.text(sql), values)
            return [tuple(row) for row in done] if done.returns_rows else []

    return ask


@pytest.fixture(scope="session")
def asked() -> Callable[..., pl.DataFrame]:
    """Jobs of a match, the first the most urgent; a value that is a list is one per job."""

    def make(count: int = 1, *, match_id: str = "m", model_version: str = "v1", **values: Any) -> pl.DataFrame:
        names = [f"{number:016x}" for number in range(count)]
        columns: dict[str, Any] = {
            "job_id": [job_id(name, model_version) for name in names],
            "segment_id": names,
            "match_id": match_id,
            "round": 1,
            "player": "player:a",
            "team": "team:t",
            "side": None,
            "from_ms": [1000 * number for number in range(count)],
            "to_ms": [1000 * number + 750 for number in range(count)],
            "intent": "hold",
            "confidence": 0.5,
            "decided_by": f"model:{model_version}",
            "model_version": model_version,
            "reasons": [["low_confidence"]] * count,
            "priority": [1 - number / 10_000 for number in range(count)],
            "required": False,
            "wanted": 1,
            "features": '{"t_ms":250,"speed_mps":0.1,"bomb_m":null}',
            "prediction": '{"hold":0.5,"peek":0.25}',
            "preview_uri": None,
        }
        columns |= values
        return pl.DataFrame(
            {name: each if isinstance(each, list) else [each] * count for name, each in columns.items()}, schema=JOB
        )

    return make


@pytest.fixture(scope="session")
def match() -> Callable[..., tuple[pl.DataFrame, pl.DataFrame]]:
    """Segments and intents of one player: (intent, instants, confidence, how sure the model alone is of another)."""

    def make(*spans: tuple[str, int, float, float | None]) -> tuple[pl.DataFrame, pl.DataFrame]:
        segments, instants, t_ms = [], [], 0
        for number, (intent, count, sure, against) in enumerate(spans):
            common = {"match_id": "m", "round": 1, "player": "player:a", "intent": intent, "confidence": sure}
            others = {f"p_{other}": sure if other == intent else (1 - sure) / 8 for other in INTENTS}
            by = "model:v" if against is None else "rule:r"
            instants += [
                common | others | {"t_ms": t_ms + 250 * step, "decided_by": by, "model_against": against}
                for step in range(count)
            ]
            ends = t_ms + 250 * count
            span = {"segment_id": f"{number:016x}", "from_ms": t_ms, "to_ms": ends, "decided_by": by}
            segments.append(common | span | {"model_version": "v", "team": None, "side": None, "review_reasons": []})
            t_ms = ends
        types = {
            "review_reasons": pl.List(pl.String),
            "model_against": pl.Float32,
            "team": pl.String,
            "side": pl.String,
        }
        cut = pl.DataFrame(segments, schema_overrides={k: v for k, v in types.items() if k in segments[0]})
        told = pl.DataFrame(instants, schema_overrides={"model_against": pl.Float32}, infer_schema_length=None)
        return conform("segments", cut), conform("intents", told)

    return make
