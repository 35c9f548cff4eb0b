// Pre-join screen: see yourself, hear that the microphone works, pick devices, then enter.

import { createAudioAnalyser, createLocalAudioTrack, createLocalVideoTrack } from "livekit-client";
import type { LocalAudioTrack, LocalVideoTrack } from "livekit-client";
import { captureProblem, type Choice, fillDevices, remember, remembered, type Size, SIZES } from "./devices";
import { h, setText, show } from "./dom";
import { icon } from "./icons";
import type { Link } from "./link";
import { initials } from "./tile";

/** Resolves when the user presses Join. The chosen tracks are running and belong to the caller then. */
export function prejoin(link: Link): Promise<Choice> {
  return new Promise((resolve) => new Prejoin(link, resolve).open());
}

class Prejoin {
  private video?: LocalVideoTrack;
  private audio?: LocalAudioTrack;
  private stopMeter: () => void = () => {};
  /** Set on Join: a capture that ends later is not ours to keep. */
  private gone = false;
  private size: Size = remembered("size") === "360" ? "360" : "720";

  private readonly preview = h("video", { autoplay: true, muted: true, playsinline: true, class: "mirror" });
  private readonly hint = h("p", { class: "preview-hint" }, "Starting camera…");
  private readonly problem = h("p", { class: "problem", role: "status" });
  private readonly meter = h("div", { class: "meter", "aria-hidden": "true" }, h("i"));
  private readonly cameraSelect = h("select", { id: "camera" });
  private readonly microphoneSelect = h("select", { id: "microphone" });
  private readonly sizeSelect = h("select", { id: "size" });
  private readonly cameraButton = h("button", { type: "button", class: "round" });
  private readonly microphoneButton = h("button", { type: "button", class: "round" });
  private readonly joinButton = h("button", { type: "submit", class: "primary join" }, "Join");

  constructor(
    private readonly link: Link,
    private readonly done: (choice: Choice) => void,
  ) {
    this.preview.muted = true;
    for (const [value, size] of Object.entries(SIZES)) this.sizeSelect.append(new Option(size.label, value));
    this.sizeSelect.value = this.size;
    this.cameraButton.onclick = () => void (this.video ? this.stopCamera() : this.startCamera());
    this.microphoneButton.onclick = () => void (this.audio ? this.stopMicrophone() : this.startMicrophone());
    this.cameraSelect.onchange = () => {
      remember("camera", this.cameraSelect.value);
      void this.startCamera();
    };
    this.microphoneSelect.onchange = () => {
      remember("microphone", this.microphoneSelect.value);
      void this.startMicrophone();
    };
    this.sizeSelect.onchange = () => {
      this.size = this.sizeSelect.value === "360" ? "360" : "720";
      remember("size", this.size);
      if (this.video) void this.startCamera();
    };
  }

  open(): void {
    show(this.screen());
    this.refresh();
    this.joinButton.focus();
    void this.startCamera().then(() => this.startMicrophone());
  }

  private screen(): HTMLElement {
    const field = (label: string, select: HTMLSelectElement) =>
      h("div", { class: "field" }, h("label", { for: select.id }, label), select);
    return h(
      "main",
      { class: "prejoin" },
      h(
        "div",
        { class: "preview" },
        h("div", { class: "avatar", "aria-hidden": "true" }, initials(this.link.name)),
        this.preview,
        this.hint,
        this.meter,
        h("div", { class: "preview-buttons" }, this.microphoneButton, this.cameraButton),
      ),
      h(
        "form",
        { class: "card", onsubmit: (event: SubmitEvent) => this.join(event) },
        h("h1", {}, this.link.room),
        h("p", { class: "quiet" }, "You join as ", h("strong", {}, this.link.name)),
        field("Camera", this.cameraSelect),
        field("Microphone", this.microphoneSelect),
        field("Video size", this.sizeSelect),
        this.problem,
        this.joinButton,
      ),
    );
  }

  private join(event: SubmitEvent): void {
    event.preventDefault();
    this.gone = true;
    this.stopMeter();
    this.preview.srcObject = null;
    this.done({ video: this.video, audio: this.audio, size: this.size });
  }

  private async startCamera(): Promise<void> {
    this.stopCamera();
    const { width, height, frameRate } = SIZES[this.size];
    try {
      const wanted = this.cameraSelect.value || remembered("camera");
      const video = await createLocalVideoTrack({
        ...(wanted ? { deviceId: wanted } : {}),
        resolution: { width, height, frameRate },
      });
      if (this.gone || this.video) return video.stop();
      this.video = video;
      video.attach(this.preview);
      setText(this.problem, "");
    } catch (error) {
      setText(this.problem, captureProblem(error, "camera"));
    }
    await fillDevices(this.cameraSelect, "videoinput", this.video?.mediaStreamTrack.getSettings().deviceId);
    this.refresh();
  }

  private stopCamera(): void {
    this.video?.stop();
    this.video?.detach();
    this.video = undefined;
    this.refresh();
  }

  private async startMicrophone(): Promise<void> {
    this.stopMicrophone();
    try {
      const wanted = this.microphoneSelect.value || remembered("microphone");
      const audio = await createLocalAudioTrack({
        ...(wanted ? { deviceId: wanted } : {}),
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
      });
      if (this.gone || this.audio) return audio.stop();
      this.audio = audio;
      this.stopMeter = runMeter(audio, this.meter);
    } catch (error) {
      setText(this.problem, captureProblem(error, "microphone"));
    }
    await fillDevices(this.microphoneSelect, "audioinput", this.audio?.mediaStreamTrack.getSettings().deviceId);
    this.refresh();
  }

  private stopMicrophone(): void {
    this.stopMeter();
    this.audio?.stop();
    this.audio = undefined;
    this.refresh();
  }

  private refresh(): void {
    this.preview.hidden = !this.video;
    setText(this.hint, this.video ? "" : "Your camera is off");
    toggleLook(this.cameraButton, Boolean(this.video), "camera", "cameraOff", "camera");
    toggleLook(this.microphoneButton, Boolean(this.audio), "mic", "micOff", "microphone");
    this.meter.hidden = !this.audio;
  }
}

function toggleLook(
  button: HTMLButtonElement,
  on: boolean,
  onIcon: "camera" | "mic",
  offIcon: "cameraOff" | "micOff",
  what: string,
): void {
  const label = `Turn ${what} ${on ? "off" : "on"}`;
  button.replaceChildren(icon(on ? onIcon : offIcon));
  button.setAttribute("aria-label", label);
  button.title = label;
  button.classList.toggle("off", !on);
}

/** Draws the microphone's level until the returned function is called. */
function runMeter(track: LocalAudioTrack, meter: HTMLElement): () => void {
  const { calculateVolume, cleanup } = createAudioAnalyser(track, { cloneTrack: false, smoothingTimeConstant: 0.6 });
  const bar = meter.firstElementChild as HTMLElement;
  const timer = setInterval(() => {
    bar.style.transform = `scaleX(${Math.min(1, calculateVolume() * 1.6).toFixed(3)})`;
  }, 60);
  return () => {
    clearInterval(timer);
    void cleanup();
  };
}
