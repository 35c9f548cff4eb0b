// Makes this page a client that lacks decoders: it neither offers nor accepts to receive the codecs taken away.

type Describe = (this: RTCPeerConnection, options?: object) => Promise<RTCSessionDescriptionInit>;

/** `codecs` as "av1", or "h264;packetization-mode=1" for some forms of one. To be called before the page connects. */
export function loseDecoders(codecs: string[]): void {
  function isLost({ mimeType, sdpFmtpLine }: RTCRtpCodec): boolean {
    return codecs.some((codec) => {
      const [name, parameter = ""] = codec.split(";");
      return mimeType.toLowerCase() === `video/${name}` && (sdpFmtpLine ?? "").includes(parameter);
    });
  }
  const left = (RTCRtpReceiver.getCapabilities("video")?.codecs ?? []).filter((each) => !isLost(each));

  function restrict(peer: RTCPeerConnection): void {
    for (const transceiver of peer.getTransceivers()) {
      const receives = transceiver.direction === "recvonly" || transceiver.direction === "inactive";
      if (receives && transceiver.receiver.track.kind === "video") transceiver.setCodecPreferences(left);
    }
  }

  const prototype = RTCPeerConnection.prototype;
  for (const name of ["createOffer", "createAnswer"] as const) {
    const original = prototype[name] as Describe;
    const restricted: Describe = function (options) {
      restrict(this);
      return original.call(this, options);
    };
    Object.assign(prototype, { [name]: restricted });
  }
}
