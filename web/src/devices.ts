// Cameras and microphones: capture sizes, the user's last picks, and why a capture failed, in a sentence.

import { type LocalAudioTrack, type LocalVideoTrack, Room } from "livekit-client";

export const SIZES = {
  "720": { label: "720p, 30 fps", width: 1280, height: 720, frameRate: 30 },
  "360": { label: "360p, 15 fps (light)", width: 640, height: 360, frameRate: 15 },
} as const;

export type Size = keyof typeof SIZES;

/** What the user takes into the call; a missing track means joining without it. */
export interface Choice {
  video?: LocalVideoTrack;
  audio?: LocalAudioTrack;
  size: Size;
}

type Setting = "camera" | "microphone" | "size";

export function remembered(setting: Setting): string | undefined {
  try {
    return localStorage.getItem(`beep.${setting}`) ?? undefined;
  } catch {
    return undefined; // storage may be blocked; the page works without it
  }
}

export function remember(setting: Setting, value: string): void {
  try {
    localStorage.setItem(`beep.${setting}`, value);
  } catch {
    // see above
  }
}

/** Fills a select with the devices of a kind. Labels are empty until the user has allowed one capture. */
export async function fillDevices(select: HTMLSelectElement, kind: MediaDeviceKind, current?: string): Promise<void> {
  const devices = (await Room.getLocalDevices(kind, false)).filter((device) => device.deviceId);
  const fallback = kind === "videoinput" ? "Camera" : "Microphone";
  select.replaceChildren(
    ...devices.map((device, index) => new Option(device.label || `${fallback} ${index + 1}`, device.deviceId)),
  );
  select.disabled = devices.length === 0;
  if (devices.length === 0) select.append(new Option(`No ${fallback.toLowerCase()} found`));
  if (current && devices.some((device) => device.deviceId === current)) select.value = current;
}

export function captureProblem(error: unknown, what: "camera" | "microphone" | "screen"): string {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return what === "screen"
        ? "The screen is not shared: the browser or you said no."
        : `The ${what} is blocked. Allow it in the browser's site settings, or join without it.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. Plug one in, or join without it.`;
    case "NotReadableError":
      return `The ${what} is in use by another program. Close that, then try again.`;
    default:
      return window.isSecureContext
        ? `The ${what} could not be started${error instanceof Error ? `: ${error.message}` : "."}`
        : `The ${what} needs a secure page: open this link over https or on the server itself.`;
  }
}
