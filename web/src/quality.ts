// The read-out on each tile: size, frame rate, bit rate, codec and layer, from getStats once a second.

import { type LocalVideoTrack, type Participant, type RemoteVideoTrack, Track } from "livekit-client";
import type { Tile } from "./tile";

interface Sample {
  at: number;
  bytes: number;
  frames: number;
}

export class QualityReadout {
  private readonly before = new Map<string, Sample>();

  async refresh(tiles: Iterable<Tile>): Promise<void> {
    await Promise.all([...tiles].map(async (tile) => tile.setReadout(await this.read(tile))));
  }

  private async read(tile: Tile): Promise<string> {
    const publication = tile.publication;
    const track = publication?.videoTrack;
    if (!publication || !track || publication.isMuted) return "";
    return tile.participant.isLocal
      ? this.readLocal(track as LocalVideoTrack)
      : this.readRemote(tile.participant, track as RemoteVideoTrack);
  }

  /** One line per simulcast layer that is really being sent. */
  private async readLocal(track: LocalVideoTrack): Promise<string> {
    const layers = await track.getSenderStats();
    const report = await track.getRTCStatsReport();
    const lines = layers.map((layer) => {
      const rate = this.rate(`${track.mediaStreamID}/${layer.rid}`, layer.timestamp, layer.bytesSent ?? 0, layer.framesSent ?? 0);
      if (!rate) return `${layer.rid || "video"}: …`;
      if (!rate.fps || !layer.frameWidth) return `${layer.rid || "video"}: paused`;
      return `${layer.rid || "video"}: ${layer.frameWidth}×${layer.frameHeight} · ${rate.fps} fps · ${kbps(rate.bps)}`;
    });
    return [`sending ${codecName(report, "outbound-rtp")}`, ...lines].join("\n");
  }

  private async readRemote(participant: Participant, track: RemoteVideoTrack): Promise<string> {
    const stats = await track.getReceiverStats();
    const report = await track.getRTCStatsReport();
    if (!stats?.frameWidth || !stats.frameHeight) return "waiting for a picture";
    const rate = this.rate(track.mediaStreamID, stats.timestamp, stats.bytesReceived ?? 0, stats.framesDecoded ?? 0);
    const layer = layerName(participant, track.source, stats.frameHeight);
    return [
      `${stats.frameWidth}×${stats.frameHeight} · ${rate ? `${rate.fps} fps · ${kbps(rate.bps)}` : "…"}`,
      `${codecName(report, "inbound-rtp")}${layer ? ` · ${layer}` : ""} · ${stats.packetsLost ?? 0} lost`,
    ].join("\n");
  }

  /** Since the last reading; undefined at the first one. */
  private rate(key: string, at: number, bytes: number, frames: number): { bps: number; fps: number } | undefined {
    const last = this.before.get(key);
    this.before.set(key, { at, bytes, frames });
    const seconds = last ? (at - last.at) / 1000 : 0;
    if (!last || seconds <= 0) return undefined;
    return {
      bps: Math.max(0, ((bytes - last.bytes) * 8) / seconds),
      fps: Math.max(0, Math.round((frames - last.frames) / seconds)),
    };
  }
}

/** "layer 2 of 3": the announced simulcast layer whose height is nearest to what arrives, counted from the lowest. */
function layerName(participant: Participant, source: Track.Source, height: number): string {
  const heights = (participant.getTrackPublication(source)?.trackInfo?.layers ?? []).map((layer) => layer.height);
  if (heights.length < 2) return "";
  heights.sort((a, b) => a - b);
  const distances = heights.map((each) => Math.abs(each - height));
  return `layer ${distances.indexOf(Math.min(...distances)) + 1} of ${heights.length}`;
}

function codecName(report: RTCStatsReport | undefined, type: "inbound-rtp" | "outbound-rtp"): string {
  let name = "";
  report?.forEach((entry: { type: string; kind?: string; codecId?: string }) => {
    if (entry.type !== type || entry.kind !== "video" || !entry.codecId) return;
    const codec = report.get(entry.codecId) as { mimeType?: string } | undefined;
    name = codec?.mimeType?.split("/")[1] ?? name;
  });
  return name;
}

function kbps(bps: number): string {
  return bps >= 1_000_000 ? `${(bps / 1_000_000).toFixed(1)} Mbit/s` : `${Math.round(bps / 1000)} kbit/s`;
}
