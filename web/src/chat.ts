// Chat over data: text streams on the topic that other LiveKit clients use too.

import type { Room } from "livekit-client";
import { h } from "./dom";
import { icon } from "./icons";
import { displayName } from "./tile";

const TOPIC = "lk.chat";
const MAX_LENGTH = 2000;
const KEPT = 500; // messages on the page; older ones go

export class Chat {
  readonly element: HTMLElement;
  private readonly log = h("div", { class: "chat-log", role: "log", "aria-live": "polite", tabindex: 0, "aria-label": "Messages" });
  private readonly input = h("textarea", {
    rows: 1,
    maxlength: MAX_LENGTH,
    placeholder: "Message everyone",
    "aria-label": "Message everyone",
    enterkeyhint: "send",
  });
  private readonly problem = h("p", { class: "problem", role: "status" });
  private lastAuthor = "";

  constructor(
    private readonly room: Room,
    private readonly host: { closeChat: () => void; unread: () => void },
  ) {
    const form = h(
      "form",
      {
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          void this.send();
        },
      },
      this.input,
      h("button", { class: "small", type: "submit", "aria-label": "Send", title: "Send" }, icon("send")),
    );
    this.input.onkeydown = (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    };
    this.element = h(
      "aside",
      { class: "chat-panel", hidden: true, "aria-label": "Chat" },
      h(
        "header",
        {},
        h("h2", {}, "Chat"),
        h("button", { class: "small", type: "button", "aria-label": "Close chat", title: "Close chat", onclick: host.closeChat }, icon("close")),
      ),
      this.log,
      this.problem,
      form,
    );
    room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
      void reader.readAll().then(
        (text) => this.receive(identity, text),
        () => this.problem.append("A message was lost."),
      );
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  setOpen(open: boolean): void {
    this.element.hidden = !open;
    if (open) this.input.focus();
  }

  close(): void {
    this.room.unregisterTextStreamHandler(TOPIC);
  }

  private receive(identity: string, text: string): void {
    const sender = this.room.remoteParticipants.get(identity);
    this.append(sender ? displayName(sender) : identity, text, false);
    if (!this.open) this.host.unread();
  }

  private async send(): Promise<void> {
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = "";
    this.problem.textContent = "";
    try {
      await this.room.localParticipant.sendText(text, { topic: TOPIC });
      this.append("You", text, true);
    } catch {
      this.input.value = text;
      this.problem.textContent = "Not sent: the connection is down. Try again in a moment.";
    }
  }

  private append(author: string, text: string, own: boolean): void {
    const follow = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const head = author === this.lastAuthor ? null : h("div", { class: "chat-head" }, h("strong", {}, author), h("time", {}, time));
    this.log.append(h("div", { class: own ? "chat-message own" : "chat-message" }, head, h("p", {}, text)));
    this.lastAuthor = author;
    while (this.log.childElementCount > KEPT) this.log.firstElementChild?.remove();
    if (follow || own) this.log.scrollTop = this.log.scrollHeight;
  }
}
