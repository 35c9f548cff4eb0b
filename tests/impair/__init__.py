"""A bad network on this machine: a UDP proxy that loses, delays, reorders, repeats and queues, each by seed.

`python -m tests.impair` for people (docs/bad-networks.md), `tests.impair.proxy.running` for tests. The models and their
words are those of the Rust emulator (`crates/netem`), draw for draw: the same seed gives the same losses in both.
"""
