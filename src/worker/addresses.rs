use std::fmt;

use hyperfake_predictor::Result;

use super::InstanceId;

/// Gives instances addresses of their own, for one worker. Implemented by what serves them.
pub trait Addresses: fmt::Debug + Send + Sync {
    /// Gives an instance an address that no other one has, and returns the address's number.
    ///
    /// # Errors
    ///
    /// `Exhausted` when all are taken.
    fn assign(&self, instance: InstanceId) -> Result<u32>;

    /// The instance that had this address is gone.
    fn release(&self, address: u32);
}
