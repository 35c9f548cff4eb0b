//! Fuzzing on the stable toolchain: targets, corpora, a seeded mutator and the loop that runs them.
//!
//! A target is a function that must not panic, loop or contradict itself on any bytes. Its corpus is the folder
//! `corpus/<target>`: `gen-*` files come from [`seeds`], anything else was captured or found. `cargo test -p fuzz` replays
//! all of it, `cargo run -p fuzz -- all --seconds 60 --seed 1` mutates it, `cargo run -p fuzz -- generate` rewrites `gen-*`.

pub mod campaign;
pub mod corpus;
pub mod mutate;
pub mod operations;
pub mod outcome;
pub mod relay_world;
pub mod rng;
pub mod seeds;
pub mod targets;
mod watchdog;
pub mod world;
