"""One engine transport with the credentials that SDP carries for it. Shared by both kinds of connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sfu import ids, seam
from sfu.engine import EngineFacade, TransportListener
from sfu.negotiation import Candidate, LocalEndpoint, RemoteParameters

Candidates = Callable[[int], Sequence[Candidate]]


class ClientTransport:
    """Opens at once; `close` gives everything back. SSRCs minted here are never used twice on this transport."""

    def __init__(self, engine: EngineFacade, shard: int, candidates: Candidates, listener: TransportListener) -> None:
        self._engine = engine
        self._remote: RemoteParameters | None = None
        self._ssrcs: set[int] = set()
        ufrag, password = ids.ice_credentials()
        self.local = LocalEndpoint(ufrag, password, engine.fingerprint, tuple(candidates(shard)))
        self.id = engine.open_transport(shard, ufrag, password, listener)

    def mint_ssrc(self) -> int:
        return ids.random_ssrc(self._ssrcs)

    def set_remote(self, remote: RemoteParameters) -> None:
        """Tells the engine when something changed; renegotiations mostly change nothing."""
        if remote == self._remote:
            return
        self._remote = remote
        self._engine.submit(
            seam.SetRemote(
                self.id, remote.ufrag, remote.password, remote.fingerprint, remote.sctp_port, dict(remote.extensions)
            )
        )

    def restart_ice(self) -> LocalEndpoint:
        """New credentials of ours; the old ones work until the new ones have."""
        ufrag, password = ids.ice_credentials()
        self.local = replace(self.local, ufrag=ufrag, password=password)
        self._engine.submit(seam.RestartIce(self.id, ufrag, password))
        return self.local

    def open_channels(self, *, negotiated: bool) -> None:
        """The three channels of LiveKit's protocol: by DCEP, or pre-negotiated on streams 100 to 102 (protocol 18)."""
        for label, ordered, retransmits, stream in _CHANNELS:
            self._engine.submit(
                seam.OpenDataChannel(self.id, label, ordered, retransmits, stream if negotiated else None)
            )

    def close(self) -> None:
        self._engine.close_transport(self.id)


_CHANNELS: tuple[tuple[str, bool, int | None, int], ...] = (
    ("_reliable", True, None, 100),
    ("_lossy", False, 0, 101),
    ("_data_track", False, 0, 102),
)
