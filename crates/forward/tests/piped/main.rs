//! All of `tests/forwarder` again, with every client on another shard than its neighbours, so that all media goes through
//! pipes: whatever holds on one shard holds on three. And what only pipes have.
#![allow(unreachable_pub)]

#[path = "../forwarder/main.rs"]
mod forwarder;
mod pipes;

use forwarder::support;
