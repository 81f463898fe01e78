"""Simple methods that every deep model stands beside."""
