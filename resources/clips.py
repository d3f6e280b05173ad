"""Clips on order: a segment and its track in, a row of `clips` and three files out, each moment made once.

Belongs here: the cache by `clip_key`, the files of a clip and their order. Does not belong here: how a body moves
(`pipeline.motion`), which moments matter (`pipeline.motion.moments`).

The files of a clip are `motion/<first two digits>/<clip_key>.{glb,png,json}`; the manifest (`.json`) is written last,
so a clip whose manifest is there is whole.
"""

import json
from collections.abc import Callable
from typing import Any

import polars as pl

from pipeline.motion.clip import ClipRequest
from pipeline.motion.gltf import glb
from pipeline.motion.keys import clip_key
from pipeline.motion.manifest import manifest
from pipeline.motion.measures import measure
from pipeline.motion.moments import clip_request
from pipeline.motion.path import Infeasible
from pipeline.motion.preview import contact_sheet, still
from pipeline.tables import conform, empty
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

    def _row(self, moment: dict[str, Any], tracks: pl.DataFrame, log: Callable[[str], None]) -> dict[str, Any]:
        request = clip_request(moment, tracks)
        key = clip_key(request, backend=self.backend.name)
        path = f"motion/{key[:2]}/{key}"
        if self.store.exists(f"{path}.json"):
            record = json.loads(self.store.read(f"{path}.json"))
            log(f"{moment['intent']} of {moment['player']} at {moment['from_ms']} ms: clip {key} was already made")
        else:
            record = self._synthesise(request, moment, key, path)
            self.store.write(f"{path}.json", json.dumps(record, sort_keys=True, indent=1).encode())
        feasible = record["feasible"]
        return {
            **{
                name: moment[name]
                for name in ("segment_id", "match_id", "round", "player", "intent", "from_ms", "to_ms")
            },
            "clip_key": key,
            "interest": moment["interest"],
            "backend": record["backend"],
            "trainable": record["trainable"],
            "feasible": feasible,
            "reason": record["reason"],
            "uri": f"{path}.glb" if feasible else None,
            "preview_uri": f"{path}.png" if feasible else None,
            "manifest_uri": f"{path}.json",
            "measures": json.dumps(record["measures"], sort_keys=True),
            "model_version": moment["model_version"],
        }

    def _synthesise(self, request: ClipRequest, moment: dict[str, Any], key: str, path: str) -> dict[str, Any]:
        origin = {
            "clip_key": key,
            "backend": self.backend.name,
            "trainable": self.backend.trainable,
            "segment_id": moment["segment_id"],
            "model_version": moment["model_version"],
        }
        try:
            clip = self.backend.generate(request)
        except Infeasible as error:
            return manifest(request, origin, feasible=False, reason=str(error), measures={})
        record = manifest(request, origin, feasible=True, reason=None, measures=measure(clip, request))
        self.store.write(f"{path}.glb", glb(clip, record))
        self.store.write(f"{path}.png", still(clip))
        return record
