/**
 * A place from which clients can vanish without a word: a network namespace of its own, tied to this machine by a pair of
 * virtual interfaces of which one is taken down. Where that cannot be had (it needs root and `ip`), a process that
 * is held: its kernel still takes what is sent to it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

export interface Elsewhere {
  /** `namespace` or `held process`. */
  readonly kind: string;
  /** Address of this machine, as clients there see it. */
  readonly host: string;
  /** Runs a TypeScript program there; its error output is shown, the rest can be read. */
  run(program: string): ChildProcess;
  /** From now on nothing comes from there, and nothing that is sent there is answered by a client. */
  vanish(): void;
  /** Ends what runs there. Idempotent. */
  close(): void;
}

export function openElsewhere(): Elsewhere {
  return inNamespace() ?? held();
}

function inNamespace(): Elsewhere | null {
  const id = process.pid % 16_384;
  const name = `cs-drill-${process.pid}`;
  const [here, there] = [`csh${id}`, `cst${id}`];
  // A network of four addresses for each drill, within 10.213.0.0/16.
  const network = `10.213.${id >> 6}`;
  const first = (id & 63) << 2;
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe', timeout: 5000 });
  try {
    ip('netns', 'add', name);
  } catch {
    return null;
  }
  const children: ChildProcess[] = [];
  const close = () => {
    process.off('exit', close);
    for (const child of children.splice(0)) child.kill('SIGKILL');
    try {
      ip('netns', 'del', name);
    } catch {
      // Gone already.
    }
  };
  process.once('exit', close);
  try {
    ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', name);
    ip('addr', 'add', `${network}.${first + 1}/30`, 'dev', here);
    ip('link', 'set', here, 'up');
    ip('-n', name, 'addr', 'add', `${network}.${first + 2}/30`, 'dev', there);
    ip('-n', name, 'link', 'set', there, 'up');
  } catch {
    close();
    return null;
  }
  return {
    kind: 'namespace',
    host: `${network}.${first + 1}`,
    run(program) {
      const child = start('ip', ['netns', 'exec', name, process.execPath, '--import', 'tsx', program]);
      children.push(child);
      return child;
    },
    vanish: () => void ip('-n', name, 'link', 'set', there, 'down'),
    close,
  };
}

function held(): Elsewhere {
  const children: ChildProcess[] = [];
  return {
    kind: 'held process',
    host: '127.0.0.1',
    run(program) {
      const child = start(process.execPath, ['--import', 'tsx', program]);
      children.push(child);
      return child;
    },
    vanish() {
      for (const child of children) child.kill('SIGSTOP');
    },
    close() {
      for (const child of children.splice(0)) child.kill('SIGKILL');
    },
  };
}

const start = (command: string, args: readonly string[]): ChildProcess =>
  spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
