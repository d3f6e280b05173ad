"""What all backends have in common that are told in words and know nothing of a path.

Belongs here: the order licence, path, prompt, motion, warp; what each request carries. Does not belong here: any one
server's protocol.
"""

import dataclasses
import re
from typing import ClassVar

from configs.backends import BackendsConfig, load_backends
from configs.base import config_hash
from configs.prompts import load_prompts
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.foreign import Malformed, Motion
from pipeline.motion.keys import clip_key
from pipeline.motion.path import Infeasible
from pipeline.motion.prompts import describe, prompt
from pipeline.motion.warp import Unfit, warp
from resources.motion_backends.errors import BackendError, BadAnswer
from resources.motion_backends.patience import CircuitBreaker, Patience

_PLAIN = re.compile(r"[A-Za-z0-9._+:-]{1,100}")
_SEED_BITS = 31


class PromptedBackend:
    """A backend that is told a prompt and a length, and whose motion is warped onto the path.

    Args:
        config: defaults to `configs/backends.yaml`.
        patience: attempts of one request; by default as configured.
        breaker: by default as configured.
    """

    name: ClassVar[str]
    may_train: ClassVar[bool] = False

    def __init__(
        self,
        config: BackendsConfig | None = None,
        *,
        patience: Patience | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.config = config or load_backends()
        self.patience = patience or Patience(self.config.retries)
        self.breaker = breaker or CircuitBreaker(self.config.breaker)

    def _matters(self) -> str:
        """Configuration that changes what is made; not how long it may take."""
        raise NotImplementedError

    def _where(self) -> str:
        """What else does: an address or a folder, without secrets."""
        raise NotImplementedError

    def _motion(self, text: str, request: ClipRequest, key: str) -> tuple[Motion, dict[str, str]]:
        """The foreign motion, and what is said of its making besides the prompt."""
        raise NotImplementedError

    @property
    def trainable(self) -> bool:
        """Whether any of its clips may train other models; each says so for itself."""
        return self.may_train

    def allowed(self) -> None:
        """Does nothing where its clips may be made and used.

        Raises:
            NotAllowed: if its licence is not accepted.
        """

    def check(self) -> None:
        """Does nothing where it may be asked.

        Raises:
            NotAllowed: if its licence is not accepted.
            NotSetUp: if an address or a folder is missing.
        """

    @property
    def identity(self) -> str:
        """Name, address, and the configuration that changes what it makes."""
        return f"{self.name} {self._where()} {self._matters()} {config_hash(load_prompts(), self.config.warp)}"

    def generate(self, request: ClipRequest) -> Clip:
        """A clip on the requested path.

        Raises:
            Infeasible: when the samples hold a teleport, a gap, or too little; nobody is asked then.
            BackendError: when there is no motion, or one that cannot be put on the path.
        """
        self.check()
        text = prompt(describe(request))
        key = clip_key(request, backend=self.identity)
        return self.breaker.call(lambda: self._warped(text, request, key), about=self.name)

    def _warped(self, text: str, request: ClipRequest, key: str) -> Clip:
        try:
            motion, made_with = self._motion(text, request, key)
            clip = warp(
                motion,
                request,
                backend=self.name,
                trainable=self.may_train and motion.trainable,
                config=self.config.warp,
            )
        except (BackendError, Infeasible):
            raise
        except (Malformed, Unfit) as error:
            raise BadAnswer(f"{self.name}: {error}") from error
        except Exception as error:  # what a server or a file may hold has no end; its words could hold a secret
            raise BadAnswer(f"{self.name}: an answer that cannot be read ({type(error).__name__})") from error
        return dataclasses.replace(clip, made_with={**made_with, "prompt": text})


def seed_of(request: ClipRequest) -> int:
    """The request's seed in 31 bits; never 0, which some servers take for none."""
    return int(request.seed % (2**_SEED_BITS - 1)) + 1


def carried(request: ClipRequest, key: str) -> dict[str, str]:
    """What a request carries besides its body: hashes of ours, in headers, so that a server's log can be joined."""
    told = {
        "Idempotency-Key": key,
        "X-Gridmotion-Segment": request.segment_id,
        "X-Gridmotion-Model": request.model_version,
        "X-Gridmotion-Features": request.features_hash,
    }
    return {name: value for name, value in told.items() if _PLAIN.fullmatch(value)}
