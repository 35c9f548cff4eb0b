// What the page's address says: /meet?room=R&token=T, and for trying things out `codec` and `peers`.

import type { VideoCodec } from "livekit-client";

export interface Link {
  room: string;
  identity: string;
  name: string;
  token: string;
  /** Where signalling lives: the host this page came from. */
  server: string;
  /** `codec=vp8|h264|vp9|av1`, VP8 by default. */
  codec: VideoCodec;
  /** `peers=2` asks for the older signalling with two peer connections. */
  singlePeerConnection: boolean;
}

interface Claims {
  sub?: string;
  name?: string;
  exp?: number;
  video?: { room?: string; roomJoin?: boolean };
}

export class LinkError extends Error {}

/** Reads the address; null when it carries no token. Throws LinkError with a sentence for the user. */
export function readLink(location: Location): Link | null {
  const query = new URLSearchParams(location.search);
  const token = query.get("token")?.trim();
  if (!token) return null;
  const claims = readClaims(token);
  const room = claims.video?.room ?? "";
  const asked = query.get("room");
  if (!claims.video?.roomJoin || !room) {
    throw new LinkError("This token does not allow joining a room. Ask for one that has the roomJoin grant.");
  }
  if (asked && asked !== room) {
    throw new LinkError(`This token is for the room “${room}”, but the link names “${asked}”. Ask for a new link.`);
  }
  if (claims.exp !== undefined && claims.exp * 1000 < Date.now()) {
    throw new LinkError("This link has expired. Ask for a new one.");
  }
  const identity = claims.sub ?? "";
  return {
    room,
    identity,
    name: claims.name || identity,
    token,
    server: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`,
    codec: readCodec(query.get("codec")),
    singlePeerConnection: query.get("peers") !== "2",
  };
}

/** The claims are read for display only; the server is the one that checks the signature. */
function readClaims(token: string): Claims {
  try {
    const body = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(body), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  } catch {
    throw new LinkError("The token in this link is damaged. Copy the whole link again.");
  }
}

function readCodec(value: string | null): VideoCodec {
  return value === "h264" || value === "vp9" || value === "av1" ? value : "vp8";
}
