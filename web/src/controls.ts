// The bar under the call: microphone, camera, screen, chat, numbers, devices, leave. Each has a key.

import { h } from "./dom";
import { icon, type IconName } from "./icons";

export type ControlName = "microphone" | "camera" | "screen" | "chat" | "numbers" | "devices" | "leave";

interface Look {
  key: string;
  on: IconName;
  off?: IconName;
  label: string;
  /** Said when pressing it would switch the thing off. */
  labelOn?: string;
}

const LOOKS: Record<ControlName, Look> = {
  microphone: { key: "m", on: "mic", off: "micOff", label: "Unmute", labelOn: "Mute" },
  camera: { key: "v", on: "camera", off: "cameraOff", label: "Start video", labelOn: "Stop video" },
  screen: { key: "s", on: "screen", label: "Share screen", labelOn: "Stop sharing" },
  chat: { key: "c", on: "chat", label: "Chat", labelOn: "Close chat" },
  numbers: { key: "i", on: "chart", label: "Numbers", labelOn: "Hide numbers" },
  devices: { key: "d", on: "gear", label: "Devices" },
  leave: { key: "", on: "leave", label: "Leave" },
};

export class Controls {
  readonly element = h("nav", { class: "controls", "aria-label": "Call controls" });
  private readonly buttons = new Map<ControlName, HTMLButtonElement>();

  constructor(private readonly press: (name: ControlName) => void) {
    for (const name of Object.keys(LOOKS) as ControlName[]) {
      const button = h("button", { type: "button", class: `control ${name}`, onclick: () => this.press(name) });
      if (LOOKS[name].key) button.setAttribute("aria-keyshortcuts", LOOKS[name].key);
      this.buttons.set(name, button);
      this.element.append(button);
      this.set(name, false);
    }
  }

  set(name: ControlName, on: boolean): void {
    const button = this.buttons.get(name);
    if (!button) return;
    const look = LOOKS[name];
    const label = on ? (look.labelOn ?? look.label) : look.label;
    button.replaceChildren(icon(on ? look.on : (look.off ?? look.on)), h("span", {}, label), h("b", { class: "badge", hidden: true }));
    button.title = look.key ? `${label} (${look.key.toUpperCase()})` : label;
    button.classList.toggle("on", on);
    button.classList.toggle("off", !on && look.off !== undefined);
  }

  allow(name: ControlName, allowed: boolean, why: string): void {
    const button = this.buttons.get(name);
    if (!button) return;
    button.disabled = !allowed;
    if (!allowed) button.title = why;
  }

  badge(name: ControlName, count: number): void {
    const badge = this.buttons.get(name)?.querySelector<HTMLElement>(".badge");
    if (!badge) return;
    badge.hidden = count === 0;
    badge.textContent = count > 9 ? "9+" : String(count);
  }

  focus(name: ControlName): void {
    this.buttons.get(name)?.focus();
  }

  /** A single letter outside of a text field presses the control. */
  handleKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select, dialog")) return;
    const name = (Object.keys(LOOKS) as ControlName[]).find((each) => LOOKS[each].key === event.key.toLowerCase());
    if (name && !this.buttons.get(name)?.disabled) this.press(name);
  }
}
