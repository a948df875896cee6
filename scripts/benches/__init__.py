"""Benches; ``scripts/bench NAME`` calls ``main`` of the module NAME."""
