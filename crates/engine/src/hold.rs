//! How long the beginning of a picture waits for the rest, so that both leave in one message to each client (ADR 14).

use std::time::Duration;

/// As long as sending the beginning to so many would take, for that is what waiting saves; zero where that is next to nothing.
pub(crate) fn worthwhile_hold(unfinished_fan_out: u32) -> Duration {
    let hold = (SENDING_TIME * unfinished_fan_out).min(MAX_HOLD);
    if hold < MIN_HOLD { Duration::ZERO } else { hold }
}

/// Shorter than the spread of one frame's packets on most networks.
const MAX_HOLD: Duration = Duration::from_millis(1);
/// Several times what waking up for nothing costs.
const MIN_HOLD: Duration = Duration::from_micros(30);
/// Of one message, for the kernel.
const SENDING_TIME: Duration = Duration::from_micros(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_of_a_picture_for_many_is_worth_waiting_for() {
        let holds = [0, 14, 15, 200, 10_000, u32::MAX].map(|fan_out| worthwhile_hold(fan_out).as_micros());
        assert_eq!(holds, [0, 0, 30, 400, 1_000, 1_000]);
    }
}
