"""The recipe of a training of four steps."""

from spon import schedule

RECIPE = schedule.Recipe(
    blocks=4,
    held_out_blocks=1,
    order="random",
    epochs=2,
    batch_blocks=2,
    measure_every=3,
    learning_rate=1e-2,
    schedule="constant",
    plateau={"improvement": 0.1, "cuts": 1, "factor": 0.5},
    chunk_tokens=5,
    parametrisation="bias",
    checkpointing=False,
    compile=False,
)
