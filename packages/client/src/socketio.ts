// The Socket.IO door. Needs `socket.io-client` beside this package.
export { RequestRefused } from './socketio/calls.ts';
export {
  createSocketClient,
  type SocketClient,
  type SocketClientOptions,
  type SocketClientStats,
  type SocketEvents,
  type SocketState,
} from './socketio/client.ts';
