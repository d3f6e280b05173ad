"""The doctor against real servers, dead addresses and nothing at all; it never shows a secret."""

from pathlib import Path

import pytest

from assets.definitions import open_registry, open_store
from resources.addresses import redacted, without_secrets
from resources.health import Finding, examine
from resources.settings import Settings


def _examined(environment: Settings) -> dict[str, Finding]:
    findings = examine(environment, open_store(environment), open_registry(environment))
    return {finding.service: finding for finding in findings}


def test_with_nothing_configured_everything_works_or_says_what_is_used_instead(tmp_path: Path) -> None:
    found = _examined(Settings(gridmotion_store=str(tmp_path / "store")))
    assert found["store"].state == "ok"
    assert {name for name, finding in found.items() if finding.state == "fallback"} == {
        "model registry",
        "Redis",
        "database",
        "GRID",
        "text encoder",
    }
    assert "prior" in found["model registry"].detail
    assert "no review jobs yet" in found["database"].detail
    assert not (tmp_path / "store" / "reviews").exists()
    assert not (tmp_path / "store" / "doctor" / "probe.txt").exists()


def test_servers_that_answer_are_ok(tmp_path: Path, redis_server: str, postgres_server: str) -> None:
    found = _examined(Settings(gridmotion_store=str(tmp_path), redis_url=redis_server, database_url=postgres_server))
    assert found["Redis"].state == "ok"
    assert found["database"].state == "ok"
    assert "postgresql" in found["database"].configured
    assert found["database"].detail == "answers; no review jobs yet"


def test_servers_that_do_not_answer_fail_alone_and_keep_their_secrets(
    tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    environment = Settings(
        gridmotion_store="s3://gridmotion/x",
        aws_endpoint_url=s3_server,
        mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        redis_url="redis://user:hunter2@127.0.0.1:1/0",
        database_url="postgresql://user:hunter2@127.0.0.1:1/db",
        hy_motion_api_url="http://127.0.0.1:1/",
        hy_motion_api_key="hunter2",
        grid_api_key="hunter2",
        grid_api_url="http://127.0.0.1:1",
    )
    found = _examined(environment)
    failed = {name for name, finding in found.items() if finding.state == "failed"}
    assert failed == {"store", "Redis", "database", "GRID"}
    assert found["GRID"].detail.count("ConnectError") == 2
    assert "HY_MOTION_API_URL is set but backends.yaml names local" in found["motion backend"].detail
    assert "s3://gridmotion/x" in found["store"].detail
    assert "hunter2" not in str(found) + str(environment)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pw@host:6379/0", "redis://host:6379/0"),
        ("https://host/path?token=abc", "https://host/path"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("/data/store", "/data/store"),
        ("https://user:p/w@host/path", "https://host/path"),
        ("https://user:p?w@host/path", "https://…"),
        ("http://[broken/?password=hunter2", "http://[broken/"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_an_error_shows_no_secret_of_the_address_that_it_is_about() -> None:
    url = "http://host:1/?password=hunter2"
    assert "hunter2" not in redacted(f"{url} and url: /?password=hunter2/api/2.0/mlflow", url)


def test_an_encoder_that_was_chosen_and_is_not_there_fails_with_what_to_do(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    missing = _examined(Settings(gridmotion_store=store, embedding_encoder="qwen3-8b", embedding_models=str(tmp_path)))
    assert missing["text encoder"].state == "failed"
    assert "EMBEDDING_MODELS" in missing["text encoder"].detail
    keyless = _examined(Settings(gridmotion_store=store, embedding_encoder="gemini"))
    assert keyless["text encoder"].state == "failed"
    assert "GEMINI_API_KEY" in keyless["text encoder"].detail
    chosen = _examined(Settings(gridmotion_store=store, embedding_encoder="minilm"))
    assert chosen["text encoder"].state == "ok"
    assert "384" in chosen["text encoder"].detail
