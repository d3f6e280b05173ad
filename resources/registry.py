"""Every trained model by version, and which of them answers now: MLflow used as a plain library.

Belongs here: registering, promoting, rolling back and loading models. Does not belong here: how one is trained or
judged (`pipeline.intents.training`), who is promoted (`pipeline.intents.promotion`).

Whoever asks for the champion gets it as it is then and keeps it: a change reaches every process with its next match,
and a match that is being analysed ends with the model that it began with. The champion changes by one write of
MLflow's alias. What is needed to undo a change, and the mark of what is rolled back, is written before it; the mark is
taken from what is promoted again after it. So a process killed on the way has changed who answers or has not, and no
model that was rolled back is without its mark. One that answers may still have the mark: there it means nothing.

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
from resources.addresses import redacted, without_secrets
from resources.errors import ResourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

NAME = "intent"
CHAMPION = "champion"

MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own 7 keep a run waiting four minutes for a server that is down
}
"""What MLflow reads from the environment, where the operator has not set it."""

_VERSION = "version"
_FOLDER, _DOCUMENTS = "model", "documents"  # of a run's artefacts
_BEFORE = "before"  # tag of a version: MLflow's numbers of those that answered before it, the latest first
_ROLLED_BACK = "rolled_back"  # tag of a version: why it answers no more
_VERDICT = "verdict"  # tag of a version
_LONGEST_DESCRIPTION = 5_000  # characters; the column of MLflow's database
_REMEMBERED = 100  # versions in that tag; MLflow takes some thousand

NOBODY = "none"
"""Stands for a version where no model answers."""


class RegistryUnreachable(ResourceError):
    """MLflow does not answer, or its database cannot be opened."""


class ModelNotFound(ResourceError):
    """No model of that version is registered."""


class NothingToRollBack(ResourceError):
    """No model answers, or none answered before it."""


class DamagedModel(ResourceError):
    """The files of a registered model are missing, are not those that were registered, or cannot be used."""


class ChampionChanged(ResourceError):
    """A model is not promoted: it was judged against another champion than answers now, or rolled back since."""


@dataclass(frozen=True)
class Registered:
    """A model version as the registry knows it.

    Attributes:
        version: the model's own name, from its manifest.
        number: MLflow's.
        champion: whether it answers now.
        metrics: measures from its training.
        verdict: what became of it when it was held against the champion, in words; empty before.
        rolled_back: why it was rolled back; empty if it was not. No training promotes it again.
    """

    version: str
    number: int
    champion: bool
    metrics: Mapping[str, float]
    verdict: str = ""
    rolled_back: str = ""


class ModelRegistry:
    """The models of one MLflow.

    Args:
        tracking_uri: `sqlite:///…` or the address of a server.
        artifact_root: folder for model files where MLflow has no server; a server keeps them itself.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = None if artifact_root is None else Path(artifact_root).absolute()
        self._champions: dict[int, BoosterModel] = {}

    def register(
        self,
        model: BoosterModel,
        metrics: Mapping[str, float],
        documents: Mapping[str, bytes] | None = None,
        description: str = "",
    ) -> Registered:
        """Keeps a model with its measures; it does not answer before it is promoted.

        A version that is registered already is not kept twice, and not if another machine registers it meanwhile.

        Args:
            model: the model; its manifest is kept with it.
            metrics: its measures by name.
            documents: pictures, model card, signature, by file name.
            description: Markdown that MLflow shows on the version's page, which takes 5,000 characters of it.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        with self._reached():
            made = self._find(model.version) or self._keep(model, metrics, documents or {}, description)
            return self._describe(made)

    def documents(self, version: str) -> dict[str, bytes]:
        """Pictures, model card and signature of a version, by file name.

        Raises:
            ModelNotFound: if it is not registered.
            RegistryUnreachable: if MLflow does not answer.
        """
        made = self._known(version)
        with self._reached(), tempfile.TemporaryDirectory() as folder:
            listed = self._client.list_artifacts(str(made.run_id), _DOCUMENTS)
            there = sorted(each.path for each in listed)
            return {Path(path).name: self._download(made, path, folder).read_bytes() for path in there}

    def judge(self, version: str, verdict: str) -> None:
        """Keeps with a version what became of it when it was held against the champion.

        Raises:
            ModelNotFound: if it is not registered.
            RegistryUnreachable: if MLflow does not answer.
        """
        made = self._known(version)
        with self._reached():
            self._client.set_model_version_tag(NAME, str(made.version), _VERDICT, verdict)

    def describe(self, version: str) -> Registered:
        """What is known of a version.

        Raises:
            ModelNotFound: if it is not registered; names those that are.
            RegistryUnreachable: if MLflow does not answer.
        """
        made = self._known(version)
        with self._reached():
            return self._describe(made)

    def promote(self, version: str, *, instead_of: str | None = None) -> Registered:
        """Makes a version the one that answers, from the next match on; what it replaces is remembered.

        Args:
            version: the model.
            instead_of: the version that it was judged against, or NOBODY: if another one answers by now, or the model
                has been rolled back, it is not promoted. None promotes it whatever has happened.

        Raises:
            ModelNotFound: if it is not registered.
            ChampionChanged: see `instead_of`; then nothing changes.
            RegistryUnreachable: if MLflow does not answer.
            DamagedModel: if its files are missing or changed; then nothing changes.
        """
        self.get(version)  # a model that cannot be loaded must not answer
        with self._reached(), self._alone("champion"):
            made, champion = self._known(version), self._champion()
            if champion is None or champion.version != made.version:
                if instead_of is not None:
                    _ensure_still_due(made, champion, instead_of)
                before = [] if champion is None else [str(champion.version), *_before(champion)]
                numbers = [number for number in before if number != str(made.version)][:_REMEMBERED]
                self._client.set_model_version_tag(NAME, str(made.version), _BEFORE, ",".join(numbers))
                if champion is not None:
                    self._unmark(champion)
                self._client.set_registered_model_alias(NAME, CHAMPION, str(made.version))
                logger.info("model %s is now champion", version)
            self._unmark(made)
            return self._describe(self._known(version))

    def rollback(self, reason: str) -> Registered:
        """Lets the model answer again that answered before the present one, which no training then promotes again.

        One that was rolled back itself, or deleted, is passed over, for the one before it.

        Args:
            reason: why; kept with the version that is rolled back.

        Raises:
            NothingToRollBack: if no model answers, or none answered before it.
            RegistryUnreachable: if MLflow does not answer.
            DamagedModel: if the files of the earlier one are missing or changed; then nothing changes.
        """
        with self._reached(), self._alone("champion"):
            champion = None if self._is_empty else self._champion()
            if champion is None:
                raise NothingToRollBack(f"{self}: no model answers")
            earlier = self._earlier(champion)
            if earlier is None:
                passed = f"none answered before {champion.tags[_VERSION]} that was not rolled back"
                raise NothingToRollBack(f"{self}: {passed}; `gridmotion models promote` takes any")
            self._load(earlier)
            self._client.set_model_version_tag(NAME, str(champion.version), _ROLLED_BACK, reason)
            self._client.set_registered_model_alias(NAME, CHAMPION, str(earlier.version))
            logger.info("model %s is champion again", earlier.tags[_VERSION])
            return self._describe(earlier)

    def answering(self) -> str:
        """The version that answers now, whether its files can be read or not; NOBODY if there is none.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        if self._is_empty:
            return NOBODY
        with self._reached():
            champion = self._champion()
        return NOBODY if champion is None else str(champion.tags[_VERSION])

    @contextmanager
    def training(self) -> Iterator[None]:
        """Keeps other trainings of this machine waiting until this one is registered, or its process has died.

        Trainings of several machines at once cost time and nothing else: of one set of rows one version is kept
        (`register`), of several sets each is judged, and promoted only in place of the champion that it was judged
        against (`promote`).
        """
        with self._alone("training"):
            yield

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Keeps other processes of this machine waiting that do the same."""
        if self.artifact_root is None:
            yield
            return
        self.artifact_root.mkdir(parents=True, exist_ok=True)
        with (self.artifact_root / f"{what}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

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
        number = int(found.version)
        if number not in self._champions:  # what a version is never changes, so it is read once
            self._champions = {number: self._load(found)}
        return self._champions[number]

    def get(self, version: str) -> BoosterModel:
        """The model of that version.

        Raises:
            ModelNotFound: if it is not registered; names those that are.
            RegistryUnreachable: if MLflow does not answer.
            DamagedModel: if its files are missing or changed.
        """
        return self._load(self._known(version))

    def of_version(self, version: str) -> IntentModel:
        """The model of that version, of which one is the prior; errors as of `get`."""
        prior = PriorModel.configured()
        return prior if prior.version == version else self.get(version)

    def versions(self) -> list[Registered]:
        """All registered models, oldest first.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        if self._is_empty:
            return []
        with self._reached():
            found = self._client.search_model_versions(f"name = '{NAME}'")
            first: dict[str, ModelVersion] = {}  # a process killed on the way may have left a version twice
            for each in sorted(found, key=lambda each: int(each.version)):
                first.setdefault(each.tags[_VERSION], each)
            return [self._describe(each) for each in first.values()]

    def __str__(self) -> str:
        """The tracking address without its secrets."""
        return without_secrets(self.tracking_uri)

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
            text = redacted(str(error), self.tracking_uri)
            cause = error if text == str(error) else None  # a traceback would show what the text hides
            raise RegistryUnreachable(f"MLflow at {self}: {text}; check MLFLOW_TRACKING_URI") from cause

    def _keep(
        self, model: BoosterModel, metrics: Mapping[str, float], documents: Mapping[str, bytes], description: str
    ) -> "ModelVersion":
        files = model.files()
        tags = {_VERSION: model.version} | {name: hashlib.sha256(files[name]).hexdigest() for name in FILES}
        experiment = self._experiment()
        self._end_unfinished(experiment, model.version)
        run = self._client.create_run(experiment, tags=tags, run_name=model.version)
        self._client.log_batch(run.info.run_id, metrics=_metrics(metrics))
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**files, **documents}.items():
                path = Path(folder, name)
                path.write_bytes(content)
                self._client.log_artifact(run.info.run_id, str(path), _FOLDER if name in files else _DOCUMENTS)
        self._client.set_terminated(run.info.run_id)
        self._ensure_registered_model()
        if found := self._find(model.version):  # by another training, on another machine
            return found
        source = f"{run.info.artifact_uri}/{_FOLDER}"
        made = self._client.create_model_version(
            NAME, source, run_id=run.info.run_id, tags=tags, description=_shortened(description) or None
        )
        # MLflow creates a version whatever there is. Who registers looks after it has: of two that do so at once the
        # one with the lower number stands, which both see, and nobody ever got the other one by its name.
        first = self._find(model.version) or made
        if first.version != made.version:
            self._client.delete_model_version(NAME, str(made.version))
        return first

    def _end_unfinished(self, experiment: str, version: str) -> None:
        """Marks the runs of this version that were killed before it was registered."""
        left = f"attributes.status = 'RUNNING' and tags.{_VERSION} = '{version}'"
        for run in self._client.search_runs([experiment], left):
            self._client.set_terminated(run.info.run_id, "KILLED")

    @contextmanager
    def runs(self, experiment: str) -> Iterator[tuple["MlflowClient", str]]:
        """MLflow's client, and its id of an experiment, which is made if need be.

        Raises:
            RegistryUnreachable: if MLflow does not answer, now or while it is asked.
        """
        with self._reached():
            yield self._client, self._experiment(experiment)

    def _experiment(self, name: str = NAME) -> str:
        from mlflow.exceptions import MlflowException

        if experiment := self._client.get_experiment_by_name(name):
            return str(experiment.experiment_id)
        location = None if self.artifact_root is None else (self.artifact_root / name).as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=location))
        except MlflowException:
            if experiment := self._client.get_experiment_by_name(name):  # another training made it meanwhile
                return str(experiment.experiment_id)
            raise

    def _ensure_registered_model(self) -> None:
        from mlflow.exceptions import MlflowException

        named = f"name = '{NAME}'"
        if not self._client.search_registered_models(named):
            try:
                self._client.create_registered_model(NAME)
            except MlflowException:
                if not self._client.search_registered_models(named):
                    raise

    def _find(self, version: str) -> "ModelVersion | None":
        found = self._client.search_model_versions(f"name = '{NAME}'")
        mine = [each for each in found if each.tags.get(_VERSION) == version]
        return min(mine, key=lambda each: int(each.version), default=None)

    def _champion(self) -> "ModelVersion | None":
        models = self._client.search_registered_models(f"name = '{NAME}'")
        number = models[0].aliases.get(CHAMPION) if models else None
        return None if number is None else self._client.get_model_version(NAME, str(number))

    def _earlier(self, champion: "ModelVersion") -> "ModelVersion | None":
        """The latest that answered before it, was not rolled back, and was not deleted in MLflow."""
        answered = (self._numbered(number) for number in _before(champion))
        return next((each for each in answered if each is not None and not each.tags.get(_ROLLED_BACK)), None)

    def _numbered(self, number: str) -> "ModelVersion | None":
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(NAME, number)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _unmark(self, answers: "ModelVersion") -> None:
        if answers.tags.get(_ROLLED_BACK):
            self._client.set_model_version_tag(NAME, str(answers.version), _ROLLED_BACK, "")

    def _known(self, version: str) -> "ModelVersion":
        found = None
        if not self._is_empty:  # as of `champion`
            with self._reached():
                found = self._find(version)
        if found is None:
            others = ", ".join(known.version for known in self.versions()) or "none"
            raise ModelNotFound(
                f"no model {version} in {self}; registered: {others}; train one with `gridmotion train`"
            )
        return found

    def _metrics(self, version: "ModelVersion") -> dict[str, float]:
        return dict(self._client.get_run(str(version.run_id)).data.metrics)

    def _describe(self, version: "ModelVersion") -> Registered:
        champion = self._champion()
        answers = champion is not None and int(champion.version) == int(version.version)
        return Registered(
            version=version.tags[_VERSION],
            number=int(version.version),
            champion=answers,
            metrics=self._metrics(version),
            verdict=version.tags.get(_VERDICT, ""),
            rolled_back="" if answers else version.tags.get(_ROLLED_BACK, ""),
        )

    def _load(self, version: "ModelVersion") -> BoosterModel:
        name = f"model {version.tags[_VERSION]} (MLflow {NAME} {version.version})"
        advice = "restore its artefacts, or train again with `gridmotion train`"
        with self._reached(), tempfile.TemporaryDirectory() as folder:
            listed = self._client.list_artifacts(str(version.run_id), _FOLDER)
            there = {Path(each.path).name for each in listed}
            missing = [file for file in FILES if file not in there]
            if len(missing) == len(FILES):  # a disk that is not mounted looks like this
                wanted = "mount its folder, restore them, or let another model answer (`gridmotion models promote`)"
                raise RegistryUnreachable(f"{name}: none of its files is there; {wanted}")
            if missing:
                raise DamagedModel(f"{name}: {', '.join(missing)} is missing; {advice}")
            files = {file: self._download(version, f"{_FOLDER}/{file}", folder).read_bytes() for file in FILES}
        for file, content in files.items():
            if hashlib.sha256(content).hexdigest() != version.tags.get(file):
                raise DamagedModel(f"{name}: {file} is not the file that was registered; {advice}")
        try:
            return BoosterModel.from_files(files)
        except UnusableModel as error:
            raise DamagedModel(f"{name}: {error}; {advice}") from error

    def _download(self, version: "ModelVersion", path: str, folder: str) -> Path:
        return Path(self._client.download_artifacts(str(version.run_id), path, folder))


def _shortened(description: str) -> str:
    if len(description) <= _LONGEST_DESCRIPTION:
        return description
    rest = "\n\n(cut here; the whole of it is among the documents)\n"
    return description[: _LONGEST_DESCRIPTION - len(rest)].rpartition("\n")[0] + rest


def _before(version: "ModelVersion") -> list[str]:
    return [number for number in version.tags.get(_BEFORE, "").split(",") if number not in ("", "0")]


def _ensure_still_due(made: "ModelVersion", champion: "ModelVersion | None", instead_of: str) -> None:
    version, answers = made.tags[_VERSION], NOBODY if champion is None else champion.tags[_VERSION]
    if why := made.tags.get(_ROLLED_BACK):
        raise ChampionChanged(f"{version} was rolled back since it was judged: {why}")
    if answers != instead_of:
        raise ChampionChanged(f"{version} was judged against {instead_of}, but by now {answers} answers: train again")


def _metrics(metrics: Mapping[str, float]) -> "list[Metric]":
    from mlflow.entities import Metric

    return [Metric(name, value, timestamp=0, step=0) for name, value in metrics.items()]


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
