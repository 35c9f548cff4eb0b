//! For tests of what happens when a library panics.

use super::Forwarder;
use crate::TransportId;
use crate::testing::Machine;

impl Forwarder {
    /// From now on this machine of a transport panics whenever it is touched. False when there is no such machine yet.
    pub fn sabotage(&mut self, transport: TransportId, machine: Machine) -> bool {
        let at = self.transport(transport);
        at.and_then(|at| self.transports.get_mut(at)).is_some_and(|entry| entry.transport.sabotage(machine))
    }
}
