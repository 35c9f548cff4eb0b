//! Commands about transports and data. Those about media are in `media_commands`.

use std::time::Instant;

use super::Forwarder;
use super::entry::TransportEntry;
use wire::ext::{ExtensionMap, Uri};

use crate::transport::{ChannelParameters, Remote, Transport, TransportConfig};
use crate::{Command, Event, OpenDataChannel, OpenTransport, PauseData, RestartIce, SendData, SetRemote, TransportId};
use slots::Index;

/// A refused command: which, about what, why.
pub(super) type Refused = (&'static str, u64, &'static str);

impl Forwarder {
    /// Carries out a command; a refusal is an event.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let result = match command {
            Command::OpenTransport(command) => self.open_transport(now, command),
            Command::SetRemote(command) => self.set_remote(now, command),
            Command::RestartIce(command) => self.restart_ice(now, command),
            Command::CloseTransport(command) => {
                self.close_transport(now, command.transport);
                Ok(())
            }
            Command::AddProducer(command) => self.add_producer(&command),
            Command::RemoveProducer(command) => {
                self.remove_producer_by_id(command.producer);
                Ok(())
            }
            Command::AddConsumer(command) => self.add_consumer(now, command),
            Command::ConfigureConsumer(command) => self.configure_consumer(now, command),
            Command::RemoveConsumer(command) => {
                self.remove_consumer_by_id(command.consumer);
                Ok(())
            }
            Command::RequestKeyframe(command) => self.request_keyframes(now, command.producer),
            Command::OpenDataChannel(command) => self.open_data_channel(now, command),
            Command::SendData(command) => {
                self.send_data(now, &command);
                Ok(())
            }
            Command::PauseData(command) => self.pause_data(now, command),
        };
        if let Err((command, id, reason)) = result {
            self.counters.refused += 1;
            self.events.push_back(Event::Refused { command, id, reason });
        }
    }

    fn open_transport(&mut self, now: Instant, command: OpenTransport) -> Result<(), Refused> {
        let refuse = |reason| Err(("OpenTransport", command.transport.0, reason));
        if self.names.transports.contains_key(&command.transport) {
            return refuse("transport_exists");
        }
        if self.names.ufrag(&command.ufrag).is_some() {
            return refuse("ufrag_in_use");
        }
        let config = TransportConfig {
            ufrag: command.ufrag.clone(),
            password: command.password,
            certificate: self.config.certificate.clone(),
            srtp_profiles: self.config.srtp_profiles.clone(),
        };
        let transport = Transport::new(now, config, self.rng.next_u64());
        let local_ssrc = self.rng.next_u64() as u32;
        let at = self.transports.insert(TransportEntry::new(command.transport, transport, local_ssrc));
        self.names.transports.insert(command.transport, at);
        self.names.learn_ufrag(&command.ufrag, at);
        self.counters.transports = self.transports.len() as u64;
        self.settle(now, at);
        Ok(())
    }

    fn set_remote(&mut self, now: Instant, command: SetRemote) -> Result<(), Refused> {
        let refused = |reason| ("SetRemote", command.transport.0, reason);
        let at = self.transport(command.transport).ok_or(refused("unknown_transport"))?;
        let Some(entry) = self.transports.get_mut(at) else { return Ok(()) };
        let remote = Remote {
            ufrag: command.ufrag,
            password: command.password,
            fingerprint: command.fingerprint,
            sctp_port: command.sctp_port,
        };
        let result = entry.transport.set_remote(now, remote).map_err(|refusal| refused(refusal.as_str()));
        if result.is_ok() {
            let extensions = extension_map(&command.extensions);
            let changed = !extensions.iter().eq(entry.extensions.iter());
            entry.extensions = extensions;
            for consumer in entry.consumers.iter().filter(|_| changed) {
                if let Some(consumer) = self.consumers.get_mut(*consumer) {
                    consumer.set_extensions(&entry.extensions);
                }
            }
            // Early DTLS datagrams are handled now.
            self.queue_background(at);
        }
        self.settle(now, at);
        result
    }

    fn restart_ice(&mut self, now: Instant, command: RestartIce) -> Result<(), Refused> {
        let refused = |reason| ("RestartIce", command.transport.0, reason);
        let at = self.transport(command.transport).ok_or(refused("unknown_transport"))?;
        if self.names.ufrag(&command.ufrag).is_some() {
            return Err(refused("ufrag_in_use"));
        }
        self.names.learn_ufrag(&command.ufrag, at);
        if let Some(entry) = self.transports.get_mut(at) {
            entry.transport.restart_ice(now, command.ufrag, &command.password);
        }
        self.settle(now, at);
        Ok(())
    }

    fn close_transport(&mut self, now: Instant, id: TransportId) {
        if let Some(at) = self.transport(id) {
            self.remove_transport(now, at);
        }
    }

    /// Removes a transport and everything on it; its goodbye goes out with the next flush.
    pub(super) fn remove_transport(&mut self, now: Instant, at: Index) {
        let Some(entry) = self.transports.get_mut(at) else { return };
        let producers = std::mem::take(&mut entry.producers);
        let consumers = std::mem::take(&mut entry.consumers);
        for consumer in consumers {
            self.remove_consumer(consumer);
        }
        for producer in producers {
            self.remove_producer(producer);
        }
        let Some(mut entry) = self.transports.remove(at) else { return };
        self.names.transports.remove(&entry.id);
        for ufrag in entry.transport.ufrags() {
            self.names.forget_ufrag(ufrag, at);
        }
        for path in entry.transport.paths() {
            self.names.forget_path(path, at);
        }
        self.deadlines.remove(at);
        self.counters.timers = self.deadlines.len() as u64;
        self.dirty.retain(|dirty| *dirty != at);
        self.background.retain(|waiting| *waiting != at);
        entry.transport.close(now);
        self.farewells.push(entry.transport);
        if self.transports.len() == 0 {
            self.reports_due = None;
        }
        self.counters.transports = self.transports.len() as u64;
    }

    fn open_data_channel(&mut self, now: Instant, command: OpenDataChannel) -> Result<(), Refused> {
        let refused = |reason| ("OpenDataChannel", command.transport.0, reason);
        let at = self.transport(command.transport).ok_or(refused("unknown_transport"))?;
        let Some(entry) = self.transports.get_mut(at) else { return Ok(()) };
        let parameters = ChannelParameters {
            label: command.label,
            ordered: command.ordered,
            max_retransmits: command.max_retransmits,
            stream: command.stream,
        };
        let result = entry.transport.open_channel(now, parameters).map_err(|refusal| refused(refusal.as_str()));
        self.settle(now, at);
        result
    }

    fn send_data(&mut self, now: Instant, command: &SendData) {
        for id in &command.transports {
            let Some(at) = self.transport(*id) else {
                self.counters.data_skipped += 1;
                continue;
            };
            let Some(entry) = self.transports.get_mut(at) else { continue };
            if entry.transport.send_data(now, &command.label, &command.payload) {
                self.counters.data_out += 1;
            } else {
                self.counters.data_skipped += 1;
            }
            self.settle(now, at);
        }
    }

    fn pause_data(&mut self, now: Instant, command: PauseData) -> Result<(), Refused> {
        let at = self.transport(command.transport).ok_or(("PauseData", command.transport.0, "unknown_transport"))?;
        if let Some(entry) = self.transports.get_mut(at) {
            entry.transport.pause_data(command.paused);
        }
        self.settle(now, at);
        Ok(())
    }

    pub(super) fn transport(&self, id: TransportId) -> Option<Index> {
        self.names.transports.get(&id).copied()
    }

    pub(super) fn queue_background(&mut self, at: Index) {
        if let Some(entry) = self.transports.get_mut(at).filter(|entry| !entry.in_background) {
            entry.in_background = true;
            self.background.push_back(at);
        }
    }
}

fn extension_map(pairs: &[(String, u8)]) -> ExtensionMap {
    pairs.iter().filter_map(|(uri, id)| Some((*id, Uri::from_uri(uri)?))).collect()
}
