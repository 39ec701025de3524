import { randomBytes } from 'node:crypto';
import { checksumAddress, hashTypedData, type TypedData } from '@countersign/tokens';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  challenge,
  context,
  DAY,
  type House,
  login,
  MINUTE,
  openHouse,
  refusal,
  refusedAs,
  SECOND,
  SOURCE,
  wallet,
} from './support.ts';

const ada = wallet('ada');
const bob = wallet('bob');
let house: House;
beforeEach(async () => {
  house = await openHouse();
});
afterEach(() => house.dispose());

const complete = (nonceHash: string, signature: string, more: object = {}) =>
  house.walletLogin.complete({
    addr: ada.address,
    nonceHash,
    signature,
    source: SOURCE,
    userAgent: 'test',
    ...more,
  });

describe('the login message', () => {
  it('is the typed data that seed clients sign, as JSON text, and names the nonce twice', async () => {
    const message = await house.walletLogin.begin({ addr: ada.address, source: SOURCE });
    expect(Object.keys(message)).toEqual(['status', 'eip712Message', 'nonceHash']);
    expect(message.status).toBe('verify');
    expect(message.nonceHash).toMatch(/^[0-9a-f]{8}$/);
    const data = JSON.parse((message as { eip712Message: string }).eip712Message);
    expect(data.message).toEqual({
      hash: message.nonceHash,
      message: 'Please sign this message to verify account ownership',
      domain: 'ethgas.com',
    });
    expect(data.domain.chainId).toBe(1);
  });

  it.each([
    ['560048', 560048],
    ['0x88BB0', 560048],
    ['0x7e7e', 32382],
    [1, 1],
    [560048, 560048],
    ['', 1],
  ])('for chain id %j is for %i, and so is the session', async (chainId, expected) => {
    const { eip712Message, nonceHash } = await challenge(house, ada, { chainId });
    expect(JSON.parse(eip712Message).domain.chainId).toBe(expected);
    const { session } = await complete(nonceHash, ada.signTypedData(eip712Message));
    expect(session.chainId).toBe(expected);
  });

  it('is refused for chains that are not served and for chain ids that are none', async () => {
    expect(await refusedAs(() => challenge(house, ada, { chainId: 5 }))).toBe('unknown_chain');
    for (const chainId of ['one', '1.5', '-1', '0x', '1e3', ' 1', '9'.repeat(40), 1.5, Number.NaN])
      expect(await refusedAs(() => challenge(house, ada, { chainId }))).toBe('invalid_request');
  });

  it('takes addresses in lower, upper and checksum case, and refuses everything else by name', async () => {
    const digits = ada.address.slice(2);
    for (const addr of [ada.address, `0x${digits.toUpperCase()}`, checksumAddress(ada.address)])
      await house.walletLogin.begin({ addr, source: SOURCE });
    const right = checksumAddress(ada.address);
    const wrongCase = right.replace(/[a-f]/, (letter) => letter.toUpperCase());
    const bad = [
      wrongCase,
      digits,
      `0x${digits}0`,
      `0x${digits.slice(1)}`,
      `0x${'0'.repeat(40)}`,
      '',
      undefined,
      7,
    ];
    for (const addr of bad) {
      const { code, message } = await refusal(() =>
        house.walletLogin.begin({ addr: addr as string, source: SOURCE }),
      );
      expect(code).toBe('invalid_request');
      expect(message).toMatch(/^addr must be/);
    }
  });

  it('takes display names of up to 64 characters without control characters', async () => {
    await challenge(house, ada, { name: '😀'.repeat(64) });
    for (const name of ['a'.repeat(65), 'a\nb', 'a\u0000', 'a\u202eb', 'a\u2028b', '\ud800'])
      expect(await refusedAs(() => challenge(house, ada, { name }))).toBe('invalid_request');
    const { eip712Message, nonceHash } = await challenge(house, ada, { name: 'Ada' });
    const { user } = await complete(nonceHash, ada.signTypedData(eip712Message));
    expect(user.displayName).toBe('Ada');
  });

  it('never has the same nonce twice for one address, even after it was spent', async () => {
    await house.dispose();
    const draws = ['00000001', '00000001', '00000002'];
    house = await openHouse(
      {},
      { random: (n) => (n === 4 ? Buffer.from(draws.shift()!, 'hex') : randomBytes(n)) },
    );
    const first = await challenge(house, ada);
    await complete(first.nonceHash, ada.signTypedData(first.eip712Message));
    expect((await challenge(house, ada)).nonceHash).toBe('00000002');
    draws.push('00000001');
    expect((await challenge(house, bob)).nonceHash).toBe('00000001');
  });

  it('has nonces as long as configured', async () => {
    await house.dispose();
    house = await openHouse({ tokens: { nonceBytes: 32 } });
    expect((await challenge(house, ada)).nonceHash).toMatch(/^[0-9a-f]{64}$/);
    expect((await login(house, ada)).user.address).toBe(ada.address);
  });

  it('is limited per address and source, and per source, and says when to come back', async () => {
    await house.dispose();
    house = await openHouse({ wallet: { challengesPerAddress: 2, challengesPerSource: 3 } });
    await challenge(house, ada);
    await challenge(house, ada);
    const { code, retryAfter } = await refusal(() => challenge(house, ada));
    expect(code).toBe('rate_limited');
    expect(retryAfter).toBeGreaterThan(0);
    await challenge(house, ada, { source: '192.0.2.2' });
    await challenge(house, bob);
    expect(await refusedAs(() => challenge(house, bob))).toBe('rate_limited');
    await house.pass(5 * MINUTE);
    await challenge(house, ada);
  });
});

describe('a login', () => {
  it('opens a session of seven days for a new user with the configured access', async () => {
    const { user, session, access, refresh } = await login(house, ada);
    const now = house.clock.now();
    expect(user).toMatchObject({ address: ada.address, roles: ['ROLE_USER'], tier: 'free', status: 1 });
    expect(session).toMatchObject({
      userId: user.userId,
      chainId: 1,
      wallet: 'eoa',
      rotation: 'adaptive',
      createdAt: now,
      expiresAt: now + 7 * DAY,
      source: SOURCE,
      userAgent: 'test',
    });
    expect(access.expiresAt).toBe(now / 1000 + 3600);
    expect(refresh.expiresAt).toBe(now / 1000 + 7 * 86_400);
    expect(await house.store.sessions.find(session.sid)).toEqual(session);
  });

  it('finds the same user again under a new session id', async () => {
    const one = await login(house, ada);
    const two = await login(house, ada);
    expect(two.user).toEqual(one.user);
    expect(two.session.sid).not.toBe(one.session.sid);
  });

  it('beyond the limit of sessions ends the oldest, tells all nodes, and leaves a line in the audit log', async () => {
    const limited = await openHouse({ tokens: { sessionsPerUser: 2 } });
    const first = await login(limited);
    await limited.pass(SECOND);
    const second = await login(limited);
    await login(limited, wallet('bob'));
    await limited.pass(SECOND);
    const changes: unknown[] = [];
    limited.changes.onChange(({ kind, subject, reason }) => void changes.push([kind, subject, reason]));
    const third = await login(limited);
    expect(changes).toEqual([['session-ended', first.session.sid, 'session-limit']]);
    expect(limited.changes.isSessionEnded(first.session.sid)).toBe(true);
    expect((await limited.sessions.list(first.user.userId)).map(({ sid }) => sid)).toEqual([
      third.session.sid,
      second.session.sid,
    ]);
    await expect(limited.sessions.refresh([first.refresh.token], context)).rejects.toMatchObject({
      code: 'refresh_refused',
    });
    const lines = (await limited.audited()).filter(({ action }) => action === 'session.end');
    expect(lines).toMatchObject([{ actor: 'system', target: `session:${first.session.sid}` }]);
    expect(JSON.parse(lines[0]!.detail)).toEqual({ reason: 'session-limit', userId: first.user.userId });
    await limited.dispose();
  });

  it('takes nonce and signature in every spelling that seed clients use', async () => {
    const spellings: [(text: string) => string, (text: string) => string][] = [
      [(nonce) => nonce, (signature) => signature],
      [(nonce) => `0x${nonce}`, (signature) => signature.slice(2)],
      [(nonce) => nonce.toUpperCase(), (signature) => `0x${signature.slice(2).toUpperCase()}`],
      [(nonce) => `0X${nonce}`, (signature) => signature.replace(/1b$/, '00').replace(/1c$/, '01')],
    ];
    for (const [spellNonce, spellSignature] of spellings) {
      const { eip712Message, nonceHash } = await challenge(house, ada);
      await complete(spellNonce(nonceHash), spellSignature(ada.signTypedData(eip712Message)), {
        addr: checksumAddress(ada.address),
      });
    }
  });

  it('works for any of several live challenges of one address', async () => {
    const messages = [await challenge(house, ada), await challenge(house, ada), await challenge(house, ada)];
    for (const { eip712Message, nonceHash } of messages.reverse())
      await complete(nonceHash, ada.signTypedData(eip712Message));
  });

  it('succeeds once of 500 parallel tries with one good signature', async () => {
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const signature = ada.signTypedData(eip712Message);
    const tries = Array.from({ length: 500 }, () => complete(nonceHash, signature));
    const outcomes = await Promise.allSettled(tries);
    const opened = outcomes.filter(({ status }) => status === 'fulfilled');
    expect(opened).toHaveLength(1);
    const { user } = (opened[0] as PromiseFulfilledResult<Awaited<ReturnType<typeof complete>>>).value;
    expect(await house.sessions.list(user.userId)).toHaveLength(1);
  });

  it('by an EIP-4361 message signs the text that the server made', async () => {
    const begun = await house.walletLogin.begin({
      addr: ada.address,
      source: SOURCE,
      profile: 'eip4361',
      chainId: 560048,
    });
    expect(Object.keys(begun)).toEqual(['status', 'message', 'nonceHash']);
    const { message, nonceHash } = begun as { message: string; nonceHash: string };
    expect(message).toBe(
      [
        'ethgas.com wants you to sign in with your Ethereum account:',
        checksumAddress(ada.address),
        '',
        'Please sign this message to verify account ownership',
        '',
        'URI: https://ethgas.com',
        'Version: 1',
        'Chain ID: 560048',
        `Nonce: ${nonceHash}`,
        'Issued At: 2026-01-01T00:00:00.000Z',
        'Expiration Time: 2026-01-01T00:05:00.000Z',
      ].join('\n'),
    );
    house.clock.advance(MINUTE);
    const { session } = await complete(nonceHash, ada.signText(message));
    expect(session.chainId).toBe(560048);
  });

  it('is written into the audit log without nonce, signature or token', async () => {
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const signature = ada.signTypedData(eip712Message);
    const { access, refresh, session } = await complete(nonceHash, signature);
    await refusal(() => complete(nonceHash, signature));
    const [refused, accepted] = await house.audited();
    expect(accepted).toMatchObject({
      action: 'login.accepted',
      target: `address:${ada.address}`,
      source: SOURCE,
    });
    expect(JSON.parse(accepted!.detail)).toEqual({
      sid: session.sid,
      wallet: 'eoa',
      chainId: 1,
      userAgent: 'test',
    });
    expect(refused).toMatchObject({ action: 'login.refused', actor: 'anonymous', source: SOURCE });
    expect(JSON.parse(refused!.detail)).toEqual({ reason: 'no live challenge', userAgent: 'test' });
    const all = JSON.stringify(await house.audited());
    for (const secret of [nonceHash, signature.slice(2), access.token, refresh.token])
      expect(all).not.toContain(secret);
  });
});

describe('a login is refused, always alike, and its challenge is used up', () => {
  const typed = (json: string): TypedData & { message: Record<string, unknown> } => JSON.parse(json);
  const resigned = (json: string, change: (data: ReturnType<typeof typed>) => object): string =>
    ada.signDigest(hashTypedData(change(typed(json)) as TypedData));
  const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

  it.each<[string, (json: string) => string]>([
    ['by another wallet', (json) => bob.signTypedData(json)],
    [
      'of another nonce',
      (json) => resigned(json, (d) => ({ ...d, message: { ...d.message, hash: '00000000' } })),
    ],
    [
      'of another text',
      (json) => resigned(json, (d) => ({ ...d, message: { ...d.message, message: 'Pay' } })),
    ],
    [
      'of another site',
      (json) => resigned(json, (d) => ({ ...d, message: { ...d.message, domain: 'evil.com' } })),
    ],
    [
      'of another chain',
      (json) => resigned(json, (d) => ({ ...d, domain: { ...d.domain, chainId: 560048 } })),
    ],
    [
      'of another domain name',
      (json) => resigned(json, (d) => ({ ...d, domain: { ...d.domain, name: 'Other' } })),
    ],
    [
      'of another version',
      (json) => resigned(json, (d) => ({ ...d, domain: { ...d.domain, version: '2' } })),
    ],
    [
      'of another contract',
      (json) =>
        resigned(json, (d) => ({ ...d, domain: { ...d.domain, verifyingContract: `0x${'1'.repeat(40)}` } })),
    ],
    [
      'with the fields in another order',
      (json) => resigned(json, (d) => ({ ...d, types: { ...d.types, data: [...d.types.data!].reverse() } })),
    ],
    [
      'under another type name',
      (json) =>
        resigned(json, (d) => ({
          ...d,
          primaryType: 'login',
          types: { EIP712Domain: d.types.EIP712Domain, login: d.types.data },
        })),
    ],
    [
      'without a domain field',
      (json) =>
        resigned(json, (d) => ({
          ...d,
          types: { ...d.types, EIP712Domain: d.types.EIP712Domain!.filter(({ name }) => name !== 'version') },
          domain: { ...d.domain, version: undefined },
        })),
    ],
    ['as a personal message', (json) => ada.signText(json)],
    [
      'with the high twin of s',
      (json) => {
        const signature = ada.signTypedData(json);
        const s = (N - BigInt(`0x${signature.slice(66, 130)}`)).toString(16).padStart(64, '0');
        return `${signature.slice(0, 66)}${s}${signature.endsWith('1b') ? '1c' : '1b'}`;
      },
    ],
    ['of 64 bytes', (json) => ada.signTypedData(json).slice(0, -2)],
    ['of 66 bytes', (json) => `${ada.signTypedData(json)}00`],
    ['of zeros', () => `0x${'00'.repeat(64)}1b`],
    ['that is not hex', () => 'z'.repeat(130)],
    ['with v of 29', (json) => `${ada.signTypedData(json).slice(0, -2)}1d`],
  ])('for a signature %s', async (_, sign) => {
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const bad = await refusal(() => complete(nonceHash, sign(eip712Message)));
    const burnt = await refusal(() => complete(nonceHash, ada.signTypedData(eip712Message)));
    expect([bad.code, burnt.code]).toEqual(['login_refused', 'login_refused']);
    expect(bad.message).toBe(burnt.message);
    expect(await house.store.users.findByAddress(ada.address)).toBeNull();
  });

  it("for another address's nonce, without using that up", async () => {
    const { eip712Message, nonceHash } = await challenge(house, bob);
    expect(await refusedAs(() => complete(nonceHash, ada.signTypedData(eip712Message)))).toBe(
      'login_refused',
    );
    await complete(nonceHash, bob.signTypedData(eip712Message), { addr: bob.address });
  });

  it('for a nonce that was never issued, is spent, or is older than five minutes', async () => {
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const signature = ada.signTypedData(eip712Message);
    const other = nonceHash === '00000000' ? '00000001' : '00000000';
    expect(await refusedAs(() => complete(other, signature))).toBe('login_refused');
    await complete(nonceHash, signature);
    expect(await refusedAs(() => complete(nonceHash, signature))).toBe('login_refused');
    const late = await challenge(house, ada);
    house.clock.advance(5 * MINUTE);
    const lateSignature = ada.signTypedData(late.eip712Message);
    expect(await refusedAs(() => complete(late.nonceHash, lateSignature))).toBe('login_refused');
  });

  it('for a suspended user', async () => {
    const { user } = await login(house, ada);
    await house.store.users.updateAccess(user.userId, { status: 2 }, house.clock.now());
    expect(await refusedAs(() => login(house, ada))).toBe('login_refused');
  });

  it('after 200 failures of one source, until it has waited; other sources go on', async () => {
    for (let i = 0; i < 200; i += 1)
      expect(await refusedAs(() => complete('00000000', '0x00'))).toBe('login_refused');
    const { code, retryAfter } = await refusal(() => complete('00000000', '0x00'));
    expect([code, retryAfter]).toEqual(['rate_limited', 1]);
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const signature = ada.signTypedData(eip712Message);
    expect(await refusedAs(() => complete(nonceHash, signature))).toBe('rate_limited');
    await complete(nonceHash, signature, { source: '192.0.2.2' });
  });
});

describe('parameters that are not well-formed', () => {
  it('are named, and cost no challenge', async () => {
    const { eip712Message, nonceHash } = await challenge(house, ada);
    const signature = ada.signTypedData(eip712Message);
    const bad: [object, RegExp][] = [
      [{ addr: '0x12' }, /^addr must be/],
      [{ nonceHash: undefined }, /^nonceHash is needed/],
      [{ nonceHash: 12345678 }, /^nonceHash is needed/],
      [{ nonceHash: 'a'.repeat(67) }, /^nonceHash is too long/],
      [{ signature: '' }, /^signature is needed/],
      [{ signature: '0'.repeat(1_000_000) }, /^signature is too long/],
    ];
    for (const [wrong, said] of bad) {
      const { code, message } = await refusal(() => complete(nonceHash, signature, wrong));
      expect(code).toBe('invalid_request');
      expect(message).toMatch(said);
    }
    await complete(nonceHash, signature);
  });
});
