"""Clips on order: a segment and its track in, a row of `clips` and three files out, each moment made once.

Belongs here: the cache by `clip_key`, the files of a clip and their order. Does not belong here: how a body moves
(`pipeline.motion`), which moments matter (`pipeline.motion.moments`).

The files of a clip are `motion/<first two digits>/<clip_key>.{glb,npz,png,webp,json}`: they depend on what is
synthesised alone, so any match and any model that ask for the same moment share them. The record (`.json`) is written
last and names the others' hashes, so a clip whose record fits its files is whole. Who asked, and with which model, is
in the manifest of each segment, `manifests/match_id=<id>/<segment_id>.json`. A moment with several players is
`rendered_moments/match_id=<id>/<round>-<from_ms>-<to_ms>.{glb,webp,json}`.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from pipeline.motion import npz
from pipeline.motion.clip import ClipRequest
from pipeline.motion.film import film
from pipeline.motion.foreign import Motion
from pipeline.motion.gltf import glb, scene_glb
from pipeline.motion.keys import clip_key
from pipeline.motion.manifest import manifest, path_samples
from pipeline.motion.measures import measure
from pipeline.motion.moments import clip_request
from pipeline.motion.path import Infeasible
from pipeline.motion.preview import contact_sheet, still
from pipeline.motion.scene import Moment, Scene, stage, told
from pipeline.tables import conform, empty
from resources.errors import ResourceError
from resources.files import FileMissing
from resources.motion_backends import MotionBackend
from resources.motion_backends.errors import BackendError, BadAnswer
from resources.store import Store

_CELL_PX = 380  # three of them fill the dialog in which the Dagster UI shows a picture
_log = logging.getLogger(__name__)

Trouble = dict[str, str]
"""A backend that was asked before the one that made a clip: its name, and the kind of its trouble."""


class NotTrainable(ResourceError):
    """The clip may not train a model, for ever: its maker's licence says so."""


class ClipStudio:
    """Makes clips and keeps them in one store: what it has made before, then each backend in turn.

    Args:
        store: where the files go.
        backend: who synthesises in the end, and always answers.
        budget: how many clips a match gets without being asked.
        preferred: backends that are asked before, in order; each may fail.

    Attributes:
        fallbacks: how often a backend made no clip, by its name and the kind of its trouble.
        hits: how often a clip was in the store already, by the backend that had made it.
    """

    def __init__(
        self, store: Store, backend: MotionBackend, budget: int, preferred: Sequence[MotionBackend] = ()
    ) -> None:
        self.store = store
        self.backend = backend
        self.budget = budget
        self.preferred = tuple(preferred)
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        self.hits: Counter[str] = Counter()

    @property
    def identity(self) -> str:
        """Names who is asked, and in which order."""
        return " then ".join(backend.identity for backend in (*self.preferred, self.backend))

    def with_budget(self, clips: int) -> "ClipStudio":
        """The same with another number of clips that a match gets without being asked."""
        return ClipStudio(self.store, self.backend, clips, self.preferred)

    def make(
        self,
        moments: pl.DataFrame,
        tracks: pl.DataFrame,
        *,
        log: Callable[[str], None],
        features_hash: str = "",
        deaths: Mapping[str, Sequence[int]] | None = None,
    ) -> pl.DataFrame:
        """One row of `clips` per moment.

        Args:
            moments: rows of `segments` with the column `interest`.
            tracks: the tracks of that match.
            log: told of each clip that was made before, and of each backend that made none.
            features_hash: names the features by which the segments were decided.
            deaths: when each player dies, match time in ms: a clip that ends in a death ends in the fall.

        Raises:
            StoreError: if the store refuses a file.
        """
        rows = [self._row(moment, tracks, deaths, features_hash, log) for moment in moments.iter_rows(named=True)]
        return conform("clips", pl.DataFrame(rows, schema=empty("clips").schema) if rows else empty("clips"))

    def previews(self, clips: pl.DataFrame, limit: int = 12) -> bytes | None:
        """A contact sheet (JPEG) of the first feasible clips; None when there is none."""
        shown = clips.filter(pl.col("feasible")).head(limit)
        told = shown.select("intent", "interest").rows()
        captions = [" · ".join(dict.fromkeys(words)) for words in told]
        stills = [self.store.read(uri.removesuffix("webp") + "png") for uri in shown["preview_uri"]]
        return contact_sheet(stills, captions, cell=_CELL_PX) if stills else None

    def moving(self, clips: pl.DataFrame) -> bytes | None:
        """The animated preview (WebP) of the first feasible clip, which is the most interesting; None without any."""
        uris = clips.filter(pl.col("feasible"))["preview_uri"].head(1).to_list()
        return self.store.read(uris[0]) if uris else None

    def moment(self, moment: Moment, *, match_id: str, round_number: int, provenance: dict[str, Any]) -> dict[str, Any]:
        """Files of a moment with everyone in it, made by the local synthesizer, once.

        Args:
            moment: who does what.
            match_id: the match.
            round_number: the round.
            provenance: what else its files say, JSON-able.

        Returns:
            The record: `uri`, `preview_uri`, its own `record_uri`, `scene` (actors, absent players and why) and what
            made it.

        Raises:
            NobodyThere: if none of its players has a feasible motion.
        """
        keys = [clip_key(request, backend=self.backend.identity) for request in moment.requests]
        asked = {"match_id": match_id, "round": round_number, "from_ms": moment.from_ms, "to_ms": moment.to_ms}
        record = asked | provenance | {"backend": self.backend.name, "trainable": True, "clip_keys": keys}
        record["absent"] = dict(moment.absent)
        path = f"rendered_moments/match_id={match_id}/{round_number}-{moment.from_ms}-{moment.to_ms}"
        kept = self._kept(path)
        if kept is not None and all(kept.get(name) == value for name, value in record.items()):
            return kept
        scene = stage(moment)
        files = {"glb": scene_glb(scene, record), "webp": film(scene)}
        for name, data in files.items():
            self.store.write(f"{path}.{name}", data)
        record |= {"uri": f"{path}.glb", "preview_uri": f"{path}.webp", "record_uri": f"{path}.json"}
        record["scene"] = told(scene)
        record["files"] = {name: _sha256(data) for name, data in files.items()}
        self.store.write(f"{path}.json", _json(record))
        return record

    def missing(self, clips: pl.DataFrame) -> list[str]:
        """Files that rows of `clips` name and the store does not hold."""
        named = clips.select("uri", "npz_uri", "preview_uri", "manifest_uri").rows()
        return [uri for row in named for uri in row if uri is not None and not self.store.exists(uri)]

    def training_motion(self, clip: dict[str, Any]) -> Motion:
        """The motion of a clip, for training a model: whoever reads clips to train on them reads them here.

        Args:
            clip: a row of `clips`.

        Raises:
            NotTrainable: if the row, the record or the file itself says that it may not train anything, or doesn't say
                that it may.
            FileMissing: if the clip has no file.
            Malformed: if its file is damaged.
        """
        if not clip["trainable"] or clip["npz_uri"] is None:
            raise NotTrainable(f"clip {clip['clip_key']} of {clip['backend']} may not train a model")
        record = json.loads(self.store.read(clip["npz_uri"].removesuffix("npz") + "json"))
        motion = npz.read(self.store.read(clip["npz_uri"]))
        if record["trainable"] is not True or record["backend"] != clip["backend"] or not motion.trainable:
            raise NotTrainable(f"clip {clip['clip_key']} of {record['backend']} may not train a model")
        return motion

    def _row(
        self,
        moment: dict[str, Any],
        tracks: pl.DataFrame,
        deaths: Mapping[str, Sequence[int]] | None,
        features_hash: str,
        log: Callable[[str], None],
    ) -> dict[str, Any]:
        request = clip_request(moment, tracks, deaths=deaths)
        request = replace(request, model_version=moment["model_version"], features_hash=features_hash)
        key, record = self._made(request, log)
        path = _path(key)
        feasible = record["feasible"]
        asked = {name: moment[name] for name in ("segment_id", "match_id", "round", "player", "model_version")}
        asked["features_hash"] = features_hash
        span = {"from_ms": request.from_ms, "to_ms": request.to_ms}
        manifest_uri = f"manifests/match_id={moment['match_id']}/{moment['segment_id']}.json"
        self.store.write(
            manifest_uri, _json(record | asked | span | {"interest": moment["interest"], "path": path_samples(request)})
        )
        return {
            **asked,
            **span,
            "intent": moment["intent"],
            "clip_key": key,
            "interest": moment["interest"],
            "backend": record["backend"],
            "fallback": json.dumps(record["fallback"]) if record["fallback"] else None,
            "trainable": record["trainable"],
            "feasible": feasible,
            "reason": record["reason"],
            "uri": f"{path}.glb" if feasible else None,
            "npz_uri": f"{path}.npz" if feasible else None,
            "preview_uri": f"{path}.webp" if feasible else None,
            "manifest_uri": manifest_uri,
            "measures": json.dumps(record["measures"], sort_keys=True),
        }

    def _made(self, request: ClipRequest, log: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        """Key and record of the clip: from the cache, else of the first backend that makes one."""
        troubles: list[Trouble] = []
        for backend in (*self.preferred, self.backend):
            key = _key(request, backend, troubles)
            moment = f"{request.intent} of segment {request.segment_id} at {request.from_ms} ms"
            try:
                backend.allowed()
                record = self._kept(_path(key))
                if record is not None:
                    self.hits[backend.name] += 1
                    log(f"{moment}: clip {key} was already made")
                    return key, record
                return key, self._synthesise(request, backend, key, troubles)
            except BackendError as error:
                if backend is self.backend:
                    raise
                troubles.append({"backend": backend.name, "trouble": error.kind})
                self.fallbacks[backend.name, error.kind] += 1
                log(f"{moment}: {backend.name} made no clip ({error.kind}: {error}); the next is asked")
                _log.warning("%s made no clip (%s): %s", backend.name, error.kind, error)
        raise AssertionError("unreachable: the last backend returns or raises")

    def _kept(self, path: str) -> dict[str, Any] | None:
        """The record of a clip that is in the store, whole and undamaged."""
        try:
            record: dict[str, Any] = json.loads(self.store.read(f"{path}.json"))
            kept = {name: _sha256(self.store.read(f"{path}.{name}")) for name in record["files"]}
        except (FileMissing, ValueError, KeyError):
            return None
        return record if kept == record["files"] else None

    def _synthesise(
        self, request: ClipRequest, backend: MotionBackend, key: str, troubles: list[Trouble]
    ) -> dict[str, Any]:
        origin: dict[str, Any] = {"clip_key": key, "backend": backend.name, "fallback": troubles}
        try:
            clip = backend.generate(request)
        except Infeasible as error:  # not kept: its reason tells a time of this match
            origin["trainable"] = backend.trainable
            return manifest(request, origin, feasible=False, reason=str(error), measures={})
        if clip.trainable and not backend.trainable:
            raise BadAnswer(f"{backend.name} made a clip that says it may train other models, which none of its may")
        origin |= {"trainable": clip.trainable, "made_with": clip.made_with}
        record = manifest(request, origin, feasible=True, reason=None, measures=measure(clip, request))
        files = {"glb": glb(clip, record), "npz": npz.write(clip, record), "png": still(clip)}
        files["webp"] = film(Scene.of(clip))
        path = _path(key)
        for name, data in files.items():
            self.store.write(f"{path}.{name}", data)
        record["files"] = {name: _sha256(data) for name, data in files.items()}
        self.store.write(f"{path}.json", _json(record))
        return record


def _key(request: ClipRequest, backend: MotionBackend, troubles: list[Trouble]) -> str:
    """A clip that stands in for another says so in its files, so it is another clip."""
    before = "".join(f" after {trouble['backend']}: {trouble['trouble']}" for trouble in troubles)
    return clip_key(request, backend=backend.identity + before)


def _path(key: str) -> str:
    return f"motion/{key[:2]}/{key}"


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
