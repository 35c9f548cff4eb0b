// A bare livekit-client page for the end-to-end tests: `window.client` joins, publishes and reports numbers.

import { RoomClient } from "./client";
import { DirectCall } from "./direct";

Object.assign(window, { client: new RoomClient(), direct: new DirectCall() });
