export type { Clock } from './clock.ts';
export type { Log } from './log.ts';
export type { BookLevel, Json, JsonObject, Publication } from './publication.ts';
export type { Gateway } from './publishing/publisher.ts';
export { createSandbox, type Sandbox, type SandboxOptions } from './sandbox.ts';
