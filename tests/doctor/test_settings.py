"""Settings come from the environment under the names that operators know."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs import ConfigError, load
from configs.demo import DemoConfig
from resources.settings import Settings


def test_the_names_are_kept_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "HY_MOTION_API_URL": "http://motion", "HY_MOTION_API_KEY": "hunter2", "S3_BUCKET": "bucket", "S3_REGION": "eu",
        "HITL_CONF_THRESHOLD": "0.75", "REDIS_URL": "redis://r", "DATABASE_URL": "postgresql://d:hunter2@h/x",
        "GRID_API_KEY": "hunter2", "GRIDMOTION_STORE": "s3://b/p/",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.hitl_conf_threshold == 0.75
    assert settings.store_url == "s3://b/p"
    assert settings.database_url is not None and settings.database_url.get_secret_value() == values["DATABASE_URL"]
    assert "hunter2" not in repr(settings)


def test_the_store_is_a_folder_unless_a_bucket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_BUCKET", raising=False)
    monkeypatch.delenv("GRIDMOTION_STORE", raising=False)
    assert Settings().store_url == str(Path("data").resolve())
    assert Settings(s3_bucket="bucket").store_url == "s3://bucket/gridmotion"
    assert Settings(s3_bucket="bucket", gridmotion_store="here").store_url == str(Path("here").resolve())


def test_a_threshold_outside_zero_to_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITL_CONF_THRESHOLD", "1.5")
    with pytest.raises(ValidationError, match="hitl_conf_threshold"):
        Settings()


def test_a_configuration_error_names_the_file_and_the_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("analysed: {seed: -1, rounds: 3}\ntraining: []\nsurprise: 1\n")
    monkeypatch.setattr("configs.base.FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"(?s)broken\.yaml.*analysed\.seed.*surprise"):
        load("broken", DemoConfig)
