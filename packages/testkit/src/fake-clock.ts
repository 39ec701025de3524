/** A clock that a test moves by hand. It has the shape of the gateway's `Clock`. */
export interface FakeClock {
  now(): number;
  monotonic(): number;
  after(ms: number, task: () => void): () => void;
  every(ms: number, task: () => void): () => void;
  /** Lets time pass: wall and monotonic time move together, and each task that falls due runs at its own moment, in order. */
  advance(ms: number): void;
  /** Sets the wall clock forward or back by `ms`, as a correction of the machine's clock does. Runs no task. */
  jump(ms: number): void;
}

interface Task {
  due: number;
  order: number;
  period: number | null;
  run: () => void;
}

/** @param start wall-clock milliseconds since 1970. Monotonic time starts at 0. */
export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  const tasks = new Set<Task>();
  let wall = start;
  let mono = 0;
  let order = 0;

  const schedule = (ms: number, period: number | null, run: () => void): (() => void) => {
    const task: Task = { due: mono + Math.max(0, ms), order: order++, period, run };
    tasks.add(task);
    return () => void tasks.delete(task);
  };

  const nextDue = (until: number): Task | null => {
    let next: Task | null = null;
    for (const task of tasks)
      if (
        task.due <= until &&
        (next === null || task.due < next.due || (task.due === next.due && task.order < next.order))
      )
        next = task;
    return next;
  };

  return {
    now: () => wall,
    monotonic: () => mono,
    after: (ms, task) => schedule(ms, null, task),
    every: (ms, task) => schedule(ms, Math.max(1, ms), task),
    advance(ms) {
      const until = mono + ms;
      for (let task = nextDue(until); task !== null; task = nextDue(until)) {
        wall += task.due - mono;
        mono = task.due;
        if (task.period === null) tasks.delete(task);
        else task.due += task.period;
        try {
          task.run();
        } catch (error) {
          // The contract of `every`: a task that throws does not stop the series.
          if (task.period === null) throw error;
        }
      }
      wall += until - mono;
      mono = until;
    },
    jump(ms) {
      wall += ms;
    },
  };
}
