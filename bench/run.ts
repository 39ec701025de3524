/**
 * Measures against real processes on this machine. Nothing here fails a build: figures are for people.
 *
 * npm run bench                       all of them
 * npm run bench -- login rest         some
 *   --rounds N   --seconds N   --install (client: fetches what it is compared with)
 */
import { parseArgs } from 'node:util';
import { broker } from './broker.ts';
import { client } from './client.ts';
import { cluster } from './cluster.ts';
import { fanout } from './fanout.ts';
import { forward } from './forward.ts';
import { idle } from './idle.ts';
import { level2 } from './level2.ts';
import { login } from './login.ts';
import { recovery } from './recovery.ts';
import { rest } from './rest.ts';
import { stormSim } from './storm-sim.ts';
import { verify } from './verify.ts';

const BENCHES = {
  login,
  rest,
  fanout,
  verify,
  level2,
  recovery,
  idle,
  forward,
  client,
  broker,
  cluster,
  'storm-sim': stormSim,
} as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
    install: { type: 'boolean', default: false },
  },
});
const chosen = positionals.length === 0 ? Object.keys(BENCHES) : positionals;
const unknown = chosen.find((name) => !(name in BENCHES));
if (unknown !== undefined) {
  process.stderr.write(`there is no bench "${unknown}"; there are: ${Object.keys(BENCHES).join(', ')}\n`);
  process.exit(2);
}
for (const name of chosen as (keyof typeof BENCHES)[]) {
  await BENCHES[name]({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    install: values.install,
  });
}
