//! A network link in virtual time: loss, delay, jitter, reordering, duplication and a rate limit with a queue.
//!
//! Sans I/O and seeded: the same datagrams at the same times give the same deliveries. For tests only.

mod link;
mod loss;
mod rng;

pub use link::{Link, LinkConfig, RateLimit};
pub use loss::Loss;
