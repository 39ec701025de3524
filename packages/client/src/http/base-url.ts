import { UsageError } from '../errors.ts';

const LOOPBACK = /^(?:localhost|(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Reads the address of an API: http or https, without query and userinfo, any path. Plain http only to this machine:
 * elsewhere everybody on the way could read the tokens.
 *
 * @returns without a slash at the end
 * @throws UsageError `invalid_option`
 */
export function readBaseUrl(text: string | URL, allowInsecure = false): string {
  const url = URL.canParse(String(text)) ? new URL(text) : null;
  if (url === null) throw new UsageError('invalid_option', 'baseUrl is not an absolute URL');
  checkScheme(url, 'baseUrl', allowInsecure);
  if (url.search !== '' || url.hash !== '') {
    throw new UsageError('invalid_option', 'baseUrl must have no query and no fragment');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** @throws UsageError `invalid_option` for a scheme or userinfo that tokens must not meet */
export function checkScheme(url: URL, what: string, allowInsecure: boolean): void {
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('invalid_option', `${what} must hold no user or password`);
  }
  if (url.protocol === 'https:') return;
  if (url.protocol !== 'http:') throw new UsageError('invalid_option', `${what} must be http or https`);
  if (allowInsecure || LOOPBACK.test(url.hostname)) return;
  throw new UsageError(
    'invalid_option',
    `${what} must be https, because tokens travel to it (allowInsecure: true permits http)`,
  );
}

/**
 * The address of a call: a path below the base, or an absolute URL of the same origin. Tokens go nowhere else.
 *
 * @throws UsageError `foreign_url`
 */
export function resolveBelow(base: string, target: string | URL): URL {
  const text = String(target);
  // `//host/path` and `\\host` are absolute to a URL parser.
  const url =
    text.startsWith('/') && !/^\/[/\\]/.test(text)
      ? new URL(base + text)
      : URL.canParse(text)
        ? new URL(text)
        : null;
  if (url === null) throw new UsageError('foreign_url', 'Give a path that begins with one slash');
  if (url.origin !== new URL(base).origin || url.username !== '' || url.password !== '') {
    throw new UsageError('foreign_url', `A token for ${new URL(base).origin} is not sent elsewhere`);
  }
  return url;
}
