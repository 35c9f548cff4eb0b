// Changing camera and microphone during the call.

import type { Room } from "livekit-client";
import { captureProblem, fillDevices, remember } from "./devices";
import { h, setText } from "./dom";

export function openDevices(room: Room): void {
  const problem = h("p", { class: "problem", role: "status" });
  const pick = (label: string, kind: MediaDeviceKind, what: "camera" | "microphone") => {
    const select = h("select", { id: `dialog-${kind}` });
    void fillDevices(select, kind, room.getActiveDevice(kind));
    select.onchange = () => {
      remember(what, select.value);
      room.switchActiveDevice(kind, select.value).then(
        () => setText(problem, ""),
        (error: unknown) => setText(problem, captureProblem(error, what)),
      );
    };
    return h("div", { class: "field" }, h("label", { for: select.id }, label), select);
  };
  const dialog = h(
    "dialog",
    { class: "card", "aria-label": "Devices" },
    h("h2", {}, "Devices"),
    pick("Camera", "videoinput", "camera"),
    pick("Microphone", "audioinput", "microphone"),
    problem,
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Done")),
  );
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
