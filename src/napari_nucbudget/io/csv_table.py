"""Tables as people write them: a comma too many at the ends of the rows moves no column."""

from __future__ import annotations

import csv
import warnings
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_csv_table"]


def read_csv_table(text: str, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv` without its rule that what is too much in a row names the row.

    Raises
    ------
    ValueError
        Where the rows have more values than the first line names columns, and something is in
        them: nobody can tell which is which. And as `pandas.read_csv` does.
    """
    import pandas as pd

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        table: pd.DataFrame = pd.read_csv(StringIO(text, newline=""), index_col=False, **options)
    if any(issubclass(w.category, pd.errors.ParserWarning) for w in told):
        rows = csv.reader(StringIO(text, newline=""))
        columns = len(next(rows))
        if any(value.strip() for row in rows for value in row[columns:]):
            raise ValueError(
                "its rows have more values than its first line names columns; "
                "give every column a name"
            )
    return table
