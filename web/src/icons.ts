// The few line icons the page uses, drawn on a 24 x 24 grid.

const PATHS = {
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21",
  micOff: "M9 9v2a3 3 0 0 0 4.6 2.5M15 10.5V6a3 3 0 0 0-5.8-1M5.5 11a6.5 6.5 0 0 0 10 5.5M18.5 11a6.5 6.5 0 0 1-.6 2.7M12 17.5V21M4 4l16 16",
  camera: "M4.5 6.5h9a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.5-1.5ZM15 10.5l6-3v9l-6-3",
  cameraOff: "M9 6.5h4.5A1.5 1.5 0 0 1 15 8v4.5M15 16a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.5-1.5M15 10.5l6-3v9l-2-1M4 4l16 16",
  screen: "M4.5 5h15A1.5 1.5 0 0 1 21 6.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 15.5v-9A1.5 1.5 0 0 1 4.5 5ZM8.5 20.5h7M12 14V8.5M9.5 10.8 12 8.3l2.5 2.5",
  chat: "M5 4.5h14A1.5 1.5 0 0 1 20.5 6v9a1.5 1.5 0 0 1-1.5 1.5h-7L7.5 20v-3.5H5A1.5 1.5 0 0 1 3.5 15V6A1.5 1.5 0 0 1 5 4.5ZM8 9h8M8 12.5h5",
  chart: "M5 20v-6M10 20V9M15 20v-9M20 20V4",
  leave: "M3.5 14.5c4.7-4.7 12.3-4.7 17 0l-2.2 2.2a1 1 0 0 1-1.2.2l-2.4-1.3a1 1 0 0 1-.5-.9V13a9.5 9.5 0 0 0-4.4 0v1.7a1 1 0 0 1-.5.9l-2.4 1.3a1 1 0 0 1-1.2-.2Z",
  close: "M6 6l12 12M18 6 6 18",
  send: "M4.5 12 20 4.5 15 20l-3.5-6.5ZM11.5 13.5 20 4.5",
  pin: "M9 3.5h6M10 3.5v6l-3 4h10l-3-4v-6M12 13.5V21",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8v4.4M9 14.8v4.4",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
