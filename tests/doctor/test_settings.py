"""Settings come from the environment under the names that operators know."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs import ConfigError, load
from configs.demo import DemoConfig
from resources.settings import Settings


def test_the_names_are_kept_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "HY_MOTION_API_URL": "https://motion", "HY_MOTION_API_KEY": "hunter2", "S3_BUCKET": "bucket", "S3_REGION": "eu",
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


def test_secrets_come_from_files_where_the_environment_does_not_say_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REDIS_URL", "DATABASE_URL", "GRID_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "redis_url").write_text("rediss://agent:hunter2@host/0\n")
    (tmp_path / "GRID_API_KEY").write_text("hunter3")
    assert Settings().redis_url is None
    monkeypatch.setenv("GRIDMOTION_SECRETS", str(tmp_path))
    settings = Settings()
    assert settings.redis_url is not None and settings.redis_url.get_secret_value() == "rediss://agent:hunter2@host/0"
    assert settings.grid_api_key is not None and settings.grid_api_key.get_secret_value() == "hunter3"
    assert settings.database_url is None and "hunter" not in repr(settings)
    monkeypatch.setenv("REDIS_URL", "redis://nearer")
    nearer = Settings().redis_url
    assert nearer is not None and nearer.get_secret_value() == "redis://nearer"
    monkeypatch.setenv("GRIDMOTION_SECRETS", str(tmp_path / "none"))
    with pytest.raises(NotADirectoryError, match="GRIDMOTION_SECRETS"):
        Settings()


def test_a_motion_servers_key_is_sent_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, key in (("hy_motion_api_url", "hy_motion_api_key"), ("mmcp_url", "mmcp_token")):
        for url in ("https://bob:hunter2@host", "https://@host", "https://host/?key=hunter2", "ftp://host", "host"):
            with pytest.raises(ValidationError, match="without user or query") as refused:
                Settings(**{address: url})
            assert "hunter2" not in str(refused.value)
        with pytest.raises(ValidationError, match="must be https") as refused:
            Settings(**{address: "http://10.0.0.8:8000", key: "hunter2"})
        assert "hunter2" not in str(refused.value)
        for url, secret in (("http://10.0.0.8:8000", None), ("http://127.0.0.1:1", "k"), ("https://host", "k")):
            assert getattr(Settings(**{address: url, key: secret}), address) == url


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


def test_the_key_of_grid_goes_to_safe_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().grid_api_url == "https://api.grid.gg"
    assert Settings(grid_api_url="https://api-op.grid.gg").grid_central_data_url is None
    assert Settings(grid_api_url="http://127.0.0.1:8000").grid_api_url == "http://127.0.0.1:8000"
    for url in (
        "http://api.grid.gg",
        "https://user@api.grid.gg",
        "https://api.grid.gg?key=1",
        "api.grid.gg",
        "ftp://x",
    ):
        with pytest.raises(ValidationError, match="grid_api_url"):
            Settings(grid_api_url=url)
    monkeypatch.setenv("GRID_API_KEY", "")
    monkeypatch.setenv("GRID_API_URL", "")
    assert (Settings().grid_api_key, Settings().grid_api_url) == (None, "https://api.grid.gg")


def test_downloads_lie_beside_a_local_store_and_on_this_machine_for_a_bucket() -> None:
    assert Settings(gridmotion_store="/data/store").grid_spool == Path("/data/store/spool/grid")
    one, other = (Settings(gridmotion_store=f"s3://bucket/{name}").grid_spool for name in ("a", "b"))
    assert one != other and one.name == "grid" and one.is_relative_to(Path("data").resolve())
