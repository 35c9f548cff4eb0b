// getStats flattened into what the tests compare.

export interface Outbound {
  kind: string;
  ssrc: number;
  rid: string;
  width: number;
  height: number;
  /** Pictures. libwebrtc counts every spatial layer of an SVC stream as a frame of its own; here they are one. */
  framesSent: number;
  packetsSent: number;
  /** PLI and FIR from the other side. */
  keyframeRequests: number;
  mimeType: string;
  limitation: string;
}

export interface Inbound {
  identity: string;
  kind: string;
  ssrc: number;
  width: number;
  height: number;
  framesDecoded: number;
  framesDropped: number;
  keyFramesDecoded: number;
  packetsReceived: number;
  packetsLost: number;
  freezeCount: number;
  pliCount: number;
  nackCount: number;
  mimeType: string;
  audioEnergy: number;
  /** Repaired packets. */
  retransmitted: number;
  /** Samples of sound, and those of them that the decoder had to make up. */
  samples: number;
  samplesConcealed: number;
  /** Packets that came too late, or redundant copies of what had come. */
  discarded: number;
}

export interface Transport {
  srtpCipher: string;
  tlsVersion: string;
  dtlsState: string;
  /** Of the server's candidate in the selected pair. */
  protocol: string;
  address: string;
  /** Of our own candidate in it: "host", "relay" ... and over what we reach the relay. */
  candidateType: string;
  relayProtocol: string;
}

// The DOM types know only part of what getStats gives.
type Entry = Record<string, string & number> & { type: string; id: string };

export function outboundOf(report: RTCStatsReport): Outbound[] {
  return entries(report, "outbound-rtp").map((entry) => ({
    kind: entry.kind ?? "",
    ssrc: entry.ssrc ?? 0,
    rid: entry.rid ?? "",
    width: entry.frameWidth ?? 0,
    height: entry.frameHeight ?? 0,
    framesSent: (entry.framesSent ?? 0) / spatialLayers(entry.scalabilityMode),
    packetsSent: entry.packetsSent ?? 0,
    keyframeRequests: (entry.pliCount ?? 0) + (entry.firCount ?? 0),
    mimeType: mimeType(report, entry),
    limitation: entry.qualityLimitationReason ?? "",
  }));
}

export function inboundOf(report: RTCStatsReport, identity: string): Inbound[] {
  return entries(report, "inbound-rtp").map((entry) => ({
    identity,
    kind: entry.kind ?? "",
    ssrc: entry.ssrc ?? 0,
    width: entry.frameWidth ?? 0,
    height: entry.frameHeight ?? 0,
    framesDecoded: entry.framesDecoded ?? 0,
    framesDropped: entry.framesDropped ?? 0,
    keyFramesDecoded: entry.keyFramesDecoded ?? 0,
    packetsReceived: entry.packetsReceived ?? 0,
    packetsLost: entry.packetsLost ?? 0,
    freezeCount: entry.freezeCount ?? 0,
    pliCount: entry.pliCount ?? 0,
    nackCount: entry.nackCount ?? 0,
    mimeType: mimeType(report, entry),
    audioEnergy: entry.totalAudioEnergy ?? 0,
    retransmitted: entry.retransmittedPacketsReceived ?? 0,
    samples: entry.totalSamplesReceived ?? 0,
    samplesConcealed: entry.concealedSamples ?? 0,
    discarded: entry.packetsDiscarded ?? 0,
  }));
}

export function transportsOf(report: RTCStatsReport): Transport[] {
  return entries(report, "transport").map((entry) => ({
    srtpCipher: entry.srtpCipher ?? "",
    tlsVersion: entry.tlsVersion ?? "",
    dtlsState: entry.dtlsState ?? "",
    ...selectedOf(report, entry),
  }));
}

/** Both sides of the pair that a transport has selected. */
function selectedOf(report: RTCStatsReport, transport: Entry): Omit<Transport, "srtpCipher" | "tlsVersion" | "dtlsState"> {
  const pair = report.get(transport.selectedCandidatePairId ?? "") as Entry | undefined;
  const remote = report.get(pair?.remoteCandidateId ?? "") as Entry | undefined;
  const local = report.get(pair?.localCandidateId ?? "") as Entry | undefined;
  return {
    protocol: remote?.protocol ?? "",
    address: remote?.address ?? "",
    candidateType: local?.candidateType ?? "",
    relayProtocol: local?.relayProtocol ?? "",
  };
}

/** Of "L2T3_KEY" it is 2. */
function spatialLayers(mode: string | undefined): number {
  return Number(/^L(\d)/.exec(mode ?? "")?.[1] ?? 1);
}

function entries(report: RTCStatsReport, type: string): Entry[] {
  const found: Entry[] = [];
  report.forEach((entry: Entry) => {
    if (entry.type === type) found.push(entry);
  });
  return found;
}

function mimeType(report: RTCStatsReport, entry: Entry): string {
  const codec = entry.codecId ? (report.get(entry.codecId) as Entry | undefined) : undefined;
  return codec?.mimeType ?? "";
}
