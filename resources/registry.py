"""Every trained model by version, and which of them answers now: MLflow used as a plain library.

Belongs here: registering, promoting and loading models. Does not belong here: how one is trained or judged
(`pipeline.intents.training`).

A version is three plain files (`pipeline.intents.model`) and its measures in an MLflow run. Nothing is pickled, and
nothing that is loaded is executed: the files are checked against digests kept in the registry, then parsed.
MLflow's own numbers are bookkeeping; a model's name is its manifest's version.
"""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.intents.model import FILES, BoosterModel, IntentModel, PriorModel, UnusableModel
from resources.errors import ResourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

NAME = "intent"
CHAMPION = "champion"
GATE = "hybrid_macro_f1_vs_labels"

MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own 7 keep a run waiting four minutes for a server that is down
}
"""What MLflow reads from the environment, where the operator has not set it."""

_VERSION = "version"
_FOLDER = "model"


class RegistryUnreachable(ResourceError):
    """MLflow does not answer, or its database cannot be opened."""


class ModelNotFound(ResourceError):
    """No model of that version is registered."""


class DamagedModel(ResourceError):
    """The files of a registered model are missing or are not those that were registered."""


@dataclass(frozen=True)
class Registered:
    """A model version as the registry knows it.

    Attributes:
        version: the model's own name, from its manifest.
        number: MLflow's.
        champion: whether it answers now.
        metrics: measures from its training.
    """

    version: str
    number: int
    champion: bool
    metrics: Mapping[str, float]


class ModelRegistry:
    """The models of one MLflow.

    Args:
        tracking_uri: `sqlite:///…` or the address of a server.
        artifact_root: folder for model files where MLflow has no server; a server keeps them itself.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = None if artifact_root is None else Path(artifact_root).absolute()

    def register(
        self,
        model: BoosterModel,
        metrics: Mapping[str, float],
        figures: Mapping[str, bytes] | None = None,
    ) -> Registered:
        """Keeps a model with its measures, and promotes it if none is champion or it is not worse than the champion.

        A version that is registered already is neither kept twice nor judged again.

        Args:
            model: the model; its manifest is kept with it.
            metrics: its measures by name; `GATE` decides promotion.
            figures: pictures by file name.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        with self._reached():
            if known := self._find(model.version):
                return self._describe(known)
            champion = self._champion()
            made = self._keep(model, metrics, figures or {})
            if champion is None or self._is_not_worse(metrics, champion):
                self._client.set_registered_model_alias(NAME, CHAMPION, str(made.version))
                logger.info("model %s is now champion", model.version)
            return self._describe(made)

    def champion(self) -> IntentModel:
        """The model that answers now; the prior where none is registered, which is logged.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
            DamagedModel: if its files are missing or changed.
        """
        found = None
        if not self._is_empty:  # a look at nothing need not load MLflow, which takes a second
            with self._reached():
                found = self._champion()
        if found is None:
            prior = PriorModel.configured()
            logger.warning("no trained model in %s: %s answers; train one with `gridmotion train`", self, prior.version)
            return prior
        return self._load(found)

    def get(self, version: str) -> BoosterModel:
        """The model of that version.

        Raises:
            ModelNotFound: if it is not registered; names those that are.
            RegistryUnreachable: if MLflow does not answer.
            DamagedModel: if its files are missing or changed.
        """
        with self._reached():
            found = None if self._is_empty else self._find(version)
            others = "" if found else ", ".join(known.version for known in self.versions()) or "none"
        if found is None:
            raise ModelNotFound(
                f"no model {version} in {self}; registered: {others}; train one with `gridmotion train`"
            )
        return self._load(found)

    def versions(self) -> list[Registered]:
        """All registered models, oldest first.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        if self._is_empty:
            return []
        with self._reached():
            found = self._client.search_model_versions(f"name = '{NAME}'")
            return [self._describe(each) for each in sorted(found, key=lambda each: int(each.version))]

    def __str__(self) -> str:
        """The tracking address without what stands before an @, which may be a password."""
        scheme, _, rest = self.tracking_uri.rpartition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest

    @cached_property
    def _client(self) -> "MlflowClient":
        for name, value in MLFLOW_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces each table it creates
        if self._database is not None:
            _create(self._database)
        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    @property
    def _database(self) -> Path | None:
        """The SQLite file; None where MLflow is a server or another database."""
        scheme = "sqlite:///"
        return Path(self.tracking_uri.removeprefix(scheme)) if self.tracking_uri.startswith(scheme) else None

    @property
    def _is_empty(self) -> bool:
        """Whether nothing was ever registered: a look need not create the database."""
        return self._database is not None and not self._database.exists()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            text = str(error).replace(self.tracking_uri, str(self))
            cause = error if text == str(error) else None  # a traceback would show what the text hides
            raise RegistryUnreachable(f"MLflow at {self}: {text}; check MLFLOW_TRACKING_URI") from cause

    def _keep(self, model: BoosterModel, metrics: Mapping[str, float], figures: Mapping[str, bytes]) -> "ModelVersion":
        files = model.files()
        tags = {_VERSION: model.version} | {name: hashlib.sha256(files[name]).hexdigest() for name in FILES}
        run = self._client.create_run(self._experiment(), tags=tags, run_name=model.version)
        for name, value in metrics.items():
            self._client.log_metric(run.info.run_id, name, value)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**files, **figures}.items():
                path = Path(folder, name)
                path.write_bytes(content)
                self._client.log_artifact(run.info.run_id, str(path), _FOLDER if name in files else "figures")
        self._client.set_terminated(run.info.run_id)
        self._ensure_registered_model()
        source = f"{run.info.artifact_uri}/{_FOLDER}"
        return self._client.create_model_version(NAME, source, run_id=run.info.run_id, tags=tags)

    def _experiment(self) -> str:
        if experiment := self._client.get_experiment_by_name(NAME):
            return str(experiment.experiment_id)
        location = None if self.artifact_root is None else (self.artifact_root / NAME).as_uri()
        return str(self._client.create_experiment(NAME, artifact_location=location))

    def _ensure_registered_model(self) -> None:
        if not self._client.search_registered_models(f"name = '{NAME}'"):
            self._client.create_registered_model(NAME)

    def _find(self, version: str) -> "ModelVersion | None":
        found = self._client.search_model_versions(f"name = '{NAME}'")
        return next((each for each in found if each.tags.get(_VERSION) == version), None)

    def _champion(self) -> "ModelVersion | None":
        models = self._client.search_registered_models(f"name = '{NAME}'")
        number = models[0].aliases.get(CHAMPION) if models else None
        return None if number is None else self._client.get_model_version(NAME, str(number))

    def _is_not_worse(self, metrics: Mapping[str, float], champion: "ModelVersion") -> bool:
        lowest = float("-inf")
        return metrics.get(GATE, lowest) >= self._metrics(champion).get(GATE, lowest)

    def _metrics(self, version: "ModelVersion") -> dict[str, float]:
        return dict(self._client.get_run(str(version.run_id)).data.metrics)

    def _describe(self, version: "ModelVersion") -> Registered:
        champion = self._champion()
        return Registered(
            version=version.tags[_VERSION],
            number=int(version.version),
            champion=champion is not None and int(champion.version) == int(version.version),
            metrics=self._metrics(version),
        )

    def _load(self, version: "ModelVersion") -> BoosterModel:
        from mlflow.exceptions import MlflowException

        name = f"model {version.tags[_VERSION]} (MLflow {NAME} {version.version})"
        advice = "restore its artefacts, or train again with `gridmotion train`"
        with tempfile.TemporaryDirectory() as folder:
            try:
                files = {file: self._download(version, file, folder).read_bytes() for file in FILES}
            except (MlflowException, OSError) as error:
                raise DamagedModel(f"{name}: its files cannot be read: {error}; {advice}") from error
        for file, content in files.items():
            if hashlib.sha256(content).hexdigest() != version.tags.get(file):
                raise DamagedModel(f"{name}: {file} is not the file that was registered; {advice}")
        try:
            return BoosterModel.from_files(files)
        except UnusableModel as error:
            raise DamagedModel(f"{name}: {error}; {advice}") from error

    def _download(self, version: "ModelVersion", file: str, folder: str) -> Path:
        return Path(self._client.download_artifacts(str(version.run_id), f"{_FOLDER}/{file}", folder))


def _create(database: Path) -> None:
    """Creates MLflow's tables under another name first: killed on the way, MLflow would never open them again."""
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if database.exists():
            return
        unfinished = database.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments()
        unfinished.replace(database)
