// Reads the numbers that tests/interop/numbered.py draws into pictures, from every frame that the browser decodes.

const COLUMNS = 8;
const ROWS = 3;

// Chromium hands out every decoded frame; a <video> shows only those that its compositor had the time for.
declare class MediaStreamTrackProcessor {
  constructor(options: { track: MediaStreamTrack; maxBufferSize?: number });
  readonly readable: ReadableStream<VideoFrame>;
}

/** The number of each frame over `seconds` from the first one on; null for a frame without a number. */
export async function readNumbers(track: MediaStreamTrack, seconds: number): Promise<(number | null)[]> {
  const reader = new MediaStreamTrackProcessor({ track: track.clone(), maxBufferSize: 60 }).readable.getReader();
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  const numbers: (number | null)[] = [];
  let deadline = Number.POSITIVE_INFINITY;
  while (performance.now() < deadline) {
    const { value: frame, done } = await reader.read();
    if (done) break;
    if (numbers.length === 0) deadline = performance.now() + seconds * 1000;
    canvas.width = frame.displayWidth;
    canvas.height = frame.displayHeight;
    context.drawImage(frame, 0, 0);
    frame.close();
    numbers.push(numberIn(context.getImageData(0, 0, canvas.width, canvas.height)));
  }
  await reader.cancel();
  return numbers;
}

function numberIn({ width, height, data }: ImageData): number | null {
  const side = Math.floor(width / COLUMNS);
  const tall = Math.floor(height / 2 / ROWS);
  let bits = 0;
  for (let square = 0; square < COLUMNS * ROWS; square++) {
    const left = (square % COLUMNS) * side;
    const top = Math.floor(square / COLUMNS) * tall;
    let sum = 0;
    let count = 0;
    for (let y = top + (tall >> 2); y < top + tall - (tall >> 2); y++) {
      for (let x = left + (side >> 2); x < left + side - (side >> 2); x++, count++) sum += data[(y * width + x) * 4 + 1] ?? 0;
    }
    const mean = sum / count;
    if (mean > 90 && mean < 160) return null;
    bits = bits * 2 + (mean > 128 ? 1 : 0);
  }
  const number = bits >> 8;
  return (bits & 0xff) === checkOf(number) ? number : null;
}

function checkOf(number: number): number {
  return (number * 167 + (number >> 8) * 91 + 0x5a) & 0xff;
}
