"""`bench turn`: what a relayed packet costs a TURN server, ours beside coturn, pion and the floor, in the same run.

bench/README.md has the method; `crates/loadgen/src/turn` is the load, `crates/loadgen/src/relay` the floor.
"""
