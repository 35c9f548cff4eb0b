// One livekit-client participant, remote-controlled by the tests.

import { createLocalAudioTrack, createLocalVideoTrack, Room, RoomEvent, Track, type VideoCodec, VideoQuality } from "livekit-client";
import type { RemoteTrackPublication } from "livekit-client";
import { type Inbound, inboundOf, type Outbound, outboundOf, type Transport, transportsOf } from "./stats";

export interface Sample {
  at: number;
  outbound: Outbound[];
  inbound: Inbound[];
  transports: Transport[];
}

const QUALITIES = { low: VideoQuality.LOW, medium: VideoQuality.MEDIUM, high: VideoQuality.HIGH };

export class RoomClient {
  room = new Room();
  private readonly videos = new Map<string, HTMLVideoElement>();

  async connect(options: { url: string; token: string; single: boolean }): Promise<void> {
    this.room = new Room({ singlePeerConnection: options.single, adaptiveStream: false, dynacast: false });
    this.room.on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
      const element = track.attach();
      element.style.width = "240px";
      document.body.append(element);
      if (track.kind === Track.Kind.Video) this.videos.set(participant.identity, element as HTMLVideoElement);
    });
    this.room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    await this.room.connect(options.url, options.token);
  }

  async publishVideo(options: {
    codec: VideoCodec;
    width: number;
    height: number;
    frameRate: number;
    simulcast: boolean;
    maxBitrate?: number;
  }): Promise<void> {
    const { codec, width, height, frameRate, simulcast } = options;
    const track = await createLocalVideoTrack({ resolution: { width, height, frameRate } });
    await this.room.localParticipant.publishTrack(track, {
      source: Track.Source.Camera,
      videoCodec: codec,
      backupCodec: false,
      simulcast,
      ...(options.maxBitrate ? { videoEncoding: { maxBitrate: options.maxBitrate, maxFramerate: frameRate } } : {}),
    });
  }

  async publishAudio(): Promise<void> {
    await this.room.localParticipant.publishTrack(await createLocalAudioTrack(), { dtx: false, red: false });
  }

  async sample(): Promise<Sample> {
    const sample: Sample = { at: performance.now(), outbound: [], inbound: [], transports: [] };
    const local = [...this.room.localParticipant.trackPublications.values()].map(async ({ track }) => {
      const report = await track?.getRTCStatsReport();
      if (!report) return;
      sample.outbound.push(...outboundOf(report));
      sample.transports.push(...transportsOf(report));
    });
    const remote = [...this.room.remoteParticipants.values()].flatMap((participant) =>
      [...participant.trackPublications.values()].map(async ({ track }) => {
        const report = await track?.getRTCStatsReport();
        if (!report) return;
        sample.inbound.push(...inboundOf(report, participant.identity));
        sample.transports.push(...transportsOf(report));
      }),
    );
    await Promise.all([...local, ...remote]);
    return sample;
  }

  /** Asks for a quality; resolves with the milliseconds until the picture has that height, or null after `patience` ms. */
  async switchTo(identity: string, quality: keyof typeof QUALITIES, height: number, patience = 5000): Promise<number | null> {
    const video = this.videos.get(identity);
    if (!video) throw new Error(`no video of ${identity}`);
    const started = performance.now();
    this.publicationOf(identity).setVideoQuality(QUALITIES[quality]);
    while (performance.now() - started < patience) {
      if (video.videoHeight === height) return performance.now() - started;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return null;
  }

  pictureHeight(identity: string): number {
    return this.videos.get(identity)?.videoHeight ?? 0;
  }

  async leave(): Promise<void> {
    await this.room.disconnect();
  }

  private publicationOf(identity: string): RemoteTrackPublication {
    const participant = this.room.remoteParticipants.get(identity);
    const publication = participant?.getTrackPublication(Track.Source.Camera);
    if (!publication) throw new Error(`no camera of ${identity}`);
    return publication;
  }
}
