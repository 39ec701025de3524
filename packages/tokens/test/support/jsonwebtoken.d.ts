/** The part of jsonwebtoken the tests use; the package brings no types. */
declare module 'jsonwebtoken' {
  import type { KeyObject } from 'node:crypto';

  const jsonwebtoken: {
    sign(payload: object, key: KeyObject, options: object): string;
    verify(token: string, key: KeyObject, options: object): unknown;
  };
  export default jsonwebtoken;
}
