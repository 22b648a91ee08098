use std::sync::atomic::{AtomicU64, Ordering};

use hyperfake_predictor::Prediction;

/// The CPU and memory that the running calls hold.
///
/// Both are counted in whole units (millionths of a core, bytes), so that the sums do not depend
/// on the order of the calls and come back to exactly zero.
#[derive(Debug, Default)]
pub struct Ledger {
    cpu_micro_cores: AtomicU64,
    ram_bytes: AtomicU64,
}

impl Ledger {
    /// Takes what a call was predicted to hold. It is given back when the reservation is
    /// dropped, however the call ends.
    pub fn reserve(&self, prediction: &Prediction) -> Reservation<'_> {
        let reservation = Reservation {
            ledger: self,
            cpu_micro_cores: (prediction.cpu_cores * 1e6 + 0.5) as u64, // rounded
            ram_bytes: prediction.ram_bytes,
        };
        self.cpu_micro_cores.fetch_add(reservation.cpu_micro_cores, Ordering::Relaxed);
        self.ram_bytes.fetch_add(reservation.ram_bytes, Ordering::Relaxed);
        reservation
    }

    /// CPU in use, in cores.
    pub fn cpu_cores(&self) -> f64 {
        self.cpu_micro_cores.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Memory in use, in bytes.
    pub fn ram_bytes(&self) -> u64 {
        self.ram_bytes.load(Ordering::Relaxed)
    }
}

/// A call's share of the ledger.
#[derive(Debug)]
#[must_use = "dropping it gives the resources back"]
pub struct Reservation<'a> {
    ledger: &'a Ledger,
    cpu_micro_cores: u64,
    ram_bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.ledger.cpu_micro_cores.fetch_sub(self.cpu_micro_cores, Ordering::Relaxed);
        self.ledger.ram_bytes.fetch_sub(self.ram_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_was_reserved_the_ledger_returns_to_exactly_zero(
            calls in prop::collection::vec((0.0..1e3f64, 0u64..1 << 40), 0..50),
        ) {
            let ledger = Ledger::default();
            let held: Vec<_> = calls
                .iter()
                .map(|&(cpu_cores, ram_bytes)| {
                    ledger.reserve(&Prediction { runtime: Duration::ZERO, cpu_cores, ram_bytes })
                })
                .collect();
            let expected: f64 = calls.iter().map(|call| call.0).sum();
            prop_assert!((ledger.cpu_cores() - expected).abs() < 1e-4);
            prop_assert_eq!(ledger.ram_bytes(), calls.iter().map(|call| call.1).sum::<u64>());
            drop(held);
            prop_assert_eq!(ledger.cpu_cores(), 0.0);
            prop_assert_eq!(ledger.ram_bytes(), 0);
        }
    }
}
