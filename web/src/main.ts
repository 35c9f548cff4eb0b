// Entry of the meeting page: link -> pre-join -> call -> goodbye.

import "./style/base.css";
import "./style/entry.css";
import "./style/call.css";
import "./style/panels.css";
import "./style/small.css";
import { setLogLevel } from "livekit-client";
import { startCall } from "./call";
import { show } from "./dom";
import { type Link, LinkError, readLink } from "./link";
import { noticeScreen, tokenScreen } from "./notice";
import { prejoin } from "./prejoin";

async function meet(link: Link): Promise<void> {
  document.title = `${link.room} · Beep Media`;
  const choice = await prejoin(link);
  const ending = await startCall(link, choice);
  show(noticeScreen(ending.title, [ending.sentence], { label: "Join again", run: () => void meet(link) }));
}

function start(): void {
  try {
    const link = readLink(window.location);
    if (link) void meet(link);
    else show(tokenScreen(new URLSearchParams(window.location.search).get("room")));
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    show(noticeScreen("This link does not work", [error.message]));
  }
}

setLogLevel("warn");
start();
