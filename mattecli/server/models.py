"""The network in each precision that is asked for."""

from __future__ import annotations

import threading
from dataclasses import replace

from mattecli.inference.model import Model
from mattecli.inference.precision import settle_precision


class Models:
    """A model, and the same in other precisions; each is loaded once, when it is needed. Safe to use from threads."""

    def __init__(self, model: Model) -> None:
        self.own = model
        self._lock = threading.Lock()
        self._others: dict[str, Model] = {}

    def of(self, precision: str) -> Model:
        """The model in this precision."""
        if precision == self.own.options.precision:
            return self.own
        with self._lock:
            if precision not in self._others:
                self._others[precision] = Model(replace(self.own.options, precision=precision))
            return self._others[precision]

    def settled(self, *, eight_bits: bool) -> Model:
        """The model in the precision of `settle_precision`."""
        return self.of(settle_precision(self.own.options, eight_bits=eight_bits).precision)
