"""What the environment says: addresses, secrets and the one threshold that operators set.

Belongs here: everything read from environment variables and files of secrets, once, typed. Does not belong here:
tunable numbers of the domain (`configs/`).
"""

import hashlib
import os
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

SECRETS = "GRIDMOTION_SECRETS"
"""The variable that names a folder of files, each named like a setting: for what no environment should show."""


class Settings(BaseSettings):
    """Settings by environment; whatever may hold a password is a `SecretStr`, so neither logs nor tracebacks show it.

    What the environment does not say is looked for in the folder that `GRIDMOTION_SECRETS` names, as orchestrators
    mount secrets: a file for each setting, `redis_url` say, without the blank space around its text.

    Attributes:
        gridmotion_store: folder or `s3://bucket/prefix` that holds every table and file; without it, `S3_BUCKET` if
            that is set, else the folder `data`.
        s3_bucket: bucket of the store where `GRIDMOTION_STORE` is not set.
        s3_region: region of that bucket.
        aws_endpoint_url: address of an S3-compatible server; AWS itself when unset.
        hy_motion_api_url: HY-Motion server, asked where `backends.yaml` names it.
        hy_motion_api_key: its key: a token, or `id:token`.
        hy_motion_home: folder of HY-Motion's `local_infer.py`, where it runs on this machine.
        hy_motion_model: folder of its weights.
        hy_motion_python: the interpreter of its environment.
        mmcp_url: MMCP motion server.
        mmcp_token: its bearer token.
        motion_server_token: bearer token that `gridmotion motion-server` asks for.
        hitl_conf_threshold: segments under this confidence are marked for review.
        redis_url: Redis or Valkey of the live path.
        database_url: database of the review jobs; SQLite by default.
        grid_api_key: key of a GRID account, for its File Download and Central Data APIs.
        grid_api_url: their address; Open Access has another.
        grid_central_data_url: address of Central Data, where it is another one.
        mlflow_tracking_uri: MLflow server or database; without it, SQLite beside the store.
        embedding_encoder: which encoder of `encoders.yaml` embeds texts; without it, the packaged one.
        embedding_models: folder in which models of encoders lie; besides it, the hub's cache is looked at.
        embedding_hub: whether models that are missing may be fetched from the hub.
        gemini_api_key: key of the Gemini API, for its embedding models.
        gemini_api_url: its address.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    gridmotion_store: str | None = None
    s3_bucket: str | None = None
    s3_region: str | None = None
    aws_endpoint_url: str | None = None
    hy_motion_api_url: str | None = None
    hy_motion_api_key: SecretStr | None = None
    hy_motion_home: str | None = None
    hy_motion_model: str | None = None
    hy_motion_python: str = "python3"
    mmcp_url: str | None = None
    mmcp_token: SecretStr | None = None
    motion_server_token: SecretStr | None = None
    hitl_conf_threshold: float = Field(default=0.6, ge=0.0, le=1.0)
    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None
    grid_api_key: SecretStr | None = None
    grid_api_url: str = "https://api.grid.gg"
    grid_central_data_url: str | None = None
    mlflow_tracking_uri: SecretStr | None = None
    embedding_encoder: str | None = None
    embedding_models: str | None = None
    embedding_hub: bool = False
    gemini_api_key: SecretStr | None = None
    gemini_api_url: str = "https://generativelanguage.googleapis.com"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then files of secrets.

        Raises:
            NotADirectoryError: if `GRIDMOTION_SECRETS` names no folder: nothing should start without its secrets.
        """
        folder = os.environ.get(SECRETS)
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise NotADirectoryError(f"{SECRETS}: {folder} is no folder")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @field_validator("gridmotion_store")
    @classmethod
    def _known_scheme(cls, url: str | None) -> str | None:
        if url and "://" in url and not url.startswith("s3://"):
            raise ValueError("is a folder or an s3:// address")
        return url

    @field_validator("grid_api_url", "grid_central_data_url", "gemini_api_url")
    @classmethod
    def _safe_for_a_key(cls, url: str | None) -> str | None:
        if url:
            _bare(url)
            _unread(url)
        return url

    @field_validator("hy_motion_api_url", "mmcp_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        if url:
            _bare(url)
        return url

    @model_validator(mode="after")
    def _keys_go_unread(self) -> "Settings":
        for url, key in ((self.hy_motion_api_url, self.hy_motion_api_key), (self.mmcp_url, self.mmcp_token)):
            if url and key is not None:
                _unread(url)
        return self

    @property
    def store_url(self) -> str:
        """Absolute folder or `s3://` address of the store."""
        if self.gridmotion_store:
            url = self.gridmotion_store
        elif self.s3_bucket:
            url = f"s3://{self.s3_bucket}/gridmotion"
        else:
            url = "data"
        return url.rstrip("/") if "://" in url else str(Path(url).resolve())

    @property
    def mlflow_home(self) -> Path:
        """Folder of the embedded MLflow: beside a local store, else in `data`, one for each store on S3."""
        if "://" not in self.store_url:
            return Path(self.store_url) / "mlflow"
        return Path("data").resolve() / f"mlflow-{self._store_digest}"

    @property
    def grid_spool(self) -> Path:
        """Folder of this machine where downloads from GRID lie until they are whole; like `mlflow_home`."""
        if "://" not in self.store_url:
            return Path(self.store_url) / "spool" / "grid"
        return Path("data").resolve() / f"spool-{self._store_digest}" / "grid"

    @property
    def review_url(self) -> SecretStr:
        """Database of the review jobs: `DATABASE_URL`, else SQLite beside the store, placed like `mlflow_home`."""
        if self.database_url is not None:
            return self.database_url
        local = "://" not in self.store_url
        folder = Path(self.store_url) / "reviews" if local else Path("data").resolve() / f"reviews-{self._store_digest}"
        return SecretStr(f"sqlite:///{folder / 'reviews.db'}")

    @property
    def _store_digest(self) -> str:
        return hashlib.sha256(self.store_url.encode()).hexdigest()[:8]

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps runs and model versions."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri.get_secret_value()
        return f"sqlite:///{self.mlflow_home / 'mlflow.db'}"


def _bare(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.scheme not in ("https", "http"):
        raise ValueError("is an https:// address without user or query")


def _unread(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(f"the address of {parts.hostname} must be https, or its key could be read on the way")


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
