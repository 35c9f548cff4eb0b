// One livekit-client participant, remote-controlled by the tests.

import { createLocalAudioTrack, createLocalVideoTrack, LocalVideoTrack, Room, RoomEvent, Track, VideoQuality } from "livekit-client";
import type { BackupCodecPolicy, BackupVideoCodec, RemoteTrackPublication, SimulationScenario, VideoCodec } from "livekit-client";
import { loseDecoders } from "./decoders";
import { encryptedWith } from "./encryption";
import { noisyCamera } from "./noise";
import { readNumbers } from "./numbers";
import { type Inbound, inboundOf, type Outbound, outboundOf, type Transport, transportsOf } from "./stats";

export interface Sample {
  at: number;
  outbound: Outbound[];
  inbound: Inbound[];
  transports: Transport[];
}

const TOLD = [
  RoomEvent.SignalReconnecting,
  RoomEvent.Reconnecting,
  RoomEvent.Reconnected,
  RoomEvent.Disconnected,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.TrackUnsubscribed,
] as const;
const QUALITIES = { low: VideoQuality.LOW, medium: VideoQuality.MEDIUM, high: VideoQuality.HIGH };

export class RoomClient {
  room = new Room();
  /** Sids of tracks that cannot be had, with the reason (`SubscriptionError`). */
  readonly refusals: { sid: string; reason: number | undefined }[] = [];
  readonly messages: string[] = [];
  /** Names of room events, in order. */
  readonly told: string[] = [];
  private readonly videos = new Map<string, HTMLVideoElement>();

  async connect(options: {
    url: string;
    token: string;
    single: boolean;
    without?: string[];
    passphrase?: string;
    /** Use no other way than a TURN server that we are told of. */
    relay?: boolean;
  }): Promise<void> {
    if (options.without) loseDecoders(options.without);
    const encryption = options.passphrase ? await encryptedWith(options.passphrase) : {};
    this.room = new Room({ singlePeerConnection: options.single, adaptiveStream: false, dynacast: false, ...encryption });
    this.room.on(RoomEvent.TrackSubscriptionFailed, (sid, _participant, reason) => this.refusals.push({ sid, reason }));
    this.room.on(RoomEvent.DataReceived, (payload) => this.messages.push(new TextDecoder().decode(payload)));
    for (const event of TOLD) this.room.on(event, () => this.told.push(event));
    this.room.on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
      const element = track.attach();
      element.style.width = "240px";
      document.body.append(element);
      if (track.kind === Track.Kind.Video) this.videos.set(participant.identity, element as HTMLVideoElement);
    });
    this.room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    if (options.passphrase) await this.room.setE2EEEnabled(true);
    const rtcConfig: RTCConfiguration = options.relay ? { iceTransportPolicy: "relay" } : {};
    await this.room.connect(options.url, options.token, { rtcConfig });
  }

  async publishVideo(options: {
    codec: VideoCodec;
    width: number;
    height: number;
    frameRate: number;
    simulcast: boolean;
    maxBitrate?: number;
    /** Noise instead of the camera. */
    noisy?: boolean;
    backup?: BackupVideoCodec;
    backupPolicy?: BackupCodecPolicy;
  }): Promise<void> {
    const { codec, width, height, frameRate, simulcast, backup } = options;
    const track = options.noisy
      ? new LocalVideoTrack(noisyCamera(width, height, frameRate))
      : await createLocalVideoTrack({ resolution: { width, height, frameRate } });
    await this.room.localParticipant.publishTrack(track, {
      source: Track.Source.Camera,
      videoCodec: codec,
      backupCodec: backup ? { codec: backup } : false,
      ...(options.backupPolicy === undefined ? {} : { backupCodecPolicy: options.backupPolicy }),
      simulcast,
      ...(options.maxBitrate ? { videoEncoding: { maxBitrate: options.maxBitrate, maxFramerate: frameRate } } : {}),
    });
  }

  async publishAudio(options: { red?: boolean } = {}): Promise<void> {
    await this.room.localParticipant.publishTrack(await createLocalAudioTrack(), { dtx: false, red: options.red ?? false });
  }

  async sendText(text: string): Promise<void> {
    await this.room.localParticipant.publishData(new TextEncoder().encode(text), { reliable: true });
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

  /** What every sender sends, also that of a backup codec. */
  async sampleSenders(): Promise<Outbound[]> {
    const publisher = this.room.engine.pcManager?.publisher;
    const reports = (publisher?.getTransceivers() ?? []).map(async ({ sender }) => (sender.track ? outboundOf(await sender.getStats()) : []));
    return (await Promise.all(reports)).flat();
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

  /** See numbers.ts. */
  async numbersOf(identity: string, seconds: number): Promise<(number | null)[]> {
    const track = this.publicationOf(identity).track;
    if (!track) throw new Error(`no picture of ${identity}`);
    return readNumbers(track.mediaStreamTrack, seconds);
  }

  /** livekit-client's own hooks for tests: "signal-reconnect", "node-failure" ... */
  async simulate(scenario: SimulationScenario): Promise<void> {
    await this.room.simulateScenario(scenario);
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
