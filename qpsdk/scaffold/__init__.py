"""Samples to start from; `config` is a config directory that works as it is."""
