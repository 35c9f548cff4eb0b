// End-to-end encryption with one key for the whole room. The worker is bundled by Vite: the page's policy forbids code from elsewhere.

import { ExternalE2EEKeyProvider, type RoomOptions } from "livekit-client";
import E2EEWorker from "livekit-client/e2ee-worker?worker";

/** Options of a `Room`; media and data are encrypted once `room.setE2EEEnabled(true)` was called. */
export async function encryptedWith(passphrase: string): Promise<Pick<RoomOptions, "encryption">> {
  const keyProvider = new ExternalE2EEKeyProvider();
  await keyProvider.setKey(passphrase);
  return { encryption: { keyProvider, worker: new E2EEWorker() } };
}
