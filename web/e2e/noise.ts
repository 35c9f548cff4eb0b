// A picture that is as hard to encode as a real camera's: several packets a frame. Chromium's own fake camera is not.

const FRAMES = 12;
const AMPLITUDE = 24;

export function noisyCamera(width: number, height: number, frameRate: number): MediaStreamTrack {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  const frames = Array.from({ length: FRAMES }, () => noise(context.createImageData(width, height)));
  let shown = 0;
  setInterval(() => context.putImageData(frames[shown++ % FRAMES] as ImageData, 0, 0), 1000 / frameRate);
  const track = canvas.captureStream(frameRate).getVideoTracks()[0];
  if (!track) throw new Error("no picture");
  return track;
}

function noise(image: ImageData): ImageData {
  for (let at = 0; at < image.data.length; at += 4) {
    const value = 100 + (100 * (at % (image.width * 4))) / (image.width * 4) + Math.random() * AMPLITUDE;
    image.data[at] = image.data[at + 1] = image.data[at + 2] = value;
    image.data[at + 3] = 255;
  }
  return image;
}
