//! Which datagrams are lost.

use crate::rng::Rng;

/// A model of loss. Probabilities are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// Nothing is lost.
    #[default]
    None,
    /// Each datagram on its own.
    Random(f64),
    /// Bursts: a good and a bad state, each with its own loss (Gilbert 1960, Elliott 1963).
    GilbertElliott {
        /// Per datagram, from the good state to the bad one.
        good_to_bad: f64,
        /// Per datagram, from the bad state to the good one.
        bad_to_good: f64,
        /// Loss in the good state.
        loss_good: f64,
        /// Loss in the bad state.
        loss_bad: f64,
    },
}

/// A model with its state.
#[derive(Debug, Clone)]
pub(crate) struct LossState {
    model: Loss,
    is_bad: bool,
}

impl LossState {
    pub(crate) fn new(model: Loss) -> Self {
        Self { model, is_bad: false }
    }

    pub(crate) fn loses(&mut self, rng: &mut Rng) -> bool {
        match self.model {
            Loss::None => false,
            Loss::Random(probability) => rng.chance(probability),
            Loss::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad } => {
                let change = if self.is_bad { bad_to_good } else { good_to_bad };
                self.is_bad ^= rng.chance(change);
                rng.chance(if self.is_bad { loss_bad } else { loss_good })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(model: Loss) -> Vec<bool> {
        let mut rng = Rng::new(1);
        let mut state = LossState::new(model);
        (0..100_000).map(|_| state.loses(&mut rng)).collect()
    }

    #[test]
    fn random_loss_has_the_given_rate() {
        let lost = losses(Loss::Random(0.1)).iter().filter(|lost| **lost).count();
        assert!((9_500..10_500).contains(&lost), "{lost}");
    }

    #[test]
    fn bursts_are_longer_than_chance() {
        let bursty =
            losses(Loss::GilbertElliott { good_to_bad: 0.01, bad_to_good: 0.2, loss_good: 0.0, loss_bad: 1.0 });
        let lost = bursty.iter().filter(|lost| **lost).count();
        let runs = bursty.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = lost as f64 / runs as f64;
        assert!((4.0..6.0).contains(&mean), "{mean}");
    }
}
