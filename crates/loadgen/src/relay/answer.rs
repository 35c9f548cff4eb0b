//! Just enough STUN: yes to everything.

use std::io;
use std::net::SocketAddr;

use netio::Poller;
use wire::stun::attribute::{CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS};
use wire::stun::{Class, Message, Method, Writer};

use super::table::{Channel, Table};
use super::watch;

/// Answers a request of a client, by the listener.
pub(crate) fn answer(table: &mut Table, poller: &Poller, client: SocketAddr, request: &[u8]) -> io::Result<()> {
    let Ok(message) = Message::parse(request) else { return Ok(()) };
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer, Class::Success, message.method(), message.transaction_id());
    match message.method() {
        Method::ALLOCATE => {
            writer.xor_address(XOR_RELAYED_ADDRESS, allocate(table, poller, client)?);
            writer.attribute(LIFETIME, &LIFETIME_S.to_be_bytes());
        }
        Method::CHANNEL_BIND => bind(table, client, &message),
        Method::REFRESH => {
            writer.attribute(LIFETIME, &LIFETIME_S.to_be_bytes());
        }
        _ => {}
    }
    let len = writer.xor_mapped_address(client).finish().unwrap_or(0);
    // A full socket loses the answer, and the client asks again.
    let _ = table.listener.send_to(&buffer[..len], client);
    Ok(())
}

fn allocate(table: &mut Table, poller: &Poller, client: SocketAddr) -> io::Result<SocketAddr> {
    let index = if let Some(index) = table.allocation_of(&client) {
        index
    } else {
        let host = SocketAddr::new(table.listener.local_addr()?.ip(), 0);
        let index = table.add(client, host)?;
        watch(poller, &table.allocations[index].relayed, index)?;
        index
    };
    table.allocations[index].relayed.local_addr()
}

fn bind(table: &mut Table, client: SocketAddr, message: &Message<'_>) {
    let number = message.find(CHANNEL_NUMBER).and_then(|value| value.first_chunk());
    let channel = number.zip(message.xor_address(XOR_PEER_ADDRESS));
    if let (Some((number, peer)), Some(index)) = (channel, table.allocation_of(&client)) {
        table.allocations[index].channel = Some(Channel { number: u16::from_be_bytes(*number), peer });
    }
}

const LIFETIME_S: u32 = 3_600;
