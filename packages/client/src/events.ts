/** A small typed emitter. Listeners are called in the order they were added, on the caller's stack. */

/** Takes a listener away again; idempotent. */
export type Unsubscribe = () => void;

export interface Listenable<Events extends object> {
  /**
   * Adds a listener. It must not block. What it throws stops neither the other listeners nor the sender: it is
   * reported as the platform reports errors of event handlers.
   */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe;
}

export interface Emitter<Events extends object> extends Listenable<Events> {
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void;
  /** Takes all listeners away. */
  clear(): void;
}

/** `reportError` in browsers; a line on the console elsewhere, where an uncaught error would end the process. */
function report(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void };
  if (typeof reportError === 'function') reportError(error);
  else console.error('A listener of @countersign/client threw:', error);
}

/** @param onListenerError gets what a listener throws; must not throw itself */
export function createEmitter<Events extends object>(
  onListenerError: (error: unknown) => void = report,
): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(event: never) => void>>();
  return {
    on(name, listener) {
      // Its own object, so that one function added twice is called twice and taken away once at a time.
      const entry = (event: never) => listener(event);
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set);
      set.add(entry);
      return () => void set.delete(entry);
    },
    emit(name, event) {
      for (const listener of [...(listeners.get(name) ?? [])]) {
        try {
          listener(event as never);
        } catch (error) {
          onListenerError(error);
        }
      }
    },
    clear: () => listeners.clear(),
  };
}
