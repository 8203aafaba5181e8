"""A question for models: are all diagnoses of an admission of a kind.

Six families of models learn it from real admissions with more than one
diagnosis, under joblib's backend for Dask. How many tasks reach the cluster
depends on the model alone.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from parallel_ai.many_machines.bigger_than_memory.layouts import chapter

if TYPE_CHECKING:
    from distributed import Client

SECONDARY = [f"DIAGSEC{number}" for number in range(1, 10)]
CODES = ("ESPEC", "CAR_INT", "RACA_COR", "COMPLEX", "PROC_REA")
GROUP = 4  # digits that name a procedure's group and subgroup
RARE = 20  # rows: rarer codes get no column of their own
AMOUNTS = ("AGE", "DIAS_PERM", "QT_DIARIAS", "UTI_MES_TO", "VAL_TOT", "MORTE")
# All that a model may be given; none of it names a diagnosis or a person.
WANTED = ["DIAG_PRINC", *SECONDARY, *AMOUNTS, *CODES, "SEXO"]
Parts = tuple[Any, Any, Any, Any]  # X_train, X_test, y_train, y_test


def several(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the admissions that have a secondary diagnosis."""
    return frame[frame[SECONDARY].notna().any(axis=1)]


def mixed(frame: pd.DataFrame) -> np.ndarray:
    """Say for each admission: codes of different chapters (1), or of one (0).

    The chapters of ICD-10 are its coarsest groups.
    """
    main = frame["DIAG_PRINC"].map(chapter, na_action="ignore")
    found = np.zeros(len(frame), bool)
    for name in SECONDARY:
        other = frame[name].map(chapter, na_action="ignore")
        found |= (other.notna() & (other != main)).to_numpy(bool)
    return found.astype(int)


def features(frame: pd.DataFrame, leak: bool = False) -> pd.DataFrame:
    """List what a model may know: amounts, and a column for each common code.

    Parameters
    ----------
    frame : DataFrame
        With `WANTED`.
    leak : bool
        Add the chapters of main and first secondary diagnosis, from which
        the label was made. To see what happens.

    Returns
    -------
    DataFrame of float32
    """
    columns: dict[str, Any] = {name: frame[name] for name in AMOUNTS}
    columns["female"] = frame["SEXO"] == "3"
    kinds = {name: frame[name].str[:GROUP] for name in CODES}
    if leak:
        for name in ("DIAG_PRINC", SECONDARY[0]):
            kinds[name] = frame[name].map(chapter, na_action="ignore")
    for name, codes in kinds.items():
        counts = codes.value_counts()
        for code in sorted(counts[counts >= RARE].index):
            columns[f"{name} {code}"] = codes == code
    table = pd.DataFrame(columns, index=frame.index)
    return table.fillna(0).astype(np.float32)


def divide(X: Any, y: Any, seed: int = 0) -> Parts:
    """Divide 70 to 30, with the same share of both classes in each part."""
    from sklearn.model_selection import train_test_split

    return tuple(
        train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    )


def resample(X: Any, y: Any, seed: int = 0) -> tuple[Any, Any]:
    """Repeat rows of the rarer class until both are equally frequent."""
    rng = np.random.default_rng(seed)
    y = np.asarray(y)
    rare = int(y.mean() < 0.5)
    missing = int((y != rare).sum() - (y == rare).sum())
    again = rng.choice(np.flatnonzero(y == rare), missing)
    rows = np.concatenate([np.arange(len(y)), again])
    return X.iloc[rows], y[rows]


def candidates(seed: int = 0) -> dict[str, Any]:
    """Six families of models, and one of them in two sizes."""
    from sklearn.ensemble import (
        AdaBoostClassifier,
        BaggingClassifier,
        GradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    return {
        "logistic regression": make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=1000)
        ),
        "tree of depth 2": DecisionTreeClassifier(
            max_depth=2, random_state=seed
        ),
        "AdaBoost": AdaBoostClassifier(random_state=seed),
        "gradient boosting": GradientBoostingClassifier(
            n_estimators=100, random_state=seed
        ),
        "bagging, 10 trees": BaggingClassifier(
            n_estimators=10, random_state=seed
        ),
        "forest, 2 trees": RandomForestClassifier(
            n_estimators=2, random_state=seed
        ),
        "forest, 100 trees": RandomForestClassifier(
            n_estimators=100, random_state=seed
        ),
    }


@dataclass(frozen=True)
class Judgement:
    """How a model did on rows that it had never seen.

    Attributes
    ----------
    model : estimator
        Fitted.
    tasks : int
        That the scheduler saw while it was fitted and asked.
    seconds : float
        Of fitting.
    accuracy : float
        Share of right answers.
    recall : float
        Share of class 0 that was recognised.
    auc : float
        Area under the ROC curve.
    confusion : array of int, shape (2, 2)
        Rows: true class; columns: answer.
    roc : tuple of array
        False and true positive rates.
    """

    model: Any
    tasks: int
    seconds: float
    accuracy: float
    recall: float
    auc: float
    confusion: np.ndarray
    roc: tuple[np.ndarray, np.ndarray]


@contextmanager
def on_cluster(client: "Client") -> Iterator[list[str]]:
    """Send what joblib divides to a cluster; list the tasks it sent.

    The list is filled when the block has ended.
    """
    import joblib

    from parallel_ai.toolbox import cluster

    keys: list[str] = []
    with (
        cluster.watched(client) as spans,
        joblib.parallel_config(backend="dask", client=client),
    ):
        yield keys
    done = (span.key for span in spans if span.action == "compute")
    keys.extend(dict.fromkeys(done))


def judge(model: Any, parts: Parts, client: "Client") -> Judgement:
    """Fit a model, under joblib's backend for Dask, and test it."""
    from sklearn import metrics

    X_train, X_test, y_train, y_test = parts
    with on_cluster(client) as sent:
        begun = time.perf_counter()
        model.fit(X_train, y_train)
        taken = time.perf_counter() - begun
        share = model.predict_proba(X_test)[:, 1]
        answer = model.predict(X_test)
    confusion = metrics.confusion_matrix(y_test, answer, labels=[0, 1])
    rates = metrics.roc_curve(y_test, share)[:2]
    return Judgement(
        model=model,
        tasks=len(sent),
        seconds=taken,
        accuracy=float(np.mean(answer == y_test)),
        recall=float(confusion[0, 0] / confusion[0].sum()),
        auc=float(metrics.roc_auc_score(y_test, share)),
        confusion=confusion,
        roc=rates,
    )


def importances(model: Any, names: list[str]) -> pd.Series:
    """How much each feature does for a model of trees, the largest first."""
    return pd.Series(model.feature_importances_, names).sort_values(
        ascending=False
    )


def cross_validate(
    models: Mapping[str, Any], parts: Parts, client: "Client", folds: int = 5
) -> tuple[dict[str, float], int]:
    """Validate models by folds: the loop *around* the models is divided.

    Returns
    -------
    dict of str to float
        Mean area under the ROC curve.
    int
        Tasks that the scheduler saw.
    """
    from sklearn.model_selection import cross_val_score

    X, _, y, _ = parts
    with on_cluster(client) as sent:
        scores = {
            name: float(
                cross_val_score(
                    model, X, y, cv=folds, scoring="roc_auc"
                ).mean()
            )
            for name, model in models.items()
        }
    return scores, len(sent)
