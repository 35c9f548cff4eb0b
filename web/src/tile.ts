// One tile: a participant's camera or shared screen, with name, speaking ring, mute mark and read-out.

import { type Participant, RemoteTrackPublication, Track, type TrackPublication, VideoQuality } from "livekit-client";
import { h, setText } from "./dom";
import { icon } from "./icons";

export type TileKind = "camera" | "screen";

export interface TileHost {
  pin: (tile: Tile) => void;
}

export class Tile {
  readonly element: HTMLElement;
  private readonly video = h("video", { autoplay: true, playsinline: true, muted: true });
  private readonly nameLabel = h("span", { class: "name" });
  private readonly muteMark = h("span", { class: "mute-mark", title: "Muted" }, icon("micOff"));
  private readonly link = h("span", { class: "link-mark" });
  private readonly readout = h("div", { class: "readout", "aria-hidden": "true" });
  private readonly quality = qualitySelect();
  private readonly pinButton: HTMLButtonElement;
  private attached?: Track;

  constructor(
    readonly participant: Participant,
    readonly kind: TileKind,
    host: TileHost,
  ) {
    this.video.muted = true; // sound comes from its own elements
    this.pinButton = h("button", { type: "button", class: "small", onclick: () => host.pin(this) }, icon("pin"));
    this.quality.onchange = () => this.applyQuality();
    this.element = h(
      "article",
      { class: `tile ${kind}`, "data-identity": participant.identity, "data-kind": kind },
      h("div", { class: "avatar", "aria-hidden": "true" }, initials(displayName(participant))),
      this.video,
      this.readout,
      h("div", { class: "tile-tools" }, participant.isLocal ? null : this.quality, this.pinButton),
      h("div", { class: "tile-foot" }, this.muteMark, this.nameLabel, this.link),
    );
    this.update();
  }

  get publication(): TrackPublication | undefined {
    return this.participant.getTrackPublication(this.kind === "camera" ? Track.Source.Camera : Track.Source.ScreenShare);
  }

  /** Brings the tile in line with the participant; cheap, so every room event may call it. */
  update(): void {
    const { participant, publication } = this;
    const track = publication?.isMuted ? undefined : publication?.videoTrack;
    if (track !== this.attached) {
      this.attached?.detach(this.video);
      track?.attach(this.video);
      this.attached = track;
    }
    this.video.hidden = !track;
    this.video.classList.toggle("mirror", participant.isLocal && this.kind === "camera");
    this.quality.hidden = !(publication instanceof RemoteTrackPublication && publication.simulcasted);

    const name = displayName(participant);
    const you = participant.isLocal ? " (you)" : "";
    setText(this.nameLabel, this.kind === "screen" ? `${name}${you} · screen` : `${name}${you}`);
    this.element.setAttribute("aria-label", this.describe(name + you));
    this.muteMark.hidden = this.kind === "screen" || participant.isMicrophoneEnabled;
    this.element.classList.toggle("speaking", participant.isSpeaking && this.kind === "camera");
    this.link.className = `link-mark ${participant.connectionQuality}`;
    this.link.title = `Connection: ${participant.connectionQuality}`;
  }

  setPinned(pinned: boolean): void {
    const label = pinned ? "Back to the grid" : `Enlarge ${displayName(this.participant)}`;
    this.pinButton.setAttribute("aria-label", label);
    this.pinButton.setAttribute("aria-pressed", String(pinned));
    this.pinButton.title = label;
  }

  setReadout(text: string): void {
    this.readout.hidden = !text;
    setText(this.readout, text);
  }

  close(): void {
    this.attached?.detach(this.video);
    this.element.remove();
  }

  private describe(name: string): string {
    if (this.kind === "screen") return `Screen of ${name}`;
    return `${name}${this.participant.isMicrophoneEnabled ? "" : ", muted"}${this.attached ? "" : ", camera off"}`;
  }

  private applyQuality(): void {
    if (this.publication instanceof RemoteTrackPublication) {
      this.publication.setVideoQuality(Number(this.quality.value) as VideoQuality);
    }
  }
}

function qualitySelect(): HTMLSelectElement {
  return h(
    "select",
    { class: "small", "aria-label": "Highest quality to receive", title: "Highest quality to receive" },
    new Option("Best", String(VideoQuality.HIGH)),
    new Option("Medium", String(VideoQuality.MEDIUM)),
    new Option("Low", String(VideoQuality.LOW)),
  );
}

export function displayName(participant: Participant): string {
  return participant.name || participant.identity;
}

export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

