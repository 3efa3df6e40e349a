"""Does the model read word order? On sets where order alone decides, `learned` against `none`; test scored once."""

import time

from machine import machine

from scriptchain import Classifier
from scriptchain.data.tasks import TASKS, generate
from scriptchain.scoring.intervals import accuracy_interval

SETTINGS = {"num_layers": 2, "d_model": 64, "num_heads": 4, "d_feedforward": 256, "max_seq_len": 24, "patience": 0}


def main() -> None:
    print(machine())
    for task in TASKS:
        train, test = generate(task, "train", 2000), generate(task, "test", 200)
        for positions in ("learned", "sinusoidal", "none"):
            options = {} if positions == "none" else {"std" if positions == "learned" else "scale": 0.05}
            start = time.process_time()
            model = Classifier(
                "small", positions=positions, positions_options=options, device="cpu", threads=1, **SETTINGS
            ).fit(*train)
            names = sorted(set(test[1]))
            truth, answers = ([names.index(label) for label in labels] for labels in (test[1], model.predict(test[0])))
            score = accuracy_interval(truth, answers)
            print(
                f"{task:9} {positions:11} accuracy {100 * score['value']:.1f} % "
                f"[{100 * score['low']:.1f}, {100 * score['high']:.1f}]  {time.process_time() - start:.0f} CPU s",
                flush=True,
            )


if __name__ == "__main__":
    main()
