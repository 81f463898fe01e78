"""What fitted models say of samples: codes, classes, outcomes, completed tables."""
