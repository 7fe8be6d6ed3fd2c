"""Which wrong labels are made: the kind, the rate, and where the confusions come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.enums import NoiseKind
from rsretrieve.errors import InvalidArgument

FROM_MODEL = "from-model"
NO_NOISE = "none"
_FORM = "uniform:RATE, table:TABLE:RATE, table:from-model:MODEL:RATE, instance:MODEL:RATE or none"


@dataclass(frozen=True)
class NoiseChoice:
    """How labels are made wrong on purpose.

    Attributes:
        kind: uniform, by a table, or by instance.
        rate: share of wrong labels, 0…1.
        table: a published table, a file, or `from-model`; only of the kind `table`.
        model: the model whose confusions are taken; only of the kinds that need one.
        exact: make exactly this share wrong, instead of each label with this probability.

    Raises:
        InvalidArgument: the rate is outside 0…1, or the kind lacks something or has too much.
    """

    kind: NoiseKind
    rate: float
    table: str | None = None
    model: Path | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.rate <= 1 and math.isfinite(self.rate)):
            raise InvalidArgument(f"a noise rate must be in 0…1, not {self.rate}")
        if self.by_table != (self.table is not None):
            raise InvalidArgument(
                "--kind table needs --table TABLE, and --table needs --kind table",
                hint="a table is aid, nwpu-resisc45, a CSV file (from,to,share) or from-model",
            )
        needs_model = self.kind is NoiseKind.INSTANCE or self.table == FROM_MODEL
        if needs_model != (self.model is not None):
            raise InvalidArgument(
                "--kind instance needs --model DIR, and so does --table from-model; --model needs "
                "one of them"
            )

    @property
    def by_table(self) -> bool:
        """Whether the class of a tile decides what its label becomes."""
        return self.kind in (NoiseKind.TABLE, NoiseKind.LABEL_DEPENDENT)

    @classmethod
    def parse(cls, text: str) -> NoiseChoice | None:
        """Parse a noise such as `uniform:0.3` or `table:aid:0.3`; None for `none`.

        Raises:
            InvalidArgument: it is of another form.

        >>> NoiseChoice.parse("uniform:0.3").rate
        0.3
        """
        if text == NO_NOISE:
            return None
        kind, *between, rate = text.split(":") if ":" in text else (text, "")
        if kind not in {*NoiseKind}:
            raise InvalidArgument(f"{text!r} is no label noise", hint=f"give {_FORM}")
        middle = ":".join(between)
        try:
            share = float(rate)
        except ValueError:
            raise InvalidArgument(
                f"{text!r} ends with no rate between 0 and 1", hint=f"give {_FORM}"
            ) from None
        table, model = (None, middle) if kind == NoiseKind.INSTANCE else (middle or None, "")
        if table is not None and table.startswith(f"{FROM_MODEL}:"):
            table, model = FROM_MODEL, table.removeprefix(f"{FROM_MODEL}:")
        try:
            return cls(NoiseKind(kind), share, table, Path(model) if model else None)
        except InvalidArgument as error:
            raise InvalidArgument(f"{text!r} is no label noise", hint=f"give {_FORM}") from error
