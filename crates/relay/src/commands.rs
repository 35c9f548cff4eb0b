//! What the driver wants of allocations, and how they end.

use std::net::IpAddr;

use crate::acl::{self, Acl};
use crate::allocation::{Allocation, Relayed, family_of};
use crate::{
    AllocationId, Configuration, ConnectionId, Family, InstallAllocation, InstallChannel, Outputs, Relay, RelayEvent,
};
use slots::Index;

impl Relay {
    /// Every permission is judged again: what is no longer allowed no longer works.
    pub(crate) fn configure(&mut self, configuration: Configuration, out: &mut impl Outputs) {
        self.acl = Acl::new(&configuration);
        self.limiter.configure(configuration.unauthenticated_per_s);
        self.configuration = configuration;
        for at in self.table.allocated() {
            let missing = self.table.allocation_mut(at).map(|allocation| allocation.rejudge(&self.acl));
            for family in missing.into_iter().flatten() {
                self.bind(at, family, out);
            }
            self.refresh(at, [Family::V4, Family::V6], out);
        }
    }

    // ---- allocations

    pub(crate) fn install_allocation(&mut self, install: &InstallAllocation, out: &mut impl Outputs) {
        let Some(at) = self.table.find_id(install.client) else {
            // It has gone since it asked, or nobody answered it for too long.
            out.event(RelayEvent::ClientGone { client: install.client });
            return;
        };
        if install.relayed.is_empty() || !self.table.install(at, Allocation::new(install)) {
            return;
        }
        if let Some(client) = self.table.client(at).filter(|client| client.address.transport.is_stream()) {
            out.keep_connection(client.address.connection);
        }
    }

    pub(crate) fn remove_allocation(&mut self, allocation: AllocationId, out: &mut impl Outputs) {
        if let Some(at) = self.table.find_allocation(allocation) {
            self.end_allocation(at, out);
            self.table.release(at);
        }
    }

    pub(crate) fn remove_relayed(&mut self, allocation: AllocationId, family: Family, out: &mut impl Outputs) {
        let Some(at) = self.table.find_allocation(allocation) else {
            return;
        };
        if let Some(relayed) = self.table.allocation_mut(at).and_then(|allocation| allocation.take_relayed(family)) {
            self.end_relayed(relayed, out);
            self.refresh(at, [family], out);
        }
    }

    fn end_allocation(&mut self, at: Index, out: &mut impl Outputs) {
        let Some(mut allocation) = self.table.take_allocation(at) else {
            return;
        };
        self.counters.permissions -= allocation.permission_count() as u64;
        self.counters.channels -= allocation.channels.len() as u64;
        for family in [Family::V4, Family::V6] {
            if let Some(relayed) = allocation.take_relayed(family) {
                self.end_relayed(relayed, out);
            }
        }
    }

    fn end_relayed(&mut self, relayed: Relayed, out: &mut impl Outputs) {
        self.table.forget_relayed(relayed.address);
        if relayed.routed {
            out.set_route(relayed.address, None);
        }
        if let Some(socket) = relayed.socket {
            self.table.forget_socket(socket);
            out.close(socket);
        }
    }

    /// With everything on it.
    pub(crate) fn forget_connection(&mut self, connection: ConnectionId, out: &mut impl Outputs) {
        let Some(at) = self.table.find_connection(connection) else {
            return;
        };
        self.end_allocation(at, out);
        let Some(client) = self.table.client_mut(at) else {
            return;
        };
        let (id, exchanges) = (client.id, std::mem::take(&mut client.exchanges));
        for exchange in exchanges {
            self.forget(&exchange);
        }
        self.table.release(at);
        out.event(RelayEvent::ClientGone { client: id });
    }

    // ---- permissions

    pub(crate) fn install_permission(&mut self, id: AllocationId, host: IpAddr, out: &mut impl Outputs) {
        let Some(at) = self.table.find_allocation(id) else {
            return;
        };
        let reason = self.try_permit(at, host, out).err();
        if reason.is_some() {
            // Nothing is left of it, even if it worked before.
            self.remove_permission(id, host, out);
        }
        out.event(RelayEvent::PermissionInstalled { allocation: id, host, reason });
    }

    fn try_permit(&mut self, at: Index, host: IpAddr, out: &mut impl Outputs) -> Result<(), &'static str> {
        let (reach, family) = (self.acl.reach(host), family_of(host));
        if !reach.any() {
            return Err(NOT_ALLOWED);
        }
        let allocation = self.table.allocation_mut(at).ok_or(NO_SOCKET)?;
        let bound = allocation.relayed(family).ok_or(NO_SOCKET)?.socket.is_some();
        if reach.beyond && !bound && !self.bind(at, family, out) {
            return Err(NO_SOCKET);
        }
        if let Some(allocation) = self.table.allocation_mut(at) {
            let before = allocation.permission_count();
            allocation.permit(host, reach);
            self.counters.permissions += (allocation.permission_count() - before) as u64;
        }
        self.refresh(at, [family], out);
        Ok(())
    }

    pub(crate) fn remove_permission(&mut self, id: AllocationId, host: IpAddr, out: &mut impl Outputs) {
        let Some(at) = self.table.find_allocation(id) else {
            return;
        };
        if self.table.allocation_mut(at).is_some_and(|allocation| allocation.forbid(host)) {
            self.counters.permissions -= 1;
            self.refresh(at, [family_of(host)], out);
        }
    }

    // ---- channels

    pub(crate) fn install_channel(&mut self, install: &InstallChannel, out: &mut impl Outputs) {
        let Some(at) = self.table.find_allocation(install.allocation) else {
            return;
        };
        if !wire::channeldata::CHANNELS.contains(&install.channel) {
            return;
        }
        let peer = acl::canonical(install.peer);
        if let Some(allocation) = self.table.allocation_mut(at) {
            self.counters.channels -= allocation.channels.len() as u64;
            allocation.channels.insert(install.channel, peer);
            self.counters.channels += allocation.channels.len() as u64;
        }
        self.refresh(at, [Family::V4, Family::V6], out);
    }

    pub(crate) fn remove_channel(&mut self, id: AllocationId, channel: u16, out: &mut impl Outputs) {
        let Some(at) = self.table.find_allocation(id) else {
            return;
        };
        let removed = self.table.allocation_mut(at).and_then(|allocation| allocation.channels.remove(channel));
        if let Some(channel) = removed {
            self.counters.channels -= 1;
            self.refresh(at, [family_of(channel.peer.ip())], out);
        }
    }

    // ---- sockets and routes

    /// Binds the relay socket of a relayed address, where the configuration says that address is.
    fn bind(&mut self, at: Index, family: Family, out: &mut impl Outputs) -> bool {
        let Some(allocation) = self.table.allocation_mut(at) else {
            return false;
        };
        let dont_fragment = allocation.dont_fragment;
        let Some(address) = allocation.relayed(family).map(|relayed| relayed.address) else {
            return false;
        };
        let hosts = &self.configuration.relay_hosts;
        let Some(host) = hosts.iter().find(|host| host.advertised.to_canonical() == address.ip()) else {
            return false;
        };
        let socket = self.table.name_socket(at, family);
        if out.bind(socket, (host.bind, address.port()).into(), dont_fragment).is_err() {
            self.table.forget_socket(socket);
            return false;
        }
        if let Some(relayed) = self.table.allocation_mut(at).and_then(|allocation| allocation.relayed_mut(family)) {
            relayed.socket = Some(socket);
        }
        true
    }

    /// After any change of an allocation: where its channels lead, and what media sockets know of it.
    fn refresh<const N: usize>(&mut self, at: Index, families: [Family; N], out: &mut impl Outputs) {
        let Some(client) = self.table.client_mut(at) else {
            return;
        };
        let Some(allocation) = client.allocation.as_mut() else {
            return;
        };
        allocation.retarget(&self.acl);
        for family in families {
            let route = allocation.route(family, &client.address);
            let Some(relayed) = allocation.relayed_mut(family) else {
                continue;
            };
            if route.is_some() || relayed.routed {
                relayed.routed = route.is_some();
                out.set_route(relayed.address, route);
            }
        }
    }
}

const NOT_ALLOWED: &str = "not_allowed";
const NO_SOCKET: &str = "no_socket";
