"""From a cohort to trained networks: what is prepared, told to the model, and fitted."""
