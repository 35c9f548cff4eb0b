//! One `recvfrom` and one `sendto` for each packet.

use netio::Poller;
use wire::channeldata::{self, HEADER_LEN};

use super::answer::answer;
use super::table::Table;
use crate::Failure;

/// The buffer of the packet that is being moved.
pub(crate) struct Plain {
    buffer: Box<[u8]>,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into() }
    }

    pub(crate) fn move_from_clients(&mut self, table: &mut Table, poller: &Poller) -> Result<(), Failure> {
        for _ in 0..BATCH {
            let Ok((len, client)) = table.listener.recv_from(&mut self.buffer) else { break };
            let message = &self.buffer[..len];
            match channeldata::parse(message) {
                Ok((number, data)) => {
                    let Some(index) = table.allocation_of(&client) else { continue };
                    let allocation = &table.allocations[index];
                    if let Some(channel) = allocation.channel.filter(|channel| channel.number == number) {
                        // What the kernel does not take is lost, and shows as loss.
                        let _ = allocation.relayed.send_to(data, channel.peer);
                    }
                }
                Err(_) => answer(table, poller, client, message)?,
            }
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // as its sibling
    pub(crate) fn move_from_peers(&mut self, table: &mut Table, index: usize) -> Result<(), Failure> {
        let allocation = &table.allocations[index];
        for _ in 0..BATCH {
            let Ok((len, peer)) = allocation.relayed.recv_from(&mut self.buffer[HEADER_LEN..]) else { break };
            let Some(channel) = allocation.channel.filter(|channel| channel.peer == peer) else { continue };
            self.buffer[..2].copy_from_slice(&channel.number.to_be_bytes());
            self.buffer[2..HEADER_LEN].copy_from_slice(&(len as u16).to_be_bytes());
            let _ = table.listener.send_to(&self.buffer[..HEADER_LEN + len], allocation.client);
        }
        Ok(())
    }
}

const BUFFER_BYTES: usize = 2_048;
/// Packets of one socket before the next has its turn.
const BATCH: usize = 64;
