"""What the environment says: addresses, secrets and the one threshold that operators set.

Belongs here: everything read from environment variables, once, typed. Does not belong here: tunable numbers of the
domain (`configs/`).
"""

import hashlib
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings by environment; whatever may hold a password is a `SecretStr`, so neither logs nor tracebacks show it.

    Attributes:
        gridmotion_store: folder or `s3://bucket/prefix` that holds every table and file; without it, `S3_BUCKET` if
            that is set, else the folder `data`.
        s3_bucket: bucket of the store where `GRIDMOTION_STORE` is not set.
        s3_region: region of that bucket.
        aws_endpoint_url: address of an S3-compatible server; AWS itself when unset.
        hy_motion_api_url: HY-Motion server; without it every clip is synthesised locally.
        hy_motion_api_key: its key.
        hitl_conf_threshold: segments under this confidence are marked for review.
        redis_url: Redis or Valkey of the live path.
        database_url: database of the review jobs; SQLite by default.
        grid_api_key: key of GRID's download API.
        mlflow_tracking_uri: MLflow server or database; without it, SQLite beside the store.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    gridmotion_store: str | None = None
    s3_bucket: str | None = None
    s3_region: str | None = None
    aws_endpoint_url: str | None = None
    hy_motion_api_url: str | None = None
    hy_motion_api_key: SecretStr | None = None
    hitl_conf_threshold: float = Field(default=0.6, ge=0.0, le=1.0)
    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None
    grid_api_key: SecretStr | None = None
    mlflow_tracking_uri: SecretStr | None = None

    @field_validator("gridmotion_store")
    @classmethod
    def _known_scheme(cls, url: str | None) -> str | None:
        if url and "://" in url and not url.startswith("s3://"):
            raise ValueError("is a folder or an s3:// address")
        return url

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
        return Path("data").resolve() / f"mlflow-{hashlib.sha256(self.store_url.encode()).hexdigest()[:8]}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps runs and model versions."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri.get_secret_value()
        return f"sqlite:///{self.mlflow_home / 'mlflow.db'}"


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
