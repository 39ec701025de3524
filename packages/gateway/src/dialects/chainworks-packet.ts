/**
 * Socket.IO packets (protocol 5) of the default namespace as text, and as the WebSocket frame they travel in. Ready
 * frames go out beside the Socket.IO library, which would encode each of them once per reader.
 */
import { textFrame } from '../streams/text-frame.ts';

/** An event with one parameter. `event` and `json` are JSON text. */
export const eventPacket = (event: string, json: string): string => `2[${event},${json}]`;

/** The answer to an event that asked for one. `id` is the digits of its acknowledgement id. */
export const ackPacket = (id: string, json: string): string => `3${id}[${json}]`;

/** `4` is Engine.IO's type for a message (protocol 4). */
export const packetFrame = (packet: string): Buffer => textFrame(`4${packet}`);

/** Where the packet begins in the payload of such a frame. */
export const PACKET_AT = 1;
