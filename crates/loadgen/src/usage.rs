//! What the two processes and the two cores have done up to now; the difference of two readings is a window's.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;
use crate::cpu::{self, Core};

/// One reading.
pub(crate) struct Usage {
    at: Instant,
    server: Duration,
    server_main: Duration,
    own: Duration,
    cores: [Core; 2],
}

/// Seconds between two readings.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names)] // the unit belongs to the name, in the report too
pub(crate) struct Spent {
    pub(crate) wall_s: f64,
    /// CPU time of the server, all threads.
    pub(crate) server_s: f64,
    /// Of that, its first thread: where Python runs, in ours.
    pub(crate) server_main_s: f64,
    pub(crate) own_s: f64,
    /// What the server's core did for others, and what the hypervisor took of it.
    pub(crate) server_core_other_s: f64,
    pub(crate) server_core_steal_s: f64,
    pub(crate) own_core_other_s: f64,
    pub(crate) own_core_steal_s: f64,
}

impl Usage {
    /// Of the process `server`, and of the cores that it and we are pinned to. Fails when the server is gone.
    pub(crate) fn read(server: u32, cores: [usize; 2]) -> Result<Self, Failure> {
        let [server_core, own_core] = cores.map(|number| Core::read(number).unwrap_or_default());
        let times = cpu::consumed_by(server).zip(cpu::consumed_by_main_thread(server));
        let (server, server_main) = times.ok_or(Failure::ServerGone { pid: server })?;
        Ok(Self { at: Instant::now(), server, server_main, own: cpu::consumed(), cores: [server_core, own_core] })
    }

    /// What was spent since an earlier reading.
    pub(crate) fn since(&self, before: &Self) -> Spent {
        let server = self.server.saturating_sub(before.server);
        let own = self.own.saturating_sub(before.own);
        let other = |core: usize, known| {
            let busy = self.cores[core].busy.saturating_sub(before.cores[core].busy);
            busy.saturating_sub(known).as_secs_f64()
        };
        let steal = |core: usize| self.cores[core].steal.saturating_sub(before.cores[core].steal).as_secs_f64();
        Spent {
            wall_s: self.at.saturating_duration_since(before.at).as_secs_f64(),
            server_s: server.as_secs_f64(),
            server_main_s: self.server_main.saturating_sub(before.server_main).as_secs_f64(),
            own_s: own.as_secs_f64(),
            server_core_other_s: other(0, server),
            server_core_steal_s: steal(0),
            own_core_other_s: other(1, own),
            own_core_steal_s: steal(1),
        }
    }
}
