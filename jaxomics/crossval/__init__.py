"""Cross-validation: honest predictions of every fold, their scores, settings chosen in folds."""
