"""The report as a beginner writes it: right, readable, and slow."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

KEYS = ["carrier", "part", "weekend"]


def report(
    files: Sequence[Path],
    read: Callable[[Sequence[Path]], pd.DataFrame],
    features: Callable[[pd.DataFrame], pd.DataFrame],
    aggregate: Callable[[pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    """Tell for each airline, part of the day and kind of day how late it is.

    Parameters
    ----------
    files : sequence of Path
        A month of flights each, CSV, gzipped.
    read, features, aggregate : callable
        The three stages; each exists in a slow and in a fast form.

    Returns
    -------
    DataFrame, indexed by carrier, part (of the day) and weekend
        flights (their number), late (share with more than 15 minutes),
        delay (mean, minutes) and speed (mean, km/h) of those that arrived.
    """
    return aggregate(features(read(files)))


def read_growing(files: Sequence[Path]) -> pd.DataFrame:
    """Read all months into one table that grows month by month."""
    table = pd.DataFrame()
    for file in files:
        table = pd.concat([table, pd.read_csv(file)], ignore_index=True)
    return table


def on_weekend(flight: pd.Series) -> bool:
    """Tell whether a flight left on a Saturday or a Sunday."""
    date = f"{flight.year}-{flight.month}-{flight.day}"
    return datetime.strptime(date, "%Y-%m-%d").weekday() >= 5


def part_of_day(flight: pd.Series) -> str:
    """Name the quarter of the day in which a flight left."""
    if flight.dep_time < 600:
        return "night"
    if flight.dep_time < 1200:
        return "morning"
    if flight.dep_time < 1800:
        return "afternoon"
    return "evening"


def features_by_row(flights: pd.DataFrame) -> pd.DataFrame:
    """Add what the report needs, flight by flight."""
    table = flights.dropna(subset=["arr_delay"]).copy()
    table["weekend"] = table.apply(on_weekend, axis=1)
    table["part"] = table.apply(part_of_day, axis=1)
    late, speed = [], []
    for delay in table.arr_delay:
        late.append(delay > 15)
    for miles, minutes in zip(table.distance, table.air_time, strict=True):
        speed.append(1.609344 * miles / (minutes / 60))
    table["late"], table["speed"] = late, speed
    return table


def aggregate_by_filter(table: pd.DataFrame) -> pd.DataFrame:
    """Search the whole table for the flights of each group."""
    rows = []
    for carrier in table.carrier.unique():
        for part in table.part.unique():
            for weekend in (False, True):
                group = table[
                    (table.carrier == carrier)
                    & (table.part == part)
                    & (table.weekend == weekend)
                ]
                if len(group):
                    rows.append(
                        {
                            "carrier": carrier,
                            "part": part,
                            "weekend": weekend,
                            "flights": len(group),
                            "late": group.late.mean(),
                            "delay": group.arr_delay.mean(),
                            "speed": group.speed.mean(),
                        }
                    )
    return pd.DataFrame(rows).set_index(KEYS).sort_index()
