"""Training as a pure function: steps, epochs, control, checkpoints."""
