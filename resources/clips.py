"""Clips on order: a segment and its track in, a row of `clips` and three files out, each moment made once.

Belongs here: the cache by `clip_key`, the files of a clip and their order. Does not belong here: how a body moves
(`pipeline.motion`), which moments matter (`pipeline.motion.moments`).

The files of a clip are `motion/<first two digits>/<clip_key>.{glb,png,json}`: they depend on what is synthesised alone,
so any match and any model that ask for the same moment share them. The record (`.json`) is written last and names the
others' hashes, so a clip whose record fits its files is whole. Who asked, and with which model, is in the manifest of
each segment, `manifests/match_id=<id>/<segment_id>.json`.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import polars as pl

from pipeline.motion.clip import ClipRequest
from pipeline.motion.gltf import glb
from pipeline.motion.keys import clip_key
from pipeline.motion.manifest import manifest, path_samples
from pipeline.motion.measures import measure
from pipeline.motion.moments import clip_request
from pipeline.motion.path import Infeasible
from pipeline.motion.preview import contact_sheet, still
from pipeline.tables import conform, empty
from resources.files import FileMissing
from resources.motion_backends import MotionBackend
from resources.store import Store

_CELL_PX = 380  # three of them fill the dialog in which the Dagster UI shows a picture


class ClipStudio:
    """Makes clips with one backend and keeps them in one store.

    Args:
        store: where the files go.
        backend: who synthesises.
        budget: how many clips a match gets without being asked.
    """

    def __init__(self, store: Store, backend: MotionBackend, budget: int) -> None:
        self.store = store
        self.backend = backend
        self.budget = budget

    def make(self, moments: pl.DataFrame, tracks: pl.DataFrame, *, log: Callable[[str], None]) -> pl.DataFrame:
        """One row of `clips` per moment.

        Args:
            moments: rows of `segments` with the column `interest`.
            tracks: the tracks of that match.
            log: told of each clip made, and how many came from the cache.

        Raises:
            StoreError: if the store refuses a file.
        """
        rows = [self._row(moment, tracks, log) for moment in moments.iter_rows(named=True)]
        return conform("clips", pl.DataFrame(rows, schema=empty("clips").schema) if rows else empty("clips"))

    def previews(self, clips: pl.DataFrame, limit: int = 12) -> bytes | None:
        """A contact sheet (JPEG) of the first feasible clips; None when there is none."""
        shown = clips.filter(pl.col("feasible")).head(limit)
        told = shown.select("intent", "interest").rows()
        captions = [" · ".join(dict.fromkeys(words)) for words in told]
        stills = [self.store.read(uri) for uri in shown["preview_uri"]]
        return contact_sheet(stills, captions, cell=_CELL_PX) if stills else None

    def missing(self, clips: pl.DataFrame) -> list[str]:
        """Files that rows of `clips` name and the store does not hold."""
        named = clips.select("uri", "preview_uri", "manifest_uri").rows()
        return [uri for row in named for uri in row if uri is not None and not self.store.exists(uri)]

    def _row(self, moment: dict[str, Any], tracks: pl.DataFrame, log: Callable[[str], None]) -> dict[str, Any]:
        request = clip_request(moment, tracks)
        key = clip_key(request, backend=self.backend.name)
        path = f"motion/{key[:2]}/{key}"
        record = self._kept(path)
        if record is not None:
            log(f"{moment['intent']} of {moment['player']} at {request.from_ms} ms: clip {key} was already made")
        else:
            record = self._synthesise(request, key, path)
        feasible = record["feasible"]
        asked = {name: moment[name] for name in ("segment_id", "match_id", "round", "player", "model_version")}
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
            "trainable": record["trainable"],
            "feasible": feasible,
            "reason": record["reason"],
            "uri": f"{path}.glb" if feasible else None,
            "preview_uri": f"{path}.png" if feasible else None,
            "manifest_uri": manifest_uri,
            "measures": json.dumps(record["measures"], sort_keys=True),
        }

    def _kept(self, path: str) -> dict[str, Any] | None:
        """The record of a clip that is in the store, whole and undamaged."""
        try:
            record: dict[str, Any] = json.loads(self.store.read(f"{path}.json"))
            kept = {name: _sha256(self.store.read(f"{path}.{name}")) for name in record["files"]}
        except (FileMissing, ValueError, KeyError):
            return None
        return record if kept == record["files"] else None

    def _synthesise(self, request: ClipRequest, key: str, path: str) -> dict[str, Any]:
        origin = {"clip_key": key, "backend": self.backend.name, "trainable": self.backend.trainable}
        try:
            clip = self.backend.generate(request)
        except Infeasible as error:  # not kept: its reason tells a time of this match
            return manifest(request, origin, feasible=False, reason=str(error), measures={})
        record = manifest(request, origin, feasible=True, reason=None, measures=measure(clip, request))
        files = {"glb": glb(clip, record), "png": still(clip)}
        for name, data in files.items():
            self.store.write(f"{path}.{name}", data)
        record["files"] = {name: _sha256(data) for name, data in files.items()}
        self.store.write(f"{path}.json", _json(record))
        return record


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
