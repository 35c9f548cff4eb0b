// The call itself: one Room, a tile per camera and screen, the bar, the chat. Ends with a sentence.

import { DisconnectReason, type Participant, ParticipantEvent, type RemoteTrack, Room, RoomEvent, Track } from "livekit-client";
import { Chat } from "./chat";
import { type ControlName, Controls } from "./controls";
import { captureProblem, type Choice, SIZES } from "./devices";
import { openDevices } from "./devices-dialog";
import { h, setText, show } from "./dom";
import { Grid } from "./grid";
import type { Link } from "./link";
import { QualityReadout } from "./quality";
import { displayName, Tile, type TileKind } from "./tile";

export interface Ending {
  title: string;
  sentence: string;
}

/** Runs a call until it ends, by the user or by the server. */
export function startCall(link: Link, choice: Choice): Promise<Ending> {
  return new Promise((resolve) => void new Call(link, choice, resolve).open());
}

const READOUT_MS = 1000;
const TOAST_MS = 6000;

class Call {
  private readonly room: Room;
  private readonly grid = new Grid();
  private readonly tiles = new Map<string, Tile>();
  private readonly chat: Chat;
  private readonly controls = new Controls((name) => this.press(name));
  private readonly readout = new QualityReadout();
  private readonly count = h("span", { class: "quiet" });
  private readonly banner = h("div", { class: "banner", role: "status", hidden: true });
  private readonly toast = h("div", { class: "toast", role: "status", "aria-live": "polite" });
  private readonly hearButton = h("button", { class: "primary hear", type: "button", hidden: true }, "Turn the sound on");
  private readonly sounds = h("div", { hidden: true });
  private readonly root: HTMLElement;
  private readonly onKey = (event: KeyboardEvent) => this.handleKey(event);
  private readoutTimer = 0;
  private toastTimer = 0;
  private unread = 0;
  private joined = false;
  private ended = false;

  constructor(
    private readonly link: Link,
    private readonly choice: Choice,
    private readonly done: (ending: Ending) => void,
  ) {
    this.room = new Room({
      adaptiveStream: { pixelDensity: "screen" },
      dynacast: true,
      singlePeerConnection: link.singlePeerConnection,
      videoCaptureDefaults: { resolution: SIZES[choice.size] },
      publishDefaults: { videoCodec: link.codec, simulcast: true, backupCodec: false },
    });
    this.chat = new Chat(this.room, { closeChat: () => this.setChat(false), unread: () => this.noteUnread() });
    this.hearButton.onclick = () => void this.room.startAudio();
    this.root = h(
      "main",
      { class: "call" },
      h("header", { class: "top" }, h("div", { class: "logo", "aria-hidden": "true" }), h("h1", {}, link.room), this.count),
      this.banner,
      h("div", { class: "middle" }, this.grid.root, this.chat.element),
      this.controls.element,
      this.hearButton,
      this.toast,
      this.sounds,
    );
    this.listen();
    Object.assign(window, { room: this.room }); // for the console, and for tests
  }

  async open(): Promise<void> {
    show(this.root);
    document.addEventListener("keydown", this.onKey);
    this.setBanner("Connecting…");
    try {
      await this.room.connect(this.link.server, this.link.token);
    } catch (error) {
      this.choice.video?.stop();
      this.choice.audio?.stop();
      this.end({ title: "Could not join", sentence: connectProblem(error) });
      return;
    }
    this.joined = true;
    this.setBanner("");
    for (const participant of this.everyone()) this.sync(participant);
    this.controls.focus("microphone");
    this.setNumbers(false);
    this.refreshControls();
    await this.publish();
  }

  private async publish(): Promise<void> {
    const { audio, video } = this.choice;
    const local = this.room.localParticipant;
    const jobs = [audio && local.publishTrack(audio), video && local.publishTrack(video, { source: Track.Source.Camera })];
    for (const result of await Promise.allSettled(jobs)) {
      if (result.status === "rejected") this.say(`Not published: ${String((result.reason as Error).message)}`);
    }
    this.refreshControls();
  }

  // ------------------------------------------------------------------------------------------------- room

  private listen(): void {
    const room = this.room;
    const sync = (participant: Participant) => this.sync(participant);
    room
      .on(RoomEvent.ParticipantConnected, (participant) => {
        this.sync(participant);
        this.say(`${displayName(participant)} joined`);
      })
      .on(RoomEvent.ParticipantDisconnected, (participant) => {
        this.drop(participant);
        this.say(`${displayName(participant)} left`);
      })
      .on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
        if (track.kind === Track.Kind.Audio) this.sounds.append(track.attach());
        this.sync(participant);
      })
      .on(RoomEvent.TrackUnsubscribed, (track: RemoteTrack, _publication, participant) => {
        if (track.kind === Track.Kind.Audio) for (const element of track.detach()) element.remove();
        this.sync(participant);
      })
      .on(RoomEvent.TrackPublished, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.TrackUnpublished, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.LocalTrackPublished, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.LocalTrackUnpublished, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.TrackMuted, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.TrackUnmuted, (_publication, participant) => this.sync(participant))
      .on(RoomEvent.ParticipantNameChanged, (_name, participant) => this.sync(participant))
      .on(RoomEvent.ConnectionQualityChanged, (_quality, participant) => this.sync(participant))
      .on(RoomEvent.ActiveSpeakersChanged, () => this.everyone().forEach(sync))
      .on(RoomEvent.ParticipantPermissionsChanged, () => this.refreshControls())
      .on(RoomEvent.AudioPlaybackStatusChanged, () => {
        this.hearButton.hidden = room.canPlaybackAudio;
      })
      .on(RoomEvent.SignalReconnecting, () => this.setBanner("Reconnecting…"))
      .on(RoomEvent.Reconnecting, () => this.setBanner("Reconnecting…"))
      .on(RoomEvent.Reconnected, () => this.setBanner(""))
      .on(RoomEvent.Disconnected, (reason) => {
        // A refused join is told by connect() itself, and better.
        if (this.joined) this.end(endingOf(reason));
      });
    room.localParticipant.on(ParticipantEvent.MediaDevicesError, (error) => this.say(captureProblem(error, "camera")));
  }

  private everyone(): Participant[] {
    return [this.room.localParticipant, ...this.room.remoteParticipants.values()];
  }

  private sync(participant: Participant): void {
    if (this.ended) return;
    this.syncTile(participant, "camera", true);
    this.syncTile(participant, "screen", participant.isScreenShareEnabled);
    if (participant.isLocal) this.refreshControls();
    const people = this.room.remoteParticipants.size + 1;
    setText(this.count, people === 1 ? "only you" : `${people} people`);
  }

  private syncTile(participant: Participant, kind: TileKind, wanted: boolean): void {
    const key = `${participant.identity}/${kind}`;
    let tile = this.tiles.get(key);
    if (tile && (!wanted || tile.participant !== participant)) {
      this.tiles.delete(key);
      this.grid.remove(tile);
      tile = undefined;
    }
    if (!wanted) return;
    if (!tile) {
      tile = new Tile(participant, kind, { pin: (each) => this.grid.togglePin(each) });
      this.tiles.set(key, tile);
      this.grid.add(tile);
    }
    tile.update();
  }

  private drop(participant: Participant): void {
    this.syncTile(participant, "camera", false);
    this.syncTile(participant, "screen", false);
    this.sync(this.room.localParticipant);
  }

  // --------------------------------------------------------------------------------------------- controls

  private press(name: ControlName): void {
    const local = this.room.localParticipant;
    const size = SIZES[this.choice.size];
    switch (name) {
      case "microphone":
        return this.toggle(local.setMicrophoneEnabled(!local.isMicrophoneEnabled), "microphone");
      case "camera":
        return this.toggle(local.setCameraEnabled(!local.isCameraEnabled, { resolution: size }), "camera");
      case "screen":
        return this.toggle(local.setScreenShareEnabled(!local.isScreenShareEnabled, { audio: true }), "screen");
      case "chat":
        return this.setChat(!this.chat.open);
      case "numbers":
        return this.setNumbers(this.readoutTimer === 0);
      case "devices":
        return openDevices(this.room);
      case "leave":
        void this.room.disconnect();
    }
  }

  private toggle(change: Promise<unknown>, what: "camera" | "microphone" | "screen"): void {
    change.catch((error: unknown) => this.say(captureProblem(error, what))).finally(() => this.sync(this.room.localParticipant));
  }

  private refreshControls(): void {
    const local = this.room.localParticipant;
    this.controls.set("microphone", local.isMicrophoneEnabled);
    this.controls.set("camera", local.isCameraEnabled);
    this.controls.set("screen", local.isScreenShareEnabled);
    const may = local.permissions?.canPublish ?? true;
    const why = "Your token does not allow publishing";
    for (const name of ["microphone", "camera", "screen"] as const) this.controls.allow(name, may, why);
    this.controls.allow("chat", local.permissions?.canPublishData ?? true, "Your token does not allow sending data");
    if (may && !navigator.mediaDevices?.getDisplayMedia) {
      this.controls.allow("screen", false, "This browser cannot share its screen");
    }
  }

  private setChat(open: boolean): void {
    this.chat.setOpen(open);
    this.root.classList.toggle("with-chat", open);
    this.controls.set("chat", open);
    if (open) this.unread = 0;
    else this.controls.focus("chat");
    this.controls.badge("chat", this.unread);
  }

  private noteUnread(): void {
    this.unread += 1;
    this.controls.badge("chat", this.unread);
    this.say("New message in the chat");
  }

  private setNumbers(on: boolean): void {
    window.clearInterval(this.readoutTimer);
    const refresh = () => void this.readout.refresh(this.tiles.values());
    this.readoutTimer = on ? window.setInterval(refresh, READOUT_MS) : 0;
    if (on) refresh();
    this.root.classList.toggle("with-numbers", on);
    this.controls.set("numbers", on);
  }

  private handleKey(event: KeyboardEvent): void {
    if (event.key === "Escape" && this.chat.open && !document.querySelector("dialog[open]")) this.setChat(false);
    else this.controls.handleKey(event);
  }

  // ------------------------------------------------------------------------------------------- saying things

  private say(text: string): void {
    window.clearTimeout(this.toastTimer);
    setText(this.toast, text);
    this.toast.classList.add("shown");
    this.toastTimer = window.setTimeout(() => this.toast.classList.remove("shown"), TOAST_MS);
  }

  private setBanner(text: string): void {
    this.banner.hidden = !text;
    setText(this.banner, text);
  }

  private end(ending: Ending): void {
    if (this.ended) return;
    this.ended = true;
    window.clearInterval(this.readoutTimer);
    document.removeEventListener("keydown", this.onKey);
    document.querySelector("dialog[open]")?.remove();
    for (const tile of this.tiles.values()) tile.close();
    this.grid.close();
    this.chat.close();
    this.done(ending);
  }
}

function endingOf(reason?: DisconnectReason): Ending {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return { title: "You left", sentence: "The call goes on without you." };
    case DisconnectReason.DUPLICATE_IDENTITY:
      return { title: "You joined from somewhere else", sentence: "The same link was opened again, and one person can be in a room only once." };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { title: "You were removed", sentence: "A moderator ended your part in this call." };
    case DisconnectReason.ROOM_DELETED:
      return { title: "The call is over", sentence: "The room was closed." };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { title: "The server is restarting", sentence: "Join again in a few seconds." };
    default:
      return { title: "The connection was lost", sentence: "Check your network, then join again." };
  }
}

/** The server's refusals are problem documents (RFC 9457); livekit-client puts their text into its own message. */
function connectProblem(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  try {
    const problem = JSON.parse(message.slice(message.indexOf("{"))) as { detail?: string };
    if (problem.detail) return problem.detail;
  } catch {
    // not a refusal: the server was not reached, or media did not connect
  }
  return `The server cannot be reached, or media does not get through: ${message}`;
}
