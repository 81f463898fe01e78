"""Scripts that write fixtures run where PyTorch is, once."""

collect_ignore_glob = ["make_*.py"]
