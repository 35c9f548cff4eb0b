// The control run: the same capture sent from browser to browser, with no server in between.

import { type Inbound, inboundOf, type Outbound, outboundOf, type Transport, transportsOf } from "./stats";

export class DirectCall {
  private readonly peer = new RTCPeerConnection();

  async capture(options: { width: number; height: number; frameRate: number; codec: string; maxBitrate: number }): Promise<void> {
    const { width, height, frameRate } = options;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate } });
    const track = stream.getVideoTracks()[0];
    if (!track) throw new Error("no camera");
    // addTrack, not addTransceiver: the answering side takes this one for the section of the offer.
    const sender = this.peer.addTrack(track, stream);
    const transceiver = this.peer.getTransceivers().find((each) => each.sender === sender);
    if (!transceiver) throw new Error("no transceiver");
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.maxBitrate = options.maxBitrate;
    await sender.setParameters(parameters);
    const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
    transceiver.setCodecPreferences(codecs.filter((codec) => codec.mimeType.toLowerCase() === `video/${options.codec}`));
    this.peer.ontrack = (event) => {
      const video = document.createElement("video");
      Object.assign(video, { autoplay: true, muted: true, playsInline: true, srcObject: new MediaStream([event.track]) });
      video.style.width = "240px";
      document.body.append(video);
    };
  }

  async offer(): Promise<string> {
    await this.peer.setLocalDescription();
    return this.gathered();
  }

  async answer(offer: string): Promise<string> {
    await this.peer.setRemoteDescription({ type: "offer", sdp: offer });
    await this.peer.setLocalDescription();
    return this.gathered();
  }

  async accept(answer: string): Promise<void> {
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer });
  }

  async sample(): Promise<{ at: number; outbound: Outbound[]; inbound: Inbound[]; transports: Transport[] }> {
    const report = await this.peer.getStats();
    return {
      at: performance.now(),
      outbound: outboundOf(report),
      inbound: inboundOf(report, "peer"),
      transports: transportsOf(report),
    };
  }

  private async gathered(): Promise<string> {
    while (this.peer.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 20));
    return this.peer.localDescription?.sdp ?? "";
  }
}
