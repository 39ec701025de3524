/** An API key: signs a short-lived JWT for every message and request. */
import {
  buildApiKeyJwt,
  type ImportedPrivateKey,
  importPrivateKey,
  TokenError,
} from '@countersign/tokens/web';
import { type Clock, systemClock } from './clock.ts';
import { createClockSkew } from './clock-skew.ts';
import type { Credential, WaitOptions } from './credential.ts';
import { CredentialError, UsageError } from './errors.ts';
import { checkScheme } from './http/base-url.ts';
import { createCaller, dataOf, type Fetch, noteDate } from './http/caller.ts';

/** Key text in any form people have it, or a JWK: see `createApiKey`. */
export type KeyForm = string | object;

export interface ApiKeyOptions {
  /**
   * PEM (SEC1, PKCS#8; with `\n` escapes, quotes, CRLF, a BOM), base64 of an Ed25519 seed (32 bytes) or seed and public
   * key (64 bytes), a JWK, the text of a `cdp_api_key.json`; or a function that gives one, which is asked again when a
   * server refuses what the key signed.
   */
  key: KeyForm | (() => KeyForm | Promise<KeyForm>);
  /** `organizations/{org}/apiKeys/{key}` or a bare id. May be left out where the key is a key file. */
  name?: string;
  /** Answers the server's time in its `Date` header; asked once after a refusal, to rule out this machine's clock. */
  timeUrl?: string | URL;
  /** Permits plain http to another machine. Default false. */
  allowInsecure?: boolean;
  fetch?: Fetch;
  clock?: Clock;
}

export interface ApiKey extends Credential {
  readonly kind: 'api-key';
  readonly name: string;
  readonly algorithm: 'ES256' | 'EdDSA';
  /** A JWT for one WebSocket message; make a new one for each. */
  webSocketToken(): Promise<string>;
  /**
   * A JWT for one request, bound to method, host and path. The query may change.
   *
   * @throws UsageError `invalid_option` for a URL that is not absolute
   */
  restToken(method: string, url: string | URL): Promise<string>;
  /**
   * `fetch` with a token for this request. On 401 once more, if the answer showed that this machine's clock is off or
   * the key has been replaced.
   */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
}

/** The most that servers accept, in seconds. */
const LIFETIME = 120;
/** Tokens begin a little in the past: what is learned of a clock is a second or two wide. */
const BACKDATE = 2000;
const MAX_NAME = 256;
/** A difference between clocks that can have made a server refuse, in milliseconds. */
const CLOCK_MATTERS = 2000;

const invalid = (why: string): CredentialError =>
  new CredentialError('invalid_key', `The API key cannot be used: ${why}`);

/**
 * Reads an API key and proves that it can sign.
 *
 * @throws CredentialError `invalid_key` that says what is wrong and shows nothing of the key
 */
export async function createApiKey(options: ApiKeyOptions): Promise<ApiKey> {
  const { clock = systemClock, allowInsecure = false } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const skew = createClockSkew();
  const call = createCaller({ fetch, clock, skew, timeout: 3000, credentials: 'omit' });

  let form = await readForm(options.key);
  let signing = await load(form, options.name);
  /** Work that a refusal asked for; the next token waits for it. */
  let mending: Promise<void> | null = null;

  async function sign(uri?: string): Promise<string> {
    const { name: keyName, key } = signing;
    const now = Math.floor((clock.now() + skew.offset - BACKDATE) / 1000);
    return buildApiKeyJwt({
      key,
      keyName,
      now,
      lifetime: LIFETIME,
      ...(uri === undefined ? {} : { uri }),
    });
  }

  /** Takes a key that has been replaced since. @returns whether there is one */
  async function reload(): Promise<boolean> {
    if (typeof options.key !== 'function') return false;
    const latest = await readForm(options.key);
    if (JSON.stringify(latest) === JSON.stringify(form)) return false;
    signing = await load(latest, options.name);
    form = latest;
    return true;
  }

  async function measureClock(): Promise<void> {
    if (options.timeUrl === undefined || skew.known) return;
    const reply = await call(options.timeUrl, { method: 'GET' });
    const data = dataOf(reply);
    const millis = Number(data?.epochMillis);
    if (Number.isFinite(millis) && millis > 0) skew.observe(millis, 1000, reply.sentAt, reply.receivedAt);
  }

  function read(url: string | URL): URL {
    if (!URL.canParse(String(url)))
      throw new UsageError('invalid_option', 'An API key needs an absolute URL');
    const parsed = new URL(url);
    checkScheme(parsed, 'The URL of a request', allowInsecure);
    return parsed;
  }

  const uriOf = (method: string, url: URL) => `${method.toUpperCase()} ${url.host}${url.pathname}`;

  async function send(url: URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${await sign(uriOf(init.method ?? 'GET', url))}`);
    const sentAt = clock.now();
    // A redirect leads to another path, for which the token is not good.
    const response = await fetch(url, { ...init, headers, redirect: 'error' });
    noteDate(skew, response.headers, sentAt, clock.now());
    return response;
  }

  return {
    kind: 'api-key',
    get name() {
      return signing.name;
    },
    get label() {
      return signing.name;
    },
    get algorithm() {
      return signing.key.alg;
    },
    webSocketToken: () => sign(),
    restToken: async (method, url) => sign(uriOf(method, read(url))),
    async fetch(url, init = {}) {
      const target = read(url);
      const before = skew.offset;
      const response = await send(target, init);
      if (response.status !== 401) return response;
      const replayable = init.body === undefined || init.body === null || typeof init.body === 'string';
      const clockWasOff = Math.abs(skew.offset - before) > CLOCK_MATTERS;
      if (!replayable || !(clockWasOff || (await reload()))) return response;
      await response.body?.cancel();
      return send(target, init);
    },
    async webSocketLogin({ signal }: WaitOptions = {}) {
      signal?.throwIfAborted();
      await mending;
      const token = await sign();
      return {
        scheme: 'message-jwt',
        token,
        perMessage: true,
        expiresAt: clock.now() - BACKDATE + LIFETIME * 1000,
      };
    },
    onRenewed: () => () => {},
    onEnded: () => () => {},
    invalidate(_token, reason) {
      if (reason === 'expired' || mending !== null) return;
      mending = Promise.all([measureClock(), reload()])
        .then(
          () => {},
          // Neither is needed to sign: the next token is made with what there is.
          () => {},
        )
        .finally(() => {
          mending = null;
        });
    },
    noteServerTime: (serverTime) => skew.observe(serverTime, 5000, clock.now(), clock.now()),
  };
}

async function readForm(key: ApiKeyOptions['key']): Promise<KeyForm> {
  const form = typeof key === 'function' ? await (key as () => KeyForm | Promise<KeyForm>)() : key;
  if (typeof form === 'string' && form.trim() === '') throw invalid('it is empty');
  if (typeof form !== 'string' && (typeof form !== 'object' || form === null)) {
    throw invalid('give text, a JWK, or a function that gives one of these');
  }
  return form;
}

async function load(
  form: KeyForm,
  name: string | undefined,
): Promise<{ name: string; key: ImportedPrivateKey }> {
  // The contents of a key file, parsed by whoever read it.
  const isFile = typeof form === 'object' && 'privateKey' in form;
  let key: ImportedPrivateKey;
  try {
    key = await importPrivateKey(isFile ? JSON.stringify(form) : form);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw invalid(diagnose(form, error));
  }
  const keyName = readName(name ?? key.keyName);
  return { name: keyName, key };
}

function readName(text: string | undefined): string {
  const name = text?.trim().replace(/^(["'])(.*)\1$/, '$2') ?? '';
  if (name === '') throw invalid('its name is missing (organizations/{org}/apiKeys/{key})');
  if (name.length > MAX_NAME || !/^[\x21-\x7e]+$/.test(name)) {
    throw invalid('its name must be printable ASCII without blanks');
  }
  // The two are easily swapped, and a name goes into every token in clear.
  if (name.includes('PRIVATE') || name.includes('KEY-----')) throw invalid('its name looks like a key');
  return name;
}

/** Says what people usually got wrong. Looks at labels only. */
function diagnose(form: KeyForm, error: TokenError): string {
  const text = typeof form === 'string' ? form : '';
  if (/BEGIN (?:EC |RSA )?PUBLIC KEY/.test(text)) return 'this is a public key; the private one is needed';
  if (/BEGIN RSA/.test(text)) return 'this is an RSA key; P-256 or Ed25519 is needed';
  if (text.includes('BEGIN CERTIFICATE')) return 'this is a certificate; the private key is needed';
  if (text.includes('apiKeys/') && !text.includes('{')) return "this is the key's name; its secret is needed";
  if (/-----BEGIN/.test(text) && !/-----END/.test(text)) return 'the end of the PEM text is missing';
  const { expected, name } = error.cause;
  const where = name === undefined ? '' : ` (${name})`;
  return expected === undefined ? `it is not readable${where}` : `expected ${expected}${where}`;
}
