// What needs a file system or an environment.
export { type FileStoreOptions, fileStore } from './node/file-store.ts';
export { apiKeyFromEnv, apiKeyFromFile, readSecretFile } from './node/key-sources.ts';
export { NodeWebSocket } from './node/web-socket.ts';
