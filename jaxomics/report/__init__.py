"""`report.html`: what a run did, how good it is, what drives it."""
