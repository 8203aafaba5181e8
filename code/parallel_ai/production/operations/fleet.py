"""Teams of workers behind one port, one for each version that comes and goes."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from parallel_ai.production.operations.store import (
    NotTakenError,
    current,
    file_of,
    point,
    take,
)
from parallel_ai.production.serving import (
    Design,
    Model,
    Settings,
    Team,
    listening,
    load_model,
)
from parallel_ai.production.serving.packed import PIXELS


@dataclass(frozen=True)
class Trial:
    """What a worker does before it says that it is ready, and when it ends.

    Attributes
    ----------
    store : Path
    version : str
    warm : "where it answers", "elsewhere" or "no"
        Load and check the model, and call it in the threads that will
        answer, or in the process's first thread alone; or wait with all of
        it for the first client.
    linger : float
        Seconds for which open connections may ask once more.
    """

    store: Path
    version: str
    warm: str = "where it answers"
    linger: float = 0.5


def warm_up(model: Model, design: Design) -> None:
    """Call a model with one row and a full batch, in this thread: too little.

    It is another one that answers, and `Batcher.warm` calls in that one.
    """
    for count in (1, design.max_batch):
        for _ in range(3):
            model.predict(np.zeros((count, PIXELS), np.uint8))


def lazy(name: str, path: Path, version: str) -> Model:
    """Promise a model, and load it when the first client asks: do not."""

    @cache
    def loaded() -> Model:
        return load_model(name, path)

    return Model(name, version, lambda pixels: loaded().predict(pixels))


def models_of(trial: Trial, settings: Settings) -> list[Model]:
    """Load a version and check it; or promise it, where that is shown.

    Raises
    ------
    NotTakenError
        It does not pass.
    """
    name, path = settings.models[0]
    if trial.warm == "no":
        return [lazy(name, path, trial.version)]
    model = take(trial.store, trial.version, name)
    if trial.warm == "elsewhere":
        warm_up(model, settings.design)
    return [model]


class Generation(Team):
    """A team of one version. Nobody replaces its dead: `supervise` does."""

    failure = NotTakenError

    def __init__(self, settings: Settings, trial: Trial) -> None:
        super().__init__(
            settings,
            lambda _: None,
            models=partial(models_of, trial),
            warm=trial.warm == "where it answers",
            linger=trial.linger,
        )
        if self.context.get_start_method() == "forkserver":
            self.context.set_forkserver_preload([__package__])


class Fleet:
    """A port that stays, and teams that come and go behind it.

    The listening socket belongs to nobody but this process. All teams accept
    from it; connections that wait in its queue wait for whoever comes.

    Parameters
    ----------
    store : Path
        Versions, as `publish` has put them there.
    name : str
        What clients ask for.
    """

    def __init__(
        self,
        store: Path,
        name: str = "model",
        design: Design | None = None,
        **trial: Any,
    ) -> None:
        self.store, self.name, self.trial = store, name, trial
        self.design = design or Design(workers=2)
        self.listener = listening(0)
        self.port: int = self.listener.getsockname()[1]
        self.team: Generation | None = None
        self.version = ""

    def __enter__(self) -> Self:
        """Start the current version."""
        try:
            self.change(current(self.store))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let the team finish, and close the port."""
        if self.team is not None:
            self.team.end()
        self.listener.close()

    def change(self, version: str) -> None:
        """Start a team of a version; when all of it is ready, end the old.

        Raises
        ------
        NotTakenError
            The version does not pass; the old team goes on as if nothing
            had been.
        """
        models = [(self.name, file_of(self.store, version))]
        new = Generation(
            Settings(models, self.design),
            Trial(self.store, version, **self.trial),
        )
        try:
            for row in range(self.design.workers):
                new.start(row, self.listener)
        except BaseException:
            new.end()
            raise
        old, self.team, self.version = self.team, new, version
        if old is not None:
            old.end()

    def roll(self, version: str) -> None:
        """Change to a version, and make it the current one."""
        self.change(version)
        point(self.store, version)
