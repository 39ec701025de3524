// The Socket.IO door. Needs `socket.io-client` beside this package.
export { RequestRefused } from './socketio/calls.ts';
export { createSocketClient } from './socketio/client.ts';
export type {
  SocketClient,
  SocketClientOptions,
  SocketClientStats,
  SocketEvents,
  SocketState,
} from './socketio/socket-client.ts';
