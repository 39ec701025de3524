import { createTurns, type SessionStore } from './store.ts';

/** Keeps a session as long as the process lives. Sessions that are given the same store share it. */
export function memoryStore(): SessionStore {
  let kept: string | null = null;
  const listeners = new Set<() => void>();
  const changed = (text: string | null) => {
    kept = text;
    for (const listener of [...listeners]) listener();
  };
  return {
    read: async () => kept,
    write: async (text) => changed(text),
    clear: async () => changed(null),
    exclusive: createTurns(),
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
