"""Tables in and out: container, readers, alignment, preprocessing, splits, simulation."""
