/** The routes that `explain` knows of, beside those that the door has. What it says of them is tested in `access/live.test.ts`. */
import { expect, it } from 'vitest';
import { createRouteTable } from '../../src/backend/routes.ts';
import { OWN_ROUTES } from '../../src/backend/wishes.ts';
import { openDoor } from './door.ts';

interface Served {
  method: string;
  path: string;
}

/** Routes of a real door, but for those that a table passes on to the venue. */
async function served(): Promise<Served[]> {
  // These two are there before anybody can ask to be told.
  const found: Served[] = [
    { method: 'GET', path: '/' },
    { method: 'GET', path: '/.well-known/jwks.json' },
  ];
  const door = await openDoor({
    keys: {} as never,
    made: ({ fastify }) =>
      fastify.addHook('onRoute', ({ method, url }) => {
        for (const one of [method].flat()) found.push({ method: one, path: url });
      }),
  });
  const root = await Promise.all(found.slice(0, 2).map((one) => door.ask(one)));
  expect(root.map(({ status }) => status)).toEqual([200, 200]);
  await door.close();
  const passedOn = new Set(createRouteTable([]).rest.map(({ method, path }) => `${method} ${path}`));
  return found.filter(
    // HEAD comes with GET, and `/api/v1` is another name of `/v1`.
    ({ method, path }) =>
      method !== 'HEAD' && !path.startsWith('/api/v1/') && !passedOn.has(`${method} ${path}`),
  );
}

const matches = ([methods]: (typeof OWN_ROUTES)[number], method: string): boolean =>
  new RegExp(`^${methods}$`).test(method);

it('has a row for every route of the door', async () => {
  const routes = await served();
  expect(routes.length).toBeGreaterThan(25);
  const unknown = routes.filter(({ method, path }) => {
    // A part with a fixed choice of words, and a part that may be anything.
    const asked = path.replace(':what', 'pricer').replace(/:[^/]+|\*/g, 'x');
    return !OWN_ROUTES.some((row) => matches(row, method) && row[1].test(asked));
  });
  expect(unknown).toEqual([]);
});

it('has no row without a route of the door', async () => {
  const routes = await served();
  const left = OWN_ROUTES.filter(
    (row) =>
      !routes.some(({ method, path }) => {
        if (!matches(row, method)) return false;
        const asked = path.replace(':what', 'pricer').replace(/:[^/]+|\*/g, 'x');
        if (row[1].test(asked)) return true;
        // One route of the door may decide by itself about all that is below a path.
        const start = row[1].source.replaceAll('\\/', '/').slice(1);
        return path.endsWith('/*') && start.startsWith(path.slice(0, -1));
      }),
  );
  expect(left).toEqual([]);
});
