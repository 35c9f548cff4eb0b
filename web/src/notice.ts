// Screens that say one thing: no token, a bad link, the end of a call.

import { h } from "./dom";

export interface Action {
  label: string;
  run: () => void;
}

export function noticeScreen(title: string, body: (string | HTMLElement)[], action?: Action): HTMLElement {
  const main = h(
    "main",
    { class: "notice" },
    h("div", { class: "logo", "aria-hidden": "true" }),
    h("h1", {}, title),
    ...body.map((part) => (typeof part === "string" ? h("p", {}, part) : part)),
  );
  if (action) {
    const button = h("button", { class: "primary", type: "button", onclick: action.run }, action.label);
    main.append(button);
    queueMicrotask(() => button.focus());
  }
  return main;
}

/** No token in the address: say how to get one, and take one by hand. */
export function tokenScreen(room: string | null): HTMLElement {
  const input = h("textarea", {
    id: "token",
    rows: 3,
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "eyJhbGciOi…",
  });
  const form = h(
    "form",
    {
      class: "token-form",
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        const query = new URLSearchParams({ token: input.value.trim() });
        if (room) query.set("room", room);
        location.search = query.toString();
      },
    },
    h("label", { for: "token" }, "Or paste a token"),
    input,
    h("button", { class: "primary", type: "submit" }, "Continue"),
  );
  return noticeScreen("You need a link to join", [
    "A link carries a token that says who you are and which room you may enter. A server started with “make run” prints two ready-made links; this command makes a token for another guest:",
    h("pre", {}, h("code", {}, `beep-media token --room ${room ?? "lobby"} --identity me`)),
    form,
  ]);
}
