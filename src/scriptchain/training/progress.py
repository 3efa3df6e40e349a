"""Where a training run stands: one rewritten line on a terminal, a line an epoch elsewhere."""

import time

from ..report import Stream, duration


class Progress:
    """Writes loss, accuracy, rate and time left to `stream`; says nothing without one. `done` steps came before."""

    def __init__(self, stream: Stream | None, epochs: int, steps_per_epoch: int, done: int = 0):
        self._stream = stream
        self._live = stream is not None and stream.isatty()
        self._epochs, self._steps = epochs, steps_per_epoch
        self._start = self._shown = time.monotonic()
        self._rows, self._before = 0, done

    def step(self, epoch: int, step: int, rows: int, loss: float, accuracy: float) -> None:
        """After each optimizer step, counted from the start; `loss` and `accuracy` are the epoch's so far."""
        self._rows += rows
        now = time.monotonic()
        if self._live and now - self._shown >= 0.2:
            self._shown = now
            self._write(f"\r{self._line(epoch, step, loss, accuracy)}\x1b[K")

    def epoch(self, epoch: int, loss: float, accuracy: float, validation: dict[str, float] | None) -> None:
        """At the end of each epoch."""
        line = self._line(epoch, epoch * self._steps, loss, accuracy)
        if validation is not None:
            line += f"  validation macro-F1 {100 * validation['macro_f1']:.1f} %"
        self._write(f"\r{line}\x1b[K\n" if self._live else line + "\n")

    def _line(self, epoch: int, step: int, loss: float, accuracy: float) -> str:
        elapsed = max(1e-9, time.monotonic() - self._start)
        left = elapsed * (self._epochs * self._steps - step) / max(1, step - self._before)
        return (
            f"epoch {epoch}/{self._epochs}  loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  "
            f"{self._rows / elapsed:,.0f} texts/s  at most {duration(left)} left"
        )

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
